"""A Python function becomes a job, and a request from Python runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tidemill import client

pytestmark = pytest.mark.integration

TIDEMILL = Path(sys.executable).with_name("tidemill")
MODULE = """
import os
from tidemill.job import this_run

def main():
    steps = (this_run.checkpoint or 0) + 1
    this_run.checkpoint = steps
    print(f"{this_run.id} attempt {this_run.attempt} step {steps}")
    if steps < 2:
        raise SystemExit("not yet")
    return {"sum": sum(this_run.payload), "steps": steps}
"""


def test_a_function_runs_with_its_payload_and_checkpoint_and_returns_its_result(stack, name, tmp_path):
    (tmp_path / "adder.py").write_text(MODULE)
    options = ["--python", "adder:main", "--project", tmp_path, "--max-attempts", "2"]
    put = [TIDEMILL, "job", "put", name, "--data", stack.data, *options]
    assert "version" in subprocess.check_output(put, text=True)
    with stack.database.transaction():
        run_id = client.request(stack.database.cursor(), name, [1, 2, 39], request_id="r")
    run = stack.wait_until_final(run_id)
    assert (run["state"], run["result"]) == ("succeeded", {"sum": 42, "steps": 2})
    first, second = stack.attempts(run_id)
    assert first["output"] == f"{run_id} attempt 1 step 1\nnot yet\n"
    assert second["output"] == f"{run_id} attempt 2 step 2\n"
