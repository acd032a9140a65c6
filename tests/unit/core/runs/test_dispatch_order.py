"""The order of runs when slots are scarce: due runs go before reruns."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.dag import NodeSpec
from schemas.event import EndCause
from schemas.ids import occurrence_run_id
from streams.core.inputs import HeartbeatHeard
from streams.core.settings import CoreSettings
from tests.support.simulated.log import START, DrivenSession, Log, ended, started
from tests.support.simulated.scenario import Scenario

S = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
LONG_AGO = START - timedelta(days=30)
NO_PROBES = CoreSettings(probe_window=0)
NODE = NodeSpec(node_id="a", executable="s3://tidemill/x")


def room(log: Log, owner: DrivenSession, size: int) -> None:
    owner.learn(HeartbeatHeard(heartbeat=Scenario.heartbeat(log.now, size), appended_at=log.now))
    log.turn(owner)


def one_by_one(log: Log, owner: DrivenSession, most: int) -> list[str]:
    """The order in which an executor with one slot starts the runs."""
    before = len(log.dispatches())
    for _ in range(most):
        room(log, owner, 1)
        for dispatch in log.dispatches()[before:]:
            before += 1
            owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now)))
            log.turn(owner, 0.1)
    return [each.run_id for each in log.dispatches()]


def rerun(log: Log, owner: DrivenSession, minute: int, owner_id: str = "job", **fields: object) -> str:
    """Requests a rerun of an occurrence of a month ago."""
    nominal = LONG_AGO + minute * MINUTE
    run_id = occurrence_run_id(owner_id, nominal)
    ask = log.request_dag if owner_id == "dag" else log.request
    again = {"kind": "rerun", "run_id": run_id, "nominal_time": nominal.isoformat()}
    owner.offer(ask(f"again-{minute}", **again, **fields))
    return run_id


def waiting(**fields: object) -> tuple[Log, DrivenSession]:
    """A job that is due every minute, without free slots."""
    log = Log()
    log.define(schedule="* * * * *", overlap_policy="allow_all", **fields)
    owner = log.recover(settings=NO_PROBES)
    log.turn(owner)
    room(log, owner, 0)
    return log, owner


def test_reruns_of_old_occurrences_wait_behind_due_runs() -> None:
    log, owner = waiting()
    again = [rerun(log, owner, minute) for minute in range(3)]
    for seconds in (0, 61, 60):
        log.turn(owner, seconds)
    live = [occurrence_run_id("job", START + minute * MINUTE) for minute in (1, 2)]
    assert one_by_one(log, owner, 9) == [*live, *again]


def test_reruns_run_in_the_order_of_their_requests() -> None:
    log, owner = waiting()
    again = []
    for minute in (7, 3, 5):
        again.append(rerun(log, owner, minute))
        log.turn(owner, 1)
    assert one_by_one(log, owner, 9) == again


def test_a_rerun_does_not_wait_for_future_occurrences() -> None:
    log, owner = waiting()
    again = rerun(log, owner, 0)
    log.turn(owner)
    assert one_by_one(log, owner, 1) == [again]


def test_a_rerun_goes_before_backfills_and_catch_up() -> None:
    log, owner = waiting()
    hour = {"backfill_from": (START - 5 * MINUTE).isoformat(), "backfill_to": START.isoformat()}
    asked = {"reprocess": "none", "max_active_runs": 9, "run_backwards": False, "dry_run": False, "ran": None}
    owner.offer(log.request("bf", kind="backfill", **hour, **asked))
    log.turn(owner)
    log.turn(owner, 1)
    again = rerun(log, owner, 0)
    log.turn(owner, 1)
    assert one_by_one(log, owner, 9)[0] == again


@pytest.mark.parametrize(("exit_code", "cause"), [(1, EndCause.EXITED), (None, EndCause.LEASE), (-15, EndCause.LIMIT)])
def test_later_attempts_of_a_rerun_wait_behind_due_runs_too(exit_code, cause) -> None:
    """Later attempts: a retry, one after a lost attempt, and one in the next class."""
    log, owner = waiting(max_attempts=3, initial_interval=S, timeout_class="10s")
    again = rerun(log, owner, 0)
    log.turn(owner)
    room(log, owner, 1)
    (dispatch,) = log.dispatches()
    room(log, owner, 0)
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code, cause)))
    log.turn(owner, 59)
    log.turn(owner, 2)
    log.turn(owner, 1)
    order = one_by_one(log, owner, 9)
    live = occurrence_run_id("job", START + MINUTE)
    assert set(order) == {again, live}
    if cause is not EndCause.LIMIT:  # which waits in the queue of its class
        assert order == [again, live, again]


def test_a_rerun_dag_run_waits_behind_the_due_one() -> None:
    log = Log()
    log.define_dag(NODE, schedule="* * * * *", max_active_epochs=1, overlap_policy="buffer_all")
    owner = log.recover(settings=NO_PROBES)
    log.turn(owner)
    log.turn(owner, 60)
    room(log, owner, 9)
    (first,) = log.dispatches()
    again = rerun(log, owner, 0, "dag", nodes="{}", seen_version=1)
    log.turn(owner)
    log.turn(owner, 60)
    owner.offer(log.report(started(first, log.now), ended(first, log.now)))
    log.turn(owner, 1)
    order = [each.partition("/")[0] for each in one_by_one(log, owner, 9)]
    assert order == [*(occurrence_run_id("dag", START + minute * MINUTE) for minute in (1, 2)), again]


def test_nodes_of_a_rerun_dag_run_wait_behind_those_of_a_due_one() -> None:
    log = Log()
    log.define_dag(NODE, schedule="* * * * *", max_active_epochs=5)
    owner = log.recover(settings=NO_PROBES)
    log.turn(owner)
    room(log, owner, 0)
    again = rerun(log, owner, 0, "dag", nodes="{}", seen_version=1)
    log.turn(owner)
    log.turn(owner, 60)
    order = [each.partition("/")[0] for each in one_by_one(log, owner, 9)]
    assert order == [occurrence_run_id("dag", START + MINUTE), again]


def test_the_next_owner_keeps_the_order() -> None:
    log, owner = waiting()
    again = rerun(log, owner, 0)
    log.turn(owner)
    log.turn(owner, 65)
    owner = log.recover(settings=NO_PROBES)
    log.turn(owner)
    room(log, owner, 0)
    assert one_by_one(log, owner, 9) == [occurrence_run_id("job", START + MINUTE), again]
