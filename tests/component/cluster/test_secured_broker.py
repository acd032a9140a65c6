"""One set of TLS and password settings serves all our clients, and a run completes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import orjson
import pytest
from confluent_kafka import Producer

from connectors.cluster import establish
from connectors.objects import Objects
from schemas.codec import decode, encode
from schemas.job import JobSpec
from schemas.settings import AgreedSettings, Connections
from schemas.status import RunStatus
from schemas.topics import CDC, REQUESTS, STATUS
from schemas.words import RunState
from tests.support.servers.secured_kafka_node import running_secured_node
from tests.support.servers.server_process import running_s3
from tests.support.servers.topic_records import read_committed
from tests.support.waiting import eventually
from tidemill.doctor.facts import Silent
from tidemill.doctor.look_kafka import look
from tidemill.monitor.deployment import Deployment
from tidemill.web.parts import read_parts

PARTITIONS = 2
RUN_SECONDS = 60


@pytest.fixture(scope="module")
def place():
    with running_secured_node(PARTITIONS) as secured, running_s3() as s3:
        place = Connections(**s3.model_dump() | secured.model_dump(exclude_defaults=True))
        establish(place, AgreedSettings())
        yield place


@contextmanager
def running(module, place, folder):
    """Runs one of our processes, configured by its environment."""
    values = place.model_dump(exclude_defaults=True)
    environment = {
        f"TIDEMILL_{name.upper()}": value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in values.items()
    }
    log = folder / f"{module}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, **environment, "TIDEMILL_WORK_DIR": str(folder)},
            stderr=file,
        )
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


def write(place, topic, value):
    producer = Producer(place.kafka(partitioner="murmur2_random"))
    producer.produce(place.topic(topic), key="job", value=orjson.dumps(value))
    assert producer.flush(RUN_SECONDS) == 0


def define(place):
    spec = JobSpec(job_id="job", executable=Objects(place).put("bin/hello", b"#!/bin/sh\necho hello\n"))
    row = {"__table": "definitions", "owner": "job", "kind": "job", "version": 1, "deleted": False}
    write(place, CDC, {**row, "valid_from": "2026-11-26T00:00:00Z", "spec": encode(spec).decode()})


def test_a_run_completes_through_a_broker_with_tls_and_a_password(place, tmp_path):
    with ExitStack() as parts:
        parts_running = [parts.enter_context(running(each, place, tmp_path)) for each in ("streams", "executors")]

        def succeeded():
            for process, log in parts_running:
                assert process.poll() is None, log.read_text()
            found = [decode(each.value(), RunStatus) for each in read_committed(place, STATUS) if each.value()]
            return [each for each in found if each.state is RunState.SUCCEEDED]

        define(place)
        write(place, REQUESTS, {"request_id": "r", "job_id": "job"})
        said = [log for _, log in parts_running]
        (status,) = eventually(succeeded, RUN_SECONDS, lambda: "".join(each.read_text()[-3000:] for each in said))
    assert status.attempts[-1].output == "hello\n"


def test_the_doctor_connects_too(place):
    assert not isinstance(look(place), Silent)


def test_the_web_page_reads_each_partition_of_the_deployment(place):
    found = read_parts(Deployment(place.model_copy(update={"partitions": PARTITIONS + 1})))
    assert found.partitions == PARTITIONS
    assert found.clocks is not None
    assert found.executors is not None


def test_a_wrong_password_is_reported(place):
    wrong = Connections(**place.model_dump() | {"kafka_options": place.kafka_options | {"sasl.password": "wrong"}})
    found = look(wrong)
    assert isinstance(found, Silent)
    assert "uthentication" in found.reason
