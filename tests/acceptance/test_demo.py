"""The demo as a newcomer runs it: it exits with 0 only if all checks pass, and leaves no process behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from infra import stack

SECONDS = 30
PATIENCE_SECONDS = 300


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    data = tmp_path_factory.mktemp("demo")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}
    done = subprocess.run(
        [sys.executable, "-m", "tidemill", "demo", str(SECONDS), "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=environment,
        check=False,
    )
    yield data, done
    stack.stop(data / "demo", 30)


def test_a_bounded_demo_does_everything_it_should(demo):
    _, done = demo
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 12 checks hold." in done.stdout
    insert, put = "insert into tidemill.jobs", "dag put examples/etl/etl.yaml"
    checked = ("each exactly once", "each node once", "promoted", "at attempt 3", "critical path: extract -> ")
    for said in (insert, put, "kill -9: stream-", *checked):
        assert said in done.stdout


def test_the_demo_prints_plain_lines_into_a_pipe(demo):
    _, done = demo
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_the_demo_leaves_nothing_running(demo):
    data, _ = demo
    assert stack.status(data / "demo") is None
