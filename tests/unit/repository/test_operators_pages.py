"""No list of processes in an operator's page leaves one out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.operator.document_blocks import blocks
from tests.support.operator.document_runner import variables

ROOT = Path(__file__).parents[3]
COMMAND = "tidemill"
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
MODULES = {target.partition(":")[0].removesuffix(".__main__") for name, target in SCRIPTS.items() if name != COMMAND}
CLUSTER = blocks("cluster.md", {})
SETTINGS = {each.target: variables(each.text) for each in CLUSTER if each.target.endswith(".env")}
UNIT = re.compile(r"systemctl (?:enable --now|restart) tidemill@(\S+)")


@pytest.mark.parametrize("document", ["cluster.md", "upgrade.md"])
def test_every_process_is_started_and_restarted(document):
    assert set(UNIT.findall("".join(each.text for each in blocks(document, {})))) == MODULES


def test_every_process_has_settings_and_a_port_of_its_own():
    own = {module: SETTINGS[f"/etc/tidemill/{module}.env"]["TIDEMILL_OBSERVE_LISTEN"] for module in MODULES}
    assert len(set(own.values())) == len(MODULES)


def test_the_readme_names_every_process():
    text = (ROOT / "README.md").read_text()
    assert [name for name in SCRIPTS if name != COMMAND and f"`{name}`" not in text] == []
