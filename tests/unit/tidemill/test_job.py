"""`tidemill.job`: what a program reads of its run, and what it leaves."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidemill import job
from tidemill.job import NotARunError, Run

RUN = {
    "TIDEMILL_RUN_ID": "a#1",
    "TIDEMILL_ATTEMPT": "2",
    "TIDEMILL_FENCING_TOKEN": "7",
    "TIDEMILL_NOMINAL_TIME": "2026-11-21T03:00:00.000Z",
    "TIDEMILL_TIMEOUT_SECONDS": "1.5",
    "TIDEMILL_INPUT": "payload",
}


def run(text="", **env):
    return Run(RUN | env, read=lambda: text)


def test_it_has_what_the_environment_says():
    found = run()
    assert (found.id, found.attempt, found.token) == ("a#1", 2, 7)
    assert found.nominal_time == datetime(2026, 11, 21, 3, tzinfo=UTC)
    assert found.timeout == timedelta(seconds=1.5)


@pytest.mark.parametrize(
    ("text", "payload"), [("", None), ('{"payload": 1, "results": 2}', {"payload": 1, "results": 2})]
)
def test_the_input_is_the_payload(text, payload):
    found = run(text)
    assert (found.payload, found.results) == (payload, {})


def test_the_input_of_a_node_has_the_results_of_others():
    found = run('{"payload": 1, "results": {"extract": {"rows": 3}, "lookup": null}}', TIDEMILL_INPUT="results")
    assert (found.payload, found.results) == (1, {"extract": {"rows": 3}, "lookup": None})


def test_a_result_and_a_checkpoint_are_json_values(tmp_path):
    found = run(TIDEMILL_RESULT=str(tmp_path / "result"), TIDEMILL_CHECKPOINT=str(tmp_path))
    assert (found.result, found.checkpoint) == (None, None)
    found.result, found.checkpoint = {"rows": 3}, [1]
    found.checkpoint = [1, 2]
    assert (found.result, found.checkpoint) == ({"rows": 3}, [1, 2])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["checkpoint.json", "result"]


def test_a_program_that_tidemill_has_not_started_can_be_imported_and_says_what_is_missing():
    with pytest.raises(NotARunError, match="TIDEMILL_RUN_ID is not set: Tidemill has not started this program"):
        _ = Run({}).id


def test_a_copy_of_the_file_works_alone(tmp_path):
    (tmp_path / "this.py").write_text(Path(job.__file__).read_text())
    program = "from this import this_run; print(this_run.token, this_run.payload)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=tmp_path,
        env=RUN,
        input="[1]",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "7 [1]\n"
