"""Requests on the real stack: each runs once, however often and in whatever order it arrives."""

from __future__ import annotations

from datetime import timedelta

import orjson
import psycopg
import pytest

from schemas.ids import request_run_id
from schemas.topics import CDC
from tests.support import checkers
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

LATER = timedelta(seconds=3)
TOLERATED = timedelta(seconds=5)
COPIES = 5


@pytest.fixture
def executable(stack, name, journal):
    """A script that appends its run id to the journal."""
    return stack.put_script(name, f'echo "$TIDEMILL_RUN_ID" >> {journal}')


def record_of(stack, request_id):
    def look():
        return [each for each in stack.read(CDC) if request_id.encode() in (each.value() or b"")]

    (record,) = eventually(look, 30, f"the record of request {request_id}")
    return record


def test_a_run_for_later_starts_at_its_time_and_not_before(stack, name, executable):
    stack.put_job(name, executable)
    at = stack.now() + LATER
    run = stack.wait_until_final(stack.request(name, f"{name}r", run_at=at))
    assert timedelta(0) <= run["nominal_time"] - at < timedelta(milliseconds=1)
    assert run["nominal_time"] == run["scheduled_time"] <= run["started_at"] < at + TOLERATED
    assert run["queued_at"] < at


def test_a_repeated_request_is_refused_by_the_primary_key(stack, name, executable):
    stack.put_job(name, executable)
    stack.request(name, f"{name}r")
    with pytest.raises(psycopg.errors.UniqueViolation):
        stack.request(name, f"{name}r")


def test_a_request_whose_record_arrives_repeatedly_runs_once(stack, name, executable, journal):
    stack.put_job(name, executable)
    run_id = stack.request(name, f"{name}r")
    record = record_of(stack, f"{name}r")
    for _ in range(COPIES):
        stack.write(CDC, name, record.value())
    stack.wait_until_final(run_id)
    stack.write(CDC, name, record.value())
    last = stack.request(name, f"{name}last")
    stack.wait_until_final(last)
    assert sorted(journal.read_text().split()) == sorted([run_id, last])
    assert [each["run_id"] for each in stack.runs_of(name)] == [run_id, last]
    assert checkers.dispatched_in_order(stack.dispatches(name)) == []


def test_a_request_before_its_definition_in_one_transaction_runs(stack, name, executable):
    with stack.database.transaction():
        run_id = stack.request(name, f"{name}r")
        stack.put_job(name, executable)
    assert stack.wait_until_final(run_id)["state"] == "succeeded"


def test_a_request_that_arrives_before_its_definition_waits_for_it(stack, name, executable):
    run_id = stack.request(name, f"{name}r")
    record_of(stack, f"{name}r")
    stack.put_job(name, executable)
    assert stack.wait_until_final(run_id)["state"] == "succeeded"


def test_a_request_for_a_job_that_is_never_defined_is_refused_with_the_reason(stack, name):
    stack.request(name, f"{name}r")

    def problem():
        return stack.rows("select * from problems where owner = %s", [name])

    (found,) = eventually(problem, 30, "the refusal")
    assert f"job {name!r} does not exist" in found["reason"]
    assert stack.run(request_run_id(name, f"{name}r")) is None


def test_a_request_for_a_deleted_job_is_refused_with_the_reason(stack, name, executable):
    stack.put_job(name, executable)
    stack.delete_job(name)
    stack.request(name, f"{name}r")
    (found,) = eventually(lambda: stack.rows("select * from problems where owner = %s", [name]), 30, "the refusal")
    assert "was deleted" in found["reason"]
    assert orjson.loads(found["record"])["request_id"] == f"{name}r"
