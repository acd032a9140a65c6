"""The checkers themselves: each finds its fault, and none in a correct history."""

from __future__ import annotations

import msgspec
import pytest

from schemas.codec import decode
from schemas.status import RunStatus, Transition
from schemas.times import epoch_ms
from schemas.topics import STATUS
from schemas.words import AttemptEnd, RunState
from tests.support import checkers
from tests.support.simulated.log import Log, ended, started


@pytest.fixture
def log():
    """A log with one run whose second attempt succeeded."""
    log = Log()
    owner = log.recover()
    owner.offer(log.define(max_attempts=2))
    owner.offer(log.request("r1"))
    log.turn(owner)
    first = log.dispatches()[-1]
    owner.offer(log.report(started(first, log.now), ended(first, log.now, exit_code=1)))
    log.turn(owner)
    log.turn(owner, seconds=5)
    second = log.dispatches()[-1]
    owner.offer(log.report(started(second, log.now), ended(second, log.now)))
    log.turn(owner)
    return log


@pytest.fixture
def history(log):
    return [decode(each.value, RunStatus) for each in log.written if each.topic == STATUS]


def row(status, **changes):
    names = ("run_id", "version", "attempt", "executor_id", "reason", "reason_code")
    values = {name: getattr(status, name) for name in names}
    return {**values, "state": status.state.value, "started_at": status.started_at, **changes}


EXECUTED = [("job#r1", 1), ("job#r1", 2)]


def test_a_history_without_a_fault_passes_every_check(log, history):
    assert checkers.materialized_once(history) == []
    assert checkers.legal_history(history) == []
    assert checkers.nothing_lost(history, ["job#r1"]) == []
    assert checkers.all_succeeded(history, {AttemptEnd.FAILED}) == []
    assert checkers.dispatched_in_order({("10s", 0): log.dispatches()}) == []
    assert checkers.executed_as_dispatched(history, EXECUTED) == []
    assert checkers.one_attempt_at_a_time([("a", 1, 1), ("a", 1, 5), ("a", 2, 6), ("a", 2, 9)]) == []
    assert checkers.tables_agree(history, [row(history[-1])]) == []
    assert checkers.nothing_runs_after_the_end(history, [("job#r1", 2, 1)]) == []


def test_a_run_created_twice_is_found(history):
    again = msgspec.structs.replace(history[-1], transitions=history[-1].transitions[1:])
    assert "was created twice" in checkers.materialized_once([*history, again])[0]


def test_a_record_after_a_final_state_is_found(history):
    later = msgspec.structs.replace(history[-1], version=history[-1].version + 1)
    assert "follows the final state" in checkers.legal_history([*history, later])[0]


def test_a_missing_an_unfinished_and_an_unexpected_run_are_found(history):
    assert checkers.nothing_lost(history, []) == ["job#r1 was not requested"]
    assert checkers.nothing_lost(history, ["job#r1", "job#r2"]) == ["job#r2 is missing"]
    assert "never ended" in checkers.nothing_lost(history[:1], ["job#r1"])[0]


def test_an_unexcused_attempt_and_a_failed_run_are_found(history):
    assert "ended as" in checkers.all_succeeded(history)[0]
    dead = msgspec.structs.replace(history[-1], state=RunState.DEAD)
    assert checkers.all_succeeded([dead], {AttemptEnd.FAILED}) == ["job#r1 is dead"]


def test_a_repeated_dispatch_in_one_log_or_in_two_is_found(log):
    first, second = log.dispatches()
    assert checkers.dispatched_in_order({("10s", 0): [second, first]}) == ["fencing tokens do not increase"]
    assert "was dispatched 2 times" in checkers.dispatched_in_order({("10s", 0): [first], ("1m", 0): [first]})[0]
    assert checkers.dispatched_in_order({("10s", 0): [first], ("10s", 1): [second]}) == []


@pytest.mark.parametrize(
    ("executions", "said"),
    [
        ([*EXECUTED, ("job#r1", 2)], "was executed 2 times"),
        ([*EXECUTED, ("job#r1", 3)], "was never dispatched"),
        (EXECUTED[:1], "was not executed"),
    ],
)
def test_a_surplus_or_missing_execution_is_found(history, executions, said):
    assert said in checkers.executed_as_dispatched(history, executions)[0]


def test_two_attempts_alive_at_once_are_found():
    assert (
        "was alive until 7" in checkers.one_attempt_at_a_time([("a", 1, 1), ("a", 2, 6), ("a", 1, 7), ("a", 2, 9)])[0]
    )


def test_a_process_that_outlives_its_run_is_found(history):
    over_ns = epoch_ms(history[-1].transitions[-1].at) * 10**6
    assert (
        "after the run ended" in checkers.nothing_runs_after_the_end(history, [("job#r1", 1, over_ns + 3 * 10**6)])[0]
    )


def test_a_row_that_differs_from_its_status_is_found(history):
    assert "its row is" in checkers.tables_agree(history, [row(history[-1], attempt=7)])[0]
    assert "its row is None" in checkers.tables_agree(history, [])[0]
    assert "no status" in checkers.tables_agree([], [row(history[-1])])[0]


def test_a_dispatch_after_a_stop_is_found(history, log):
    (first, _) = log.dispatches()
    stop = Transition(version=first.token - 1, at=history[0].transitions[0].at, state=RunState.CANCELLING, attempt=0)
    stopped = msgspec.structs.replace(history[0], transitions=(*history[0].transitions, stop))
    assert "after its stop" in checkers.no_dispatch_after_stop([stopped], [first])[0]
    assert checkers.no_dispatch_after_stop(history, [first]) == []


def test_a_rerun_may_follow_a_final_state(history):
    again = msgspec.structs.replace(history[0], version=history[-1].version + 1, rerun_id="again")
    assert checkers.legal_history([*history, again]) == checkers.materialized_once([*history, again]) == []


def test_two_runs_of_a_job_running_at_once_are_found(history):
    assert checkers.one_run_at_a_time(history) == []
    at_work = next(status for status in history if status.attempts and status.attempts[-1].end is None)
    other = msgspec.structs.replace(at_work, run_id="job#r2", version=at_work.version + 1)
    assert "job#r2 started while job#r1 was running" in checkers.one_run_at_a_time([*history, other])
