"""A record on which the core fails: it is tried again, then set aside with its reason, and stops nothing else."""

from __future__ import annotations

import pytest

from schemas.topics import DEADLETTER
from streams.core import step as core
from streams.owner import owner as owner_module
from streams.owner.failures import RecordFailedError, TransactionFailedError
from streams.owner.session_calls import Commit, Failed, LogFailedError
from tests.support.simulated.driven_session import Driven
from tests.support.simulated.log import Log


@pytest.fixture
def broken_requests(monkeypatch):
    """A bug of the core: it cannot decide about the request with this id."""
    real = core.apply_request

    def apply_request(state, request, *more):
        if request.request_id == "bad":
            state.durable.token += 1_000  # half of the work is done
            raise ZeroDivisionError("a bug")
        return real(state, request, *more)

    monkeypatch.setattr(core, "apply_request", apply_request)


def turned(log: Log) -> Driven:
    """Until all is written that was read."""
    session = log.recover()
    for _ in range(20):
        if not session.backlog:
            return session
        log.turn(session)
    raise AssertionError("the session comes to no end")


def failures(session: Driven) -> list[Exception]:
    return [each.error for each in session.calls if isinstance(each, Failed)]


def logged() -> Log:
    log = Log()
    log.define()
    for request_id in ("before", "bad", "after"):
        log.request(request_id)
    return log


def test_what_stands_before_and_behind_a_record_that_fails_is_decided(broken_requests):
    log = logged()
    owner = turned(log)
    assert set(log.statuses()) == {"job#before", "job#after"}
    assert owner.state.durable.token < 1_000, "nothing is left of the owners that failed"


def test_a_record_that_fails_twice_is_a_dead_letter_that_says_where_and_why(broken_requests):
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


def test_where_the_state_is_at_fault_no_record_is_blamed_for_it(monkeypatch):
    """The next owner fails as well, without any record: that ends the worker, and nothing is written."""

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


def test_what_is_applied_is_forgotten(broken_requests):
    log = logged()
    session = turned(log)
    remembered = session.session._failures
    assert remembered.refused
    session.failing[Commit] = LogFailedError("the brokers are away")
    log.turn(session, 5)
    assert not remembered.refused


def test_one_of_many_records_whose_effects_cannot_be_written_is_found_and_set_aside(monkeypatch):
    """It is known that a transaction cannot be encoded, or does not fit, but not for which of its records."""
    real = owner_module.to_transaction

    def to_transaction(state, effects):
        if any(getattr(each, "key", None) == "job#bad" for each in effects):
            raise TypeError("Recursion limit reached")
        return real(state, effects)

    monkeypatch.setattr(owner_module, "to_transaction", to_transaction)
    log = logged()
    session = turned(log)
    assert [type(each) for each in failures(session)] == [TransactionFailedError] + 2 * [RecordFailedError]
    assert set(log.statuses()) == {"job#before", "job#after"}
    (letter,) = [each for each in log.written if each.topic == DEADLETTER]
    assert b"TypeError: Recursion limit reached" in dict(letter.headers)["reason"]
