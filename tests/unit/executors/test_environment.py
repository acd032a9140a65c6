"""The environment of a process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from executors.attempt_dirs import AttemptDir
from executors.environment import environment
from schemas.dispatch import Dispatch
from schemas.ids import RunId
from schemas.trace_ids import traceparent_of_process

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
LIMIT = timedelta(seconds=90)


def made(**env):
    dispatch = Dispatch(
        run_id="a@1", owner="a", job_id="a", attempt=2, token=7, timeout_class="10s", nominal_time=NOW,
        scheduled_time=NOW, executable="s3://b/k", sha256=None, args=(), env=env, payload=None, limit=LIMIT,
        valid_for=LIMIT, claim_grace=LIMIT, lease=LIMIT,
    )  # fmt: skip
    directory = AttemptDir(path=Path("/d"), executable=Path("/d/bin/k"))
    return environment(dispatch, directory, path="/bin", secrets={"db": "<db>"})


def test_the_job_may_change_its_path_language_and_home_but_not_who_it_is():
    found = made(HOME="/h", PATH="/p", LANG="C", TIDEMILL_FENCING_TOKEN="1")
    assert (found["PATH"], found["LANG"], found["HOME"]) == ("/p", "C", "/h")
    assert (found["TIDEMILL_FENCING_TOKEN"], found["TIDEMILL_TIMEOUT_SECONDS"]) == ("7", "90")
    assert made()["HOME"] == "/d/work"


def test_the_process_finds_the_span_of_its_attempt_unless_the_job_names_another():
    assert made()["TRACEPARENT"] == traceparent_of_process(RunId("a@1"), 2)
    assert made(TRACEPARENT="mine")["TRACEPARENT"] == "mine"


def test_a_secret_is_named_by_its_prefix_alone():
    found = made(A="secret:db", B="no secret:db")
    assert (found["A"], found["B"]) == ("<db>", "no secret:db")
