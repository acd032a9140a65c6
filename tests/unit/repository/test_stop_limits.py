"""Those who start an executor wait longer for its end than it takes: SIGKILL would lose its last events."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from executors.settings import ExecutorSettings
from infra.options import StackOptions
from infra.ports import Ports
from infra.workers import DRAIN_SECONDS, workers

ROOT = Path(__file__).parents[3]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SPARE = timedelta(seconds=2)


def test_compose_waits_longer_for_each_executor():
    limit = example_settings().stop_limit
    granted = {
        name: timedelta(seconds=int(each["stop_grace_period"].removesuffix("s")))
        for name, each in SERVICES.items()
        if each.get("command") == ["python", "-m", "executors"]
    }
    assert granted.keys() == {"executor-0", "executor-1"}
    assert all(each >= limit + SPARE for each in granted.values())


def test_the_systemd_unit_of_the_documents_waits_longer():
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", (ROOT / "docs" / "cluster.md").read_text(), re.MULTILINE)
    assert timedelta(seconds=int(seconds)) >= example_settings().stop_limit + SPARE


def test_a_local_stack_waits_longer_for_its_executors(tmp_path):
    environment = {
        "TIDEMILL_PARTITIONS": "8",
        "TIDEMILL_POSTGRES_DSN": "postgresql://tidemill:secret@127.0.0.1:1/tidemill",
    }
    parts = workers(StackOptions(data=tmp_path), environment, Ports(tmp_path, tmp_path, []))
    (seconds,) = {each.stop_seconds for each in parts if each.name.startswith("executor-")}
    settings = ExecutorSettings(drain_timeout=timedelta(seconds=DRAIN_SECONDS))
    assert timedelta(seconds=seconds) >= settings.stop_limit + SPARE


def example_settings():
    """What compose and the unit give their executors."""
    lines = re.findall(r"^TIDEMILL_(\w+)=(PT\w+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    names = {"drain_timeout", "term_grace", "checkpoint_timeout"}
    values = {name.lower(): value for name, value in lines if name.lower() in names}
    assert values.keys() == names
    return ExecutorSettings(**{name: TypeAdapter(timedelta).validate_python(value) for name, value in values.items()})
