"""promtool's checks of metrics, configurations and rules; each fails with promtool's own output."""

from __future__ import annotations

import subprocess
from pathlib import Path

from infra import packages
from infra.settings import InfraSettings

TIMEOUT_SECONDS = 60


def check_metrics(text: str) -> None:
    """The text of a `/metrics` page: its format, and its names by Prometheus' conventions."""
    _promtool("check", "metrics", given=text)


def check_config(path: Path) -> None:
    """A `prometheus.yaml`, and the rules that it names."""
    _promtool("check", "config", str(path))


def check_rules(path: Path) -> None:
    _promtool("check", "rules", "--lint-fatal", str(path))


def test_rules(path: Path) -> None:
    """Run the unit tests of rules in this file; `rule_files` count from its folder."""
    _promtool("test", "rules", path.name, folder=path.parent)


test_rules.__test__ = False  # pytest takes an imported `test_…` for a test


def _promtool(*arguments: str, given: str = "", folder: Path | None = None) -> None:
    program = packages.program("promtool", InfraSettings(), print)
    done = subprocess.run(
        [program, *arguments], input=given, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"promtool {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
