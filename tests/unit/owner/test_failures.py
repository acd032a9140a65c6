"""A record on which the core fails is retried, then set aside with its reason; other records continue."""

from __future__ import annotations

import pytest

from schemas.topics import DEADLETTER
from streams.core import step as core
from streams.owner import owner as owner_module
from streams.owner.failures import RecordFailedError, TransactionFailedError
from streams.owner.session_calls import Commit, Failed, LogFailedError
from tests.support.simulated.driven_session import DrivenSession
from tests.support.simulated.log import Log


@pytest.fixture
def broken_requests(monkeypatch):
    """A simulated bug: the core fails on the request `bad`."""
    real = core.apply_request

    def apply_request(state, request, *more):
        if request.request_id == "bad":
            state.durable.token += 1_000  # half of the change is done
            raise ZeroDivisionError("a bug")
        return real(state, request, *more)

    monkeypatch.setattr(core, "apply_request", apply_request)


def turned(log: Log) -> DrivenSession:
    """Takes turns until everything that was read is written."""
    session = log.recover()
    for _ in range(20):
        if not session.backlog:
            return session
        log.turn(session)
    raise AssertionError("the session comes to no end")


def failures(session: DrivenSession) -> list[Exception]:
    return [each.error for each in session.calls if isinstance(each, Failed)]


def logged() -> Log:
    log = Log()
    log.define()
    for request_id in ("before", "bad", "after"):
        log.request(request_id)
    return log


def test_records_before_and_after_a_failing_record_are_applied(broken_requests):
    log = logged()
    owner = turned(log)
    assert set(log.statuses()) == {"job#before", "job#after"}
    assert owner.state.durable.token < 1_000, "nothing is left of the owners that failed"


def test_a_record_that_fails_twice_is_a_problem_with_its_place_and_reason(broken_requests):
    log = logged()
    turned(log)
    (letter,) = [each for each in log.written if each.topic == DEADLETTER]
    headers = {name: value.decode() for name, value in letter.headers}
    assert (headers["source_topic"], headers["source_offset"]) == ("cdc", "2")
    assert (headers["kind"], headers["code"]) == ("dead_letter", "record_failed")
    assert headers["reason"].startswith("record cdc@2 is set aside: it failed twice")
    assert "ZeroDivisionError: a bug" in headers["reason"]
    assert b'"request_id":"bad"' in (letter.value or b"")


def test_a_record_that_failed_by_chance_is_not_set_aside(broken_requests, monkeypatch):
    log = logged()
    session = log.recover()
    log.turn(session)
    assert [type(each) for each in failures(session)] == [RecordFailedError]
    monkeypatch.undo()
    while session.backlog:
        log.turn(session)
    assert set(log.statuses()) == {"job#before", "job#bad", "job#after"}


def test_a_fault_in_the_state_blames_no_record(monkeypatch):
    """The next owner fails too, without any record: the worker ends, and nothing is written."""

    def out_of_order(*_):
        raise ZeroDivisionError("not the record's fault")

    log = Log()
    session = log.recover()
    log.turn(session)
    written = list(log.written)
    monkeypatch.setattr(core, "PASSES", (core.Pass(out_of_order, "It fails."),))
    session.offer(log.define())
    log.turn(session)
    with pytest.raises(ZeroDivisionError):
        log.turn(session)
    assert log.written == written


def test_failures_of_applied_records_are_forgotten(broken_requests):
    log = logged()
    session = turned(log)
    remembered = session.session._failures
    assert remembered.refused
    session.failing[Commit] = LogFailedError("the brokers are away")
    log.turn(session, 5)
    assert not remembered.refused


def test_the_one_record_whose_effects_cannot_be_written_is_found_and_set_aside(monkeypatch):
    """The owner knows that a transaction cannot be encoded, or is too large, but not because of which record."""
    real = owner_module.to_transaction

    def to_transaction(state, effects, first_captured):
        if any(getattr(each, "key", None) == "job#bad" for each in effects):
            raise TypeError("Recursion limit reached")
        return real(state, effects, first_captured)

    monkeypatch.setattr(owner_module, "to_transaction", to_transaction)
    log = logged()
    session = turned(log)
    assert [type(each) for each in failures(session)] == [TransactionFailedError] + 2 * [RecordFailedError]
    assert set(log.statuses()) == {"job#before", "job#after"}
    (letter,) = [each for each in log.written if each.topic == DEADLETTER]
    assert b"TypeError: Recursion limit reached" in dict(letter.headers)["reason"]
