"""A record on which the core fails: it is tried again, then set aside with its reason, and stops nothing else."""

from __future__ import annotations

import pytest
from simulated import Log

from schemas.topics import DEADLETTER
from streams.core import step as core
from streams.owner import owner as owner_module
from streams.owner.failures import Failures, RecordFailedError, TransactionFailedError
from streams.owner.owner import Owner


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


def turned(log: Log, failures: Failures) -> Owner:
    """As the holder of a partition does it, until all is written that was read."""
    for _ in range(5):
        owner = log.recover(failures)
        try:
            while owner.backlog:
                log.turn(owner)
        except (RecordFailedError, TransactionFailedError) as error:
            failures.note(error)
        else:
            return owner
    raise AssertionError("five owners have failed")


def logged() -> Log:
    log = Log()
    log.define()
    for request_id in ("before", "bad", "after"):
        log.request(request_id)
    return log


def test_what_stands_before_and_behind_a_record_that_fails_is_decided(broken_requests):
    log = logged()
    owner = turned(log, Failures())
    assert set(log.statuses()) == {"job#before", "job#after"}
    assert owner.state.durable.token < 1_000, "nothing is left of the owners that failed"


def test_a_record_that_fails_twice_is_a_dead_letter_that_says_where_and_why(broken_requests):
    log = logged()
    turned(log, Failures())
    (letter,) = [each for each in log.written if each.topic == DEADLETTER]
    headers = {name: value.decode() for name, value in letter.headers}
    assert (headers["source_topic"], headers["source_offset"]) == ("cdc", "2")
    assert headers["reason"].startswith("record cdc@2 is set aside: it failed twice")
    assert "ZeroDivisionError: a bug" in headers["reason"]
    assert b'"request_id":"bad"' in (letter.value or b"")


def test_a_record_that_failed_by_chance_is_not_set_aside(broken_requests, monkeypatch):
    log, failures = logged(), Failures()
    with pytest.raises(RecordFailedError) as failed:
        log.turn(log.recover(failures))
    failures.note(failed.value)
    monkeypatch.undo()
    turned(log, failures)
    assert set(log.statuses()) == {"job#before", "job#bad", "job#after"}


def test_where_the_state_is_at_fault_no_record_is_blamed_for_it(monkeypatch):
    """It fails as well where the record is only to be set aside: that ends the worker, and nothing is written."""

    def out_of_order(*_):
        raise ZeroDivisionError("not the record's fault")

    monkeypatch.setattr(core, "advance_epochs", out_of_order)
    log, failures = logged(), Failures()
    for _ in range(2):
        with pytest.raises(RecordFailedError) as failed:
            log.turn(log.recover(failures))
        failures.note(failed.value)
    with pytest.raises(ZeroDivisionError):
        log.turn(log.recover(failures))
    assert log.written == []


def test_what_is_applied_is_forgotten(broken_requests):
    log, failures = logged(), Failures()
    owner = turned(log, failures)
    assert failures.refused
    failures.forget({topic: each.offset for topic, each in owner.state.durable.applied.items()})
    assert not failures.refused


def test_one_of_many_records_whose_effects_cannot_be_written_is_found_and_set_aside(monkeypatch):
    """It is known that a transaction cannot be encoded, or does not fit, but not for which of its records."""
    real = owner_module.transaction

    def transaction(state, effects):
        if any(getattr(each, "request_id", None) == "bad" for each in effects):
            raise TypeError("Recursion limit reached")
        return real(state, effects)

    monkeypatch.setattr(owner_module, "transaction", transaction)
    log, failures = logged(), Failures()
    owner = turned(log, failures)
    assert set(log.statuses()) == {"job#before", "job#after"}
    (letter,) = [each for each in log.written if each.topic == DEADLETTER]
    assert b"TypeError: Recursion limit reached" in dict(letter.headers)["reason"]
    failures.forget({topic: each.offset for topic, each in owner.state.durable.applied.items()})
    assert not failures.suspects, "what is applied is taken together again"
    assert not failures.refused
