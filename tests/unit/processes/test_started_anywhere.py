"""Our processes start in any working directory, and write only structured log lines."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

SECONDS = 60
PROCESSES = (
    "streams",
    "executors",
    "connectors.sink",
    "connectors.supervisor",
    "connectors.metrics",
    "connectors.traces",
    "tidemill.monitor",
    "tidemill.web",
)
LINE = re.compile(r"event=\w+ timestamp=\S+Z level=\w+( .*)?")
SAY = """
import logging, warnings
from schemas.logging import log_to_stderr
log_to_stderr()
logging.getLogger("librdkafka").error("FAIL [thrd:x]: %s", 'it "refused"')
logging.getLogger("aiokafka.consumer").warning("two\\nlines")
logging.getLogger("botocore").info("not worth a line")
warnings.warn("old")
try:
    raise ValueError("bad")
except ValueError:
    logging.getLogger("faust").exception("it crashed")
"""
CLIENT = """
from confluent_kafka.admin import AdminClient
from schemas.logging import log_to_stderr
from schemas.settings import Connections
log_to_stderr()
admin = AdminClient(Connections(kafka_bootstrap="127.0.0.1:1").kafka())
while not admin.poll(0.5):
    try:
        admin.list_topics(timeout=1)
    except Exception:
        break
admin.poll(0.5)
"""


def run(*arguments, cwd, **variables):
    environment = {"PATH": "/usr/bin:/bin", **variables}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("module", [*PROCESSES, "tidemill"])
def test_a_user_directory_named_like_a_package_of_ours_is_not_imported(tmp_path, module):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "__init__.py").write_text("raise RuntimeError('foreign')")
    settings = {
        "TIDEMILL_PARTITIONS": "abc",
        "TIDEMILL_POSTGRES_DSN": "",
        "TIDEMILL_TRACES_ENDPOINT": "http://127.0.0.1:1",
    }
    ended = run("-m", module, "status", cwd=tmp_path, **settings)
    assert "TIDEMILL_PARTITIONS is" in ended.stderr
    assert "foreign" not in ended.stderr
    assert ended.returncode in (1, 2)


@pytest.mark.parametrize("module", PROCESSES)
def test_a_variable_that_resembles_a_setting_prevents_the_start(tmp_path, module):
    ended = run("-m", module, cwd=tmp_path, TIDEMILL_TOPIC_PERFIX="x.")
    assert ended.returncode == 2
    assert "did you mean TIDEMILL_TOPIC_PREFIX?" in ended.stderr


def test_log_lines_of_libraries_are_structured(tmp_path):
    lines = run("-c", SAY, cwd=tmp_path).stderr.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert len(lines) == 4
    assert 'logger=librdkafka said="FAIL [thrd:x]: it \\"refused\\""' in lines[0]
    assert "said=two\\nlines" in lines[1]
    assert "exception=" in lines[3]


def test_log_lines_of_the_kafka_client_are_structured(tmp_path):
    lines = run("-c", CLIENT, cwd=tmp_path).stderr.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert any("event=library_said" in line and "logger=librdkafka" in line for line in lines)


def test_every_process_has_a_command_of_its_own():
    scripts = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["scripts"]
    for module, _, function in (target.partition(":") for target in scripts.values()):
        assert callable(getattr(import_module(module), function))
    started = {target.partition(":")[0].removesuffix(".__main__") for target in scripts.values()}
    assert started >= set(PROCESSES)
