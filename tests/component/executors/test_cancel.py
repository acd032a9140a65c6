"""Kills: a running attempt ends and reports it, a waiting one never starts, others are not affected."""

from __future__ import annotations

import pytest

from schemas.event import Claimed, EndCause, Ended, Started

OBEYS = "echo ready; sleep 60"
REFUSES = "trap 'echo term' TERM; echo ready; while :; do sleep 0.05; done"
IS_FINE = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def owner(shared_executor):
    return shared_executor[0]


@pytest.fixture
def running(owner, shared_executor, objects, until):
    """Dispatches a script and returns its order once the script is ready."""

    def start(script):
        order = owner.order(objects.script(script.replace("echo ready", "echo > ready.$TIDEMILL_FENCING_TOKEN")))
        owner.dispatch(order)
        owner.first(order, Started)
        until(lambda: shared_executor[1].made(f"ready.{order.token}"))
        return order

    return start


def ended(owner, order):
    found = owner.end_of(order)
    return found.cause, found.exit_code


def test_a_killed_process_gets_term_and_its_end_is_reported(owner, running, alive, marks, until):
    mark = marks()
    order = running(f"(trap '' TERM; sleep 60.{mark}; true) & {OBEYS}.{mark}")
    until(lambda: alive(mark))
    owner.kill(order)
    found = owner.end_of(order)
    assert (found.cause, found.exit_code) == (EndCause.CANCELLED, 143)
    assert found.started_at <= found.at
    until(lambda: not alive(mark), 1.0)


def test_exit_0_after_term_is_not_a_success(owner, running):
    order = running(IS_FINE)
    owner.kill(order)
    assert ended(owner, order) == (EndCause.CANCELLED, 0)


def test_a_process_that_ignores_term_is_killed_after_the_grace(owner, running):
    order = running(REFUSES)
    owner.kill(order, grace=0.5)
    found = owner.end_of(order)
    assert (found.cause, found.exit_code) == (EndCause.CANCELLED, 137)
    assert "term\n" in found.output


def test_without_a_grace_a_process_is_killed_at_once(owner, running):
    order = running(REFUSES)
    owner.kill(order, grace=0.0)
    found = owner.end_of(order)
    assert (found.cause, found.exit_code, found.output) == (EndCause.CANCELLED, 137, "")


def test_repeated_kills_send_one_term_and_a_shorter_grace_counts(owner, running):
    order = running(REFUSES)
    for grace in (60.0, 60.0, 90.0, 0.5):
        owner.kill(order, grace=grace)
    found = owner.end_of(order)
    assert (found.cause, found.exit_code, found.output.split().count("term")) == (EndCause.CANCELLED, 137, 1)


def test_a_kill_of_another_attempt_or_of_an_unknown_run_changes_nothing(owner, objects):
    order = owner.order(objects.script("sleep 0.5"))
    owner.dispatch(order)
    owner.first(order, Started)
    owner.kill(order, token=order.token - 1)
    owner.kill(order, run_id="no such run")
    assert ended(owner, order) == (EndCause.EXITED, 0)
    owner.kill(order)
    assert owner.run(objects.script("true")).exit_code == 0
    assert len(owner.of(order, Ended)) == 1


def test_an_unreadable_kill_is_skipped(owner, running):
    owner.write_control(b"{", b'{"run_id": 1}', None)
    order = running(OBEYS)
    owner.kill(order)
    assert ended(owner, order) == (EndCause.CANCELLED, 143)


def test_a_dispatch_read_after_its_kill_is_claimed_and_never_started(owner, objects, running):
    order = owner.order(objects.script("true"))
    killed_later = running(OBEYS)
    owner.kill(order, killed_later)
    owner.end_of(killed_later)
    owner.dispatch(order)
    assert ended(owner, order) == (EndCause.CANCELLED, None)
    assert owner.of(order, (Claimed, Started)) == []
    assert owner.end_of(order).started_at is None
