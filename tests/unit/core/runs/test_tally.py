"""Counters over the runs of a job survive a takeover and are deleted with the job."""

from __future__ import annotations

import pytest

from schemas.topics import DEADLETTER
from schemas.words import RunState
from streams.core.state import OwnerState
from tests.support.simulated.log import Log, ended, started
from tests.support.simulated.scenario import Scenario


def played(settings: str, happenings: str) -> Log:
    scenario = Scenario(settings, happenings)
    scenario.play(new_owner_each_second=False)
    return scenario.log


def state_of(log: Log) -> OwnerState:
    owner = log.recover()
    log.turn(owner)
    return owner.state


def reasons(log: Log) -> list[str]:
    return [dict(r.headers)["reason"].decode() for r in log.written if r.topic == DEADLETTER]


def test_a_repeatedly_failing_job_is_reported_as_a_problem_once() -> None:
    log = played("pause_on_failure = 2", "runs fail; asked to run at 0:35; until 1:00")
    (reason,) = reasons(log)
    assert reason.startswith("job 'job' is paused: 2 runs in a row ended badly; `tidemill job resume`")
    assert reason.endswith("the last is 'job@2026-03-01T12:00:20Z': exit code 1")


@pytest.mark.parametrize(
    ("settings", "happenings"),
    [
        ("max_runs = 2", "until 0:59"),
        ("pause_on_failure = 1", "runs fail; until 0:30"),
        ("timeout_class = 10s", "runs take 15 s; until 0:40"),
    ],
)
def test_a_deleted_job_leaves_no_counters(settings, happenings) -> None:
    log = played(settings, happenings)
    assert "tally/job" in log.stored()
    log.define(9, deleted=True)
    assert state_of(log).durable.tallies == {}
    assert "tally/job" not in log.stored()


def test_a_job_without_such_policies_and_promotions_is_not_counted() -> None:
    log = played("max_attempts = 2", "runs take 15 s; until 1:00")
    assert [r.key for r in log.written if r.key.startswith("tally/")] == []


def test_a_job_that_reached_max_runs_has_no_timer_also_after_a_takeover() -> None:
    log = played("max_runs = 2", "until 0:59")
    assert len(state_of(log).derived.timers) == 0


def test_a_run_in_a_learned_class_has_a_reason() -> None:
    log = played("timeout_class = 10s, overlap_policy = allow_all", "runs take 15 s; until 1:02")
    learned = log.statuses()["job@2026-03-01T12:01:00Z"]
    assert learned.transitions[0].reason == "3 of the last 3 runs outlived 10s"
    assert [each.timeout_class for each in learned.attempts] == ["1m"]


def test_a_job_with_short_runs_returns_to_its_class() -> None:
    short = "; ".join(
        f"the run of {minutes}:{seconds:02} takes 2 s" for minutes in (1, 2) for seconds in range(0, 60, 10)
    )
    log = played("timeout_class = 10s, overlap_policy = allow_all", f"runs take 15 s; {short}; until 2:51")
    assert log.statuses()["job@2026-03-01T12:01:00Z"].timeout_class == "1m"
    last = log.statuses()["job@2026-03-01T12:02:50Z"]
    assert (last.timeout_class, last.transitions[0].reason) == ("10s", None)
    assert "tally/job" not in log.stored()


@pytest.mark.parametrize("fixed", ["promote = false", "max_attempts = 1, max_infra_retries = 0"])
def test_a_job_without_promotion_learns_no_class(fixed) -> None:
    log = played(f"timeout_class = 10s, overlap_policy = allow_all, {fixed}", "runs take 15 s; until 1:30")
    assert {status.timeout_class for status in log.statuses().values()} in ({"10s"}, {"1h"})
    assert "tally/job" not in log.stored()


def test_a_run_that_ends_after_its_job_was_deleted_is_not_counted() -> None:
    log = Log()
    log.define(pause_on_failure=2)
    log.request("r")
    log.turn(log.recover())
    (dispatch,) = log.dispatches()
    log.define(2, deleted=True)
    log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code=1))
    assert state_of(log).durable.tallies == {}
    assert log.statuses()["job#r"].state is RunState.FAILED
