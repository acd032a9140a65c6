"""Stopping runs and running them again: who decides, and when a run counts as stopped (protocol L4, L5, L6)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.event import EndCause, Expired
from schemas.heartbeat import AttemptInHand, ExecutorState, Heartbeat
from schemas.topics import DEADLETTER
from schemas.words import AttemptEnd, RunState
from streams.core.inputs import ClaimsSeen, HeartbeatHeard
from streams.core.runs.cancel import STRAY_PATIENCE
from streams.core.runs.leases import wants_judgement
from streams.core.settings import CoreSettings
from streams.owner.owner import Owner
from tests.support.raw_json import plain
from tests.support.simulated.log import Log, ended, started

SETTINGS = CoreSettings()
ONLY = "only what has ended or waits for its next attempt can run again"
GRACE = timedelta(seconds=7)
UNTIL_VOID = SETTINGS.dispatch_valid_for + SETTINGS.claim_grace


def dispatched(log: Log, **fields: object) -> Owner:
    """An owner whose run job#r is dispatched and not claimed."""
    return log.dispatched(cancel_grace=GRACE, **fields)


def running(log: Log, **fields: object) -> Owner:
    owner = dispatched(log, **fields)
    owner.offer(log.report(started(log.dispatches()[0], log.now)))
    log.turn(owner)
    return owner


def ask(log: Log, owner: Owner, kind: str, request_id: str = "c", **fields: object) -> None:
    owner.offer(log.request(request_id, kind=kind, **fields))
    log.turn(owner)


def hear(log: Log, owner: Owner, run_id: str, token: int, partition: int = 0) -> None:
    beat = Heartbeat(
        executor_id="e.1",
        name="e",
        host="h",
        version="1",
        state=ExecutorState.RUNNING,
        at=log.now,
        interval=timedelta(seconds=3),
        slots=(),
        windows=(),
        attempts=(AttemptInHand(run_id=run_id, token=token, partition=partition),),
    )
    owner.learn(HeartbeatHeard(heartbeat=beat, appended_at=log.now))
    log.turn(owner)


def state(log: Log) -> RunState:
    return log.statuses()["job#r"].state


def problems(log: Log) -> list[str]:
    return [dict(r.headers)["reason"].decode() for r in log.written if r.topic == DEADLETTER]


def test_an_undispatched_run_is_cancelled_at_once_and_never_starts() -> None:
    log = Log()
    log.define()
    log.request("r", run_at=(log.now + timedelta(minutes=1)).isoformat())
    owner = log.recover()
    log.turn(owner)
    ask(log, owner, "cancel", run_id="job#r", note="not today")
    log.turn(owner, 120)
    status = log.statuses()["job#r"]
    assert (status.state, status.reason, status.attempts) == (RunState.CANCELLED, "cancelled: not today", ())
    assert log.kills() == log.dispatches() == []


def test_a_run_waiting_for_a_retry_is_cancelled_at_once() -> None:
    log = Log()
    owner = running(log, max_attempts=2, initial_interval=timedelta(seconds=30), max_interval=timedelta(seconds=30))
    owner.offer(log.report(ended(log.dispatches()[0], log.now, exit_code=1)))
    log.turn(owner)
    assert state(log) is RunState.RETRY_WAIT
    ask(log, owner, "cancel", run_id="job#r")
    log.turn(owner, 120)
    assert (state(log), len(log.dispatches()), log.kills()) == (RunState.CANCELLED, 1, [])


@pytest.mark.parametrize(("kind", "grace"), [("cancel", GRACE), ("terminate", timedelta(0))])
@pytest.mark.parametrize("begin", [dispatched, running])
def test_a_dispatched_run_is_cancelling_until_its_executor_reports_the_end(kind, grace, begin) -> None:
    log = Log()
    owner = begin(log)
    (dispatch,) = log.dispatches()
    ask(log, owner, kind, run_id="job#r")
    assert state(log) is RunState.CANCELLING
    (kill,) = log.kills()
    assert (kill.run_id, kill.token, kill.grace) == ("job#r", dispatch.token, grace)
    owner.offer(log.report(ended(dispatch, log.now, -15, EndCause.CANCELLED)))
    log.turn(owner)
    status = log.statuses()["job#r"]
    assert status.state is RunState.CANCELLED
    assert [each.end for each in status.attempts] == [AttemptEnd.CANCELLED]


def test_a_start_report_during_cancelling_is_recorded_and_changes_no_state() -> None:
    log = Log()
    owner = dispatched(log)
    ask(log, owner, "cancel", run_id="job#r")
    owner.offer(log.report(started(log.dispatches()[0], log.now)))
    log.turn(owner)
    status = log.statuses()["job#r"]
    assert status.state is RunState.CANCELLING
    assert status.started_at == log.now


@pytest.mark.parametrize(
    ("exit_code", "cause", "state_after"),
    [
        (0, EndCause.EXITED, RunState.SUCCEEDED),
        (1, EndCause.EXITED, RunState.CANCELLED),
        (0, EndCause.CANCELLED, RunState.CANCELLED),
        (-15, EndCause.LIMIT, RunState.CANCELLED),
        (None, EndCause.LEASE, RunState.CANCELLED),
        (None, EndCause.STOPPED, RunState.CANCELLED),
    ],
)
def test_only_a_success_before_the_kill_counts_as_succeeded(exit_code, cause, state_after) -> None:
    log = Log()
    owner = running(log, max_attempts=3)
    ask(log, owner, "cancel", run_id="job#r")
    owner.offer(log.report(ended(log.dispatches()[0], log.now, exit_code, cause)))
    log.turn(owner, 60)
    assert (state(log), len(log.dispatches())) == (state_after, 1)


def test_a_silent_executor_ends_the_cancelled_run_by_its_lease() -> None:
    log = Log()
    owner = running(log)
    ask(log, owner, "cancel", run_id="job#r")
    log.turn(owner, SETTINGS.lease.total_seconds())
    owner.judge(log.now)
    log.turn(owner)
    assert state(log) is RunState.CANCELLED


def test_an_unclaimed_dispatch_is_cancelled_once_no_executor_may_start_it() -> None:
    log = Log()
    owner = dispatched(log)
    ask(log, owner, "cancel", run_id="job#r")
    log.turn(owner, UNTIL_VOID.total_seconds() - 1)
    owner.learn(ClaimsSeen(claimed_below={"10s": 0}, as_of=log.now))
    log.turn(owner)
    assert not wants_judgement(owner.state, log.now)
    log.turn(owner, 1)
    owner.learn(ClaimsSeen(claimed_below={"10s": 0}, as_of=log.now))
    log.turn(owner)
    assert wants_judgement(owner.state, log.now)
    owner.judge(log.now)
    log.turn(owner)
    assert state(log) is RunState.CANCELLED


def test_an_expired_dispatch_ends_the_cancelled_run() -> None:
    log = Log()
    owner = dispatched(log)
    (dispatch,) = log.dispatches()
    ask(log, owner, "cancel", run_id="job#r")
    expired = Expired(run_id=dispatch.run_id, attempt=1, token=dispatch.token, at=log.now)
    owner.offer(log.report(expired))
    log.turn(owner)
    assert (state(log), len(log.dispatches())) == (RunState.CANCELLED, 1)


def test_the_kill_is_sent_again_while_a_heartbeat_lists_the_attempt() -> None:
    log = Log()
    owner = running(log)
    token = log.dispatches()[0].token
    hear(log, owner, "job#r", token)
    assert log.kills() == []
    ask(log, owner, "cancel", run_id="job#r")
    hear(log, owner, "job#r", token)
    hear(log, owner, "job#r", token)
    assert [each.token for each in log.kills()] == [token] * 3


def test_a_second_stop_can_only_shorten_the_grace() -> None:
    log = Log()
    owner = running(log)
    ask(log, owner, "cancel", run_id="job#r")
    ask(log, owner, "terminate", "c2", run_id="job#r")
    ask(log, owner, "cancel", "c3", run_id="job#r")
    assert [each.grace for each in log.kills()] == [GRACE, timedelta(0)]
    assert state(log) is RunState.CANCELLING


def test_a_lost_attempt_in_a_later_heartbeat_is_killed() -> None:
    log = Log()
    owner = running(log)
    token = log.dispatches()[0].token
    log.turn(owner, SETTINGS.lease.total_seconds())
    owner.judge(log.now)
    log.turn(owner)
    assert len(log.dispatches()) == 2
    hear(log, owner, "job#r", token)
    assert log.kills() == []  # it may have just ended, while its heartbeat was on its way
    log.now += STRAY_PATIENCE
    hear(log, owner, "job#r", token)
    assert [(each.token, each.grace) for each in log.kills()] == [(token, timedelta(0))]


def test_an_owner_ignores_attempts_of_other_partitions() -> None:
    log = Log()
    owner = running(log)
    for _ in range(2):
        hear(log, owner, "other#r", 1, partition=3)
        log.now += STRAY_PATIENCE
    assert log.kills() == []


def test_cancelling_a_job_stops_all_its_open_runs_and_no_others() -> None:
    log = Log()
    owner = running(log)
    owner.offer(log.request("later", run_at=(log.now + timedelta(minutes=5)).isoformat()))
    log.turn(owner)
    ask(log, owner, "cancel")
    found = {run_id: status.state for run_id, status in log.statuses().items()}
    assert found == {"job#r": RunState.CANCELLING, "job#later": RunState.CANCELLED}


def test_a_stop_of_a_closed_run_is_refused_with_the_reason() -> None:
    log = Log()
    owner = running(log)
    ask(log, owner, "cancel", run_id="job#gone")
    ask(log, owner, "rerun", "again", run_id="job#r", nominal_time=log.now.isoformat())
    ask(log, owner, "rerun", "bare", run_id="job#r")
    assert problems(log) == [
        "request 'c' is refused: run 'job#gone' is not open: it has ended, or never was",
        f"request 'again' is refused: run 'job#r' is running; {ONLY}",
        f"request 'bare' is refused: run 'job#r' is running; {ONLY}",
    ]
    assert state(log) is RunState.RUNNING


@pytest.mark.parametrize(("on_delete", "after"), [("finish", RunState.RUNNING), ("cancel", RunState.CANCELLING)])
def test_a_deletion_stops_runs_as_on_delete_says(on_delete, after) -> None:
    log = Log()
    owner = running(log, on_delete=on_delete)
    owner.offer(log.define(2, deleted=True))
    log.turn(owner)
    assert state(log) is after


def test_a_rerun_keeps_the_run_id_and_gets_greater_tokens() -> None:
    log = Log()
    owner = running(log)
    owner.offer(log.report(ended(log.dispatches()[0], log.now, exit_code=1)))
    log.turn(owner)
    nominal = log.statuses()["job#r"].nominal_time
    ask(log, owner, "rerun", "again", run_id="job#r", nominal_time=nominal.isoformat(), attempt=1, payload="7")
    first, second = log.dispatches()
    assert (second.run_id, second.attempt, second.nominal_time, plain(second.payload)) == ("job#r", 2, nominal, 7)
    assert second.token > first.token
    status = log.statuses()["job#r"]
    assert (status.state, status.request_id, status.rerun_id) == (RunState.QUEUED, "r", "again")
    assert status.transitions[0].reason == "run again by request again"


def test_the_next_owner_decides_about_a_run_alike() -> None:
    log = Log()
    owner = running(log)
    ask(log, owner, "cancel", run_id="job#r")
    owner = log.recover()
    log.turn(owner)
    hear(log, owner, "job#r", log.dispatches()[0].token)
    assert len(log.kills()) == 2
    owner.offer(log.report(ended(log.dispatches()[0], log.now, -15, EndCause.CANCELLED)))
    log.turn(owner)
    assert state(log) is RunState.CANCELLED
