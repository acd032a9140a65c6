"""Prometheus as a part of the local stack: it scrapes every process of ours, and has the rules of infra/prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra import packages
from infra.part import Part
from infra.ready import http_status
from infra.settings import InfraSettings

NAME = "prometheus"
CONFIGURATION = Path(__file__).with_name("prometheus") / "prometheus.yaml"
"""The configuration for containers; only its targets and the path of its rules differ from the local one."""
RETENTION = "1GB"
"""Prometheus deletes older samples; it keeps none for longer than 15 days."""


def prepare(
    data: Path, port: int, parts: Iterable[Part], settings: InfraSettings, on_event: Callable[[str], None]
) -> Part:
    """Raises `StackError` if Prometheus is neither here nor can be brought."""
    program = packages.program("prometheus", settings, on_event)
    file = data / NAME / "prometheus.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    observed = {each.name: each.observe_port for each in parts if each.observe_port is not None}
    file.write_text(yaml.safe_dump(configuration(observed), sort_keys=False))
    return part(data, port, program, file)


def configuration(observed: Mapping[str, int]) -> dict[str, Any]:
    """Prometheus' configuration for processes on this machine, by name and port."""
    content: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    content["rule_files"] = [str(CONFIGURATION.parent / each) for each in content["rule_files"]]
    (scrape,) = content["scrape_configs"]
    scrape["static_configs"] = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}} for name, port in observed.items()
    ]
    return content


def part(data: Path, port: int, program: str, file: Path) -> Part:
    """It listens on 127.0.0.1, and keeps its samples below the data folder."""
    return Part(
        name=NAME,
        argv=(
            program,
            *_web(Path(program)),
            f"--config.file={file}",
            f"--storage.tsdb.path={data / NAME / 'samples'}",
            f"--storage.tsdb.retention.size={RETENTION}",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
        log=data / "logs" / f"{NAME}.log",
        port=port,
        is_ready=lambda: http_status(port, "/-/ready") == 200,
        stop_seconds=5,
    )


def addresses(parts: Iterable[Part]) -> dict[str, str]:
    """Prometheus' URL by its name; empty if the stack has none."""
    return {each.name: f"http://127.0.0.1:{each.port}" for each in parts if each.name == NAME}


def _web(program: Path) -> list[str]:
    """Where the pages of Debian's package are, also when it is unpacked; programs of others have them inside."""
    pages = program.parent.parent / "share/prometheus/web"
    return [f"--web.local-assets={pages}"] if pages.is_dir() else []
