"""A rerun of a run that waits for a retry attempts at once."""

from __future__ import annotations

from datetime import timedelta

from schemas.raw import json_bytes
from schemas.status import RunStatus
from schemas.topics import DEADLETTER
from schemas.words import RunState
from tests.support.simulated.dag_scenario import node
from tests.support.simulated.log import DrivenSession, Log, ended, started

WAITS = {"max_attempts": 3, "initial_interval": timedelta(minutes=1), "retry_jitter": 0}


def failed(log: Log, owner: DrivenSession) -> None:
    dispatch = log.dispatches()[-1]
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code=1)))
    log.turn(owner)


def waiting(**fields: object) -> tuple[Log, DrivenSession]:
    log = Log()
    owner = log.dispatched(**WAITS, **fields)
    failed(log, owner)
    assert status(log).state is RunState.RETRY_WAIT
    return log, owner


def status(log: Log, run_id: str = "job#r") -> RunStatus:
    return log.statuses()[run_id]


def ask(log: Log, owner: DrivenSession, request_id: str = "now", **fields: object) -> None:
    owner.offer(log.request(request_id, **{"kind": "rerun", "run_id": "job#r", **fields}))
    log.turn(owner)


def refusals(log: Log) -> list[str]:
    reasons = [dict(each.headers)["reason"].decode() for each in log.written if each.topic == DEADLETTER]
    return [each.partition(" is refused: ")[2] for each in reasons]


def test_a_rerun_attempts_at_once_and_continues_the_attempt_numbers() -> None:
    log, owner = waiting()
    ask(log, owner, note="repaired")
    assert [each.attempt for each in log.dispatches()] == [1, 2]
    assert [each.reason for each in status(log).transitions if each.state is RunState.QUEUED] == [
        None,
        "attempted now: repaired",
    ]
    assert status(log).rerun_id is None, "it is the same run"
    failed(log, owner)
    ask(log, owner, "again")
    failed(log, owner)
    assert status(log).state is RunState.DEAD
    assert [each.attempt for each in status(log).attempts] == [1, 2, 3]


def test_a_rerun_uses_its_own_payload_or_else_the_runs() -> None:
    log, owner = waiting(payload="the job's")
    ask(log, owner, payload='"another"')
    assert json_bytes(log.dispatches()[-1].payload) == b'"another"'
    failed(log, owner)
    ask(log, owner, "again")
    assert json_bytes(log.dispatches()[-1].payload) == b'"another"'


def test_a_rerun_survives_a_takeover() -> None:
    log, owner = waiting()
    owner.learn(log.request("now", kind="rerun", run_id="job#r"))
    log.turn(owner)
    owner = log.recover()
    log.turn(owner)
    assert [each.attempt for each in log.dispatches()] == [1, 2]


def test_a_rerun_of_a_run_that_is_attempting_is_refused_with_a_reason() -> None:
    log, owner = waiting()
    log.turn(owner, 70)
    ask(log, owner)
    assert refusals(log) == [
        "run 'job#r' is queued; only what has ended or waits for its next attempt can run again",
    ]


def test_a_rerun_of_a_run_that_ended_meanwhile_is_refused_with_a_reason() -> None:
    log, owner = waiting()
    owner.offer(log.request("stop", kind="cancel", run_id="job#r"))
    log.turn(owner)
    ask(log, owner)
    assert refusals(log) == ["run 'job#r' is not open any more, and no nominal_time is given; ask again"]


def test_a_rerun_of_a_waiting_node_attempts_at_once() -> None:
    log = Log()
    log.define_dag(node("a", **WAITS))
    log.request_dag("r")
    owner = log.recover()
    log.turn(owner)
    failed(log, owner)
    owner.offer(log.request_dag("now", kind="rerun", run_id="dag#r/a"))
    log.turn(owner)
    assert [each.attempt for each in log.dispatches()] == [1, 2]


def test_a_rerun_of_a_recreated_jobs_run_uses_the_new_job() -> None:
    log, owner = waiting()
    for version, deleted in ((2, True), (3, False)):
        owner.offer(log.define(version, deleted=deleted, payload="repaired"))
    ask(log, owner)
    assert json_bytes(log.dispatches()[-1].payload) == b'"repaired"'
