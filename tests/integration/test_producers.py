"""Foreign producers on the real stack: every codec is read, and an unreadable batch blocks no other request."""

from __future__ import annotations

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from schemas.partition import partition_of
from schemas.topics import REQUESTS
from tests.support.servers.bad_checksum_producer import write_unreadable
from tests.support.waiting import eventually
from tidemill.cli import run

pytestmark = pytest.mark.integration

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
SECONDS = 30


@pytest.fixture
def job(stack, name):
    stack.put_job(name, stack.put_script(name, "cat"), overlap_policy="allow_all")
    return name


@pytest.fixture
def ask(stack, job):
    """Writes requests as one batch; returns the first and last offset."""

    def ask(*request_ids: str, codec: str = "lz4") -> tuple[int, int]:
        offsets: list[int] = []
        producer = Producer(stack.connections.kafka(compression_type=codec, linger_ms=1_000))
        for each in request_ids:
            producer.produce(
                stack.connections.topic(REQUESTS),
                orjson.dumps({"request_id": each, "job_id": job, "payload": "x" * 300}),
                partition=partition_of(job, stack.connections.partitions),
                on_delivery=lambda error, message: offsets.append(message.offset()),
            )
        assert producer.flush(SECONDS) == 0
        return min(offsets), max(offsets)

    return ask


@pytest.fixture
def squeezed_by_the_topic(stack):
    """Sets the topic's own codec."""
    admin = AdminClient(stack.connections.kafka())

    def ask_for(codec: str) -> None:
        entry = ConfigEntry("compression.type", codec, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, stack.connections.topic(REQUESTS), incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(SECONDS)

    yield ask_for
    ask_for("producer")


def test_requests_in_every_codec_run(stack, job, ask):
    for codec in CODECS:
        ask(f"{job}{codec}", f"{job}{codec}-too", codec=codec)
    for codec in CODECS:
        assert stack.wait_until_final(f"{job}#{job}{codec}")["state"] == "succeeded"
        assert stack.wait_until_final(f"{job}#{job}{codec}-too")["state"] == "succeeded"


@pytest.mark.parametrize("codec", CODECS[1:])
def test_requests_in_the_codec_of_the_topic_run(stack, job, ask, squeezed_by_the_topic, codec):
    squeezed_by_the_topic(codec)
    ask(f"{job}{codec}", codec="none")
    assert stack.wait_until_final(f"{job}#{job}{codec}")["state"] == "succeeded"


def test_an_unreadable_batch_is_a_problem_that_doctor_names_and_other_requests_run(stack, job, ask, capsys):
    partition, topic = partition_of(job, stack.connections.partitions), stack.connections.topic(REQUESTS)
    first, last = write_unreadable(stack.connections.kafka_bootstrap, topic, partition, [b"x" * 300] * 20)
    ask(f"{job}behind")
    assert stack.wait_until_final(f"{job}#{job}behind")["state"] == "succeeded"
    assert stack.wait_until_final(stack.request(job, f"{job}by-sql"))["state"] == "succeeded"

    def problems():
        return stack.rows(
            "select * from problems where source_topic = 'requests' and source_partition = %s and source_offset = %s",
            [partition, first],
        )

    (problem,) = eventually(problems, SECONDS, "the problem")
    sentence = f"records {first} to {last} of topic requests cannot be read, and had no effect: "
    assert problem["reason"].startswith(sentence)
    run(["doctor", "--json", "--data", str(stack.data)])
    found = {each["name"]: each for each in orjson.loads(capsys.readouterr().out)["findings"]}
    assert sentence in found["kafka.unreadable"]["sentence"]
