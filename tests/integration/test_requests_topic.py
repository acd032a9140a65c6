"""Requests by the public topic on the real stack: one run each, in whatever partition and from whatever producer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer

from schemas.ids import request_run_id
from schemas.partition import partition_of
from schemas.topics import REQUESTS
from streams.forward import MARK
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[2] / "examples" / "producer.py"
SECONDS = 30


@pytest.fixture
def job(stack, name, journal):
    """A job that appends its run id and payload to the journal."""
    stack.put_job(name, stack.put_script(name, f'echo "$TIDEMILL_RUN_ID $(cat)" >> {journal}'))
    return name


def asked(job, request_id, **fields):
    return orjson.dumps({"request_id": request_id, "job_id": job, **fields})


def example(stack, *arguments):
    env = os.environ | {
        "TIDEMILL_KAFKA_BOOTSTRAP": stack.connections.kafka_bootstrap,
        "TIDEMILL_TOPIC_PREFIX": stack.connections.topic_prefix,
    }
    return subprocess.run(
        [sys.executable, EXAMPLE, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_example_producer_and_a_row_with_the_same_id_are_one_run(stack, job, journal):
    for _ in range(2):
        ran = example(stack, job, f"{job}r", '{"invoice": 42.10}')
        assert (ran.returncode, ran.stdout) == (0, f"requested: the run will be {job}#{job}r\n"), ran.stderr
    run_id = stack.request(job, f"{job}r")
    assert stack.wait_until_final(run_id)["state"] == "succeeded"
    last = stack.request(job, f"{job}last")
    stack.wait_until_final(last)
    assert journal.read_text().splitlines() == [f'{run_id} {{"invoice": 42.10}}', f"{last} "]
    assert [each["run_id"] for each in stack.runs_of(job)] == [run_id, last]


def test_requests_in_every_partition_are_forwarded_and_each_id_runs_once(stack, job, journal):
    partitions = range(stack.connections.partitions)
    producer = Producer(stack.connections.kafka())
    for partition in partitions:
        for request_id in (f"{job}everywhere", f"{job}{partition}"):
            producer.produce(stack.connections.topic(REQUESTS), asked(job, request_id), partition=partition)
    assert producer.flush(SECONDS) == 0
    expected = {request_run_id(job, f"{job}{each}") for each in ("everywhere", *partitions)}
    for run_id in expected:
        stack.wait_until_final(run_id)
    assert sorted(line.split()[0] for line in journal.read_text().splitlines()) == sorted(expected)
    assert {each["run_id"] for each in stack.runs_of(job)} == expected


def test_a_forwarded_request_in_the_wrong_partition_is_a_problem(stack, job):
    home = partition_of(job, stack.connections.partitions)
    away = (home + 1) % stack.connections.partitions
    producer = Producer(stack.connections.kafka())
    producer.produce(
        stack.connections.topic(REQUESTS), asked(job, f"{job}r"), job, away, headers=[(MARK, b"somewhere")]
    )
    assert producer.flush(SECONDS) == 0
    (found,) = eventually(lambda: stack.rows("select * from problems where owner = %s", [job]), SECONDS, "the problem")
    assert (found["source_topic"], found["source_partition"]) == (REQUESTS, away)
    assert f"is in partition {away}, its home is partition {home}" in found["reason"]


def test_requests_of_an_aborted_transaction_never_run(stack, job, journal):
    producer = Producer(stack.connections.kafka(transactional_id=job))
    producer.init_transactions(SECONDS)
    home = partition_of(job, stack.connections.partitions)
    for request_id, end in (("aborted", producer.abort_transaction), ("committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(stack.connections.topic(REQUESTS), asked(job, f"{job}{request_id}"), job, home)
        assert producer.flush(SECONDS) == 0
        end(SECONDS)
    run_id = request_run_id(job, f"{job}committed")
    stack.wait_until_final(run_id)
    assert [line.split()[0] for line in journal.read_text().splitlines()] == [run_id]
    assert [each["run_id"] for each in stack.runs_of(job)] == [run_id]
