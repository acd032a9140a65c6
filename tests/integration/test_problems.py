"""A malformed record is a problem with a reason, and other records continue; invalid rows are refused earlier."""

from __future__ import annotations

import orjson
import psycopg
import pytest

from infra import stack as local
from schemas.partition import partition_of
from schemas.topics import CDC, EVENTS, REQUESTS
from tests.support.waiting import eventually
from tidemill.cli import run as tidemill

pytestmark = pytest.mark.integration


@pytest.fixture
def job(stack, name):
    stack.put_job(name, stack.put_script(name, "true"))
    stack.wait_until_final(stack.request(name, f"{name}first"))
    return name


def problem_of(stack, owner, count=1):
    def look():
        found = stack.rows("select * from problems where owner = %s order by record_offset", [owner])
        return found if len(found) >= count else None

    return eventually(look, 30, f"{count} problems of {owner}")


def still_works(stack, job):
    return stack.wait_until_final(stack.request(job, f"{job}after"))["state"] == "succeeded"


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        (CDC, b"\xff\x00 no json", "is not JSON"),
        (CDC, b'{"__table": "somebody_elses"}', "allowed are 'definitions' and 'requests'"),
        (CDC, b'{"__table": "requests", "request_id": 7}', "is not a valid Request"),
        (CDC, b'{"__table": "requests", "request_id": "a@b", "owner": "o", "job_id": "o", "created_at": "x"}', "is no"),
        (EVENTS, b"[]", "is not a valid EventBatch"),
        (REQUESTS, b'{"request_id": "r", "job_id": "o", "kind": "fly"}', 'kind is "fly": allowed are run, cancel'),
    ],
)
def test_a_malformed_record_is_a_problem_and_the_rest_continues(stack, job, topic, value, reason, capsys):
    stack.write(topic, job, value)
    assert still_works(stack, job)
    (found,) = problem_of(stack, job)
    assert reason in found["reason"]
    assert (found["kind"], found["code"]) == ("dead_letter", "record_refused")
    assert (found["source_topic"], found["source_partition"]) == (topic, partition_of(job, 8))
    assert tidemill(["problems", "--json", "--data", str(stack.data)]) == 0
    shown = orjson.loads(capsys.readouterr().out)
    assert found["reason"] in [each["reason"] for each in shown if each["owner"] == job]


def test_a_record_in_the_wrong_partition_is_a_problem_and_changes_nothing(stack, job):
    row = {"__table": "definitions", "owner": job, "kind": "job", "version": 2**40, "deleted": True, "spec": None}
    away = (partition_of(job, 8) + 1) % 8
    stack.write(CDC, job, orjson.dumps({**row, "valid_from": stack.now().isoformat()}), away)
    (found,) = problem_of(stack, job)
    assert f"is in partition {away}, its home is partition {partition_of(job, 8)}" in found["reason"]
    assert still_works(stack, job)


def test_a_run_that_is_given_up_is_an_alert_and_no_input_is_to_blame(stack, name, capsys):
    stack.put_job(name, stack.put_script(name, "exit 3"), max_attempts=2, initial_interval="50 ms")
    run_id = stack.request(name, f"{name}dead")
    assert stack.wait_until_final(run_id)["reason_code"] == "exit_code"
    (found,) = problem_of(stack, name)
    assert (found["kind"], found["code"], found["run_id"]) == ("alert", "run_dead", run_id)
    assert (found["source_topic"], found["source_offset"]) == (None, None)
    place = ["--json", "--data", str(stack.data)]
    assert tidemill(["problems", "--code", "run_dead", *place]) == 0
    assert run_id in [each["run_id"] for each in orjson.loads(capsys.readouterr().out)]
    assert tidemill(["problems", "--code", "record_refused", *place]) == 0
    assert run_id not in [each["run_id"] for each in orjson.loads(capsys.readouterr().out)]
    assert tidemill(["runs", "--job", name, "--reason", "exit_code", *place]) == 0
    assert [each["run_id"] for each in orjson.loads(capsys.readouterr().out)] == [run_id]
    assert tidemill(["runs", "--job", name, "--reason", "signal", *place]) == 0
    assert orjson.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"schedule": "61 * * * *"}, "schedule"),
        ({"schedule": "30 2 31 2 *"}, "schedule"),
        ({"timezone": "europe/berlin"}, 'did you mean "Europe/Berlin"'),
        ({"overlap_policy": "sometimes"}, "allowed are skip, buffer_one"),
        ({"timeout_class": "7h"}, "the timeout classes of this deployment are 2s, 10s, 1m, 1h, 24h"),
        ({"timeout": "-1 s"}, "it must be longer than 0"),
        ({"executable": "file.sh"}, "it must be s3://bucket/key"),
        ({"job_id": "a#b"}, "none of @ # / ~"),
    ],
)
def test_an_invalid_row_is_refused_in_the_writers_transaction(stack, name, columns, said):
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        stack.insert("jobs", **{"job_id": name, "executable": "s3://tidemill/x", **columns})
    assert next(iter(columns)) in str(refused.value)
    assert said in str(refused.value)


def test_all_parts_of_the_stack_still_run(stack):
    found = local.status(stack.data)
    assert found is not None
    assert {each["state"] for each in found.processes} == {"running"}
    assert not [each for each in (stack.data / "logs").glob("stream-*.log") if "owner_crashed" in each.read_text()]
