"""Unreadable batches on a real broker: their offsets are skipped, and the records around them arrive."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import aiokafka
import confluent_kafka
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.inbox import open_inbox
from connectors.owner_clocks import CLOCK_KEY, OwnerClock, latest_clocks
from connectors.topics import create
from executors.clock import cluster_clock as executor_clock
from executors.consumer import Claimer, ClaimerContext
from executors.control import Control
from executors.skip_unreadable import dead_letter
from executors.slots import Slots
from observe.health import Health
from schemas import silent as silent_batches
from schemas.cluster import RECORD_KEY, Cluster
from schemas.cluster_record import find
from schemas.codec import encode
from schemas.confinement import NOTHING_GIVEN
from schemas.control import Kill
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.ids import ExecutorId
from schemas.settings import Connections
from schemas.topics import CLUSTER, CONTROL, DEADLETTER, EXECUTORS, REQUESTS, STATE
from streams import owner_log
from streams.clock import cluster_clock
from streams.groups import Groups
from streams.heartbeat_reader import HeartbeatReader
from streams.owner.intake import read_input
from streams.owner.session_calls import Read
from streams.owner_log import OwnerLog
from streams.skip_unreadable import is_skip_mark, skip_unreadable_batches
from tests.support.executor_figures import new_metrics
from tests.support.servers.bad_checksum_producer import write_unreadable
from tests.support.servers.damaged_batches import DAMAGES, broken_body, damage_batch, odd_header, unknown_codec
from tests.support.servers.kafka_node import running_node
from tests.support.waiting import eventually
from tidemill.lag import read_to_end
from tidemill.target import wall_clock

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
IN_THE_BATCH = 40
MUCH = 10**6
DISPATCHES = "runs.10s"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """A reader suspects sooner that a batch is silent; what it suspects wrongly it reads again."""
    monkeypatch.setattr(silent_batches, "SILENCE_SECONDS", 2.0)
    monkeypatch.setattr(silent_batches, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(owner_log, "READ_TIMEOUT_SECONDS", 2.0)


@pytest.fixture(scope="module")
def node():
    skip_unreadable_batches()
    with running_node() as node:
        yield node


@pytest.fixture(scope="module")
def connections(node):
    connections = Connections(kafka_bootstrap=node.address, partitions=1, topic_prefix="t.")
    create(connections)
    return connections


@pytest.fixture
def write(connections):
    """A function that appends each group of values as one batch; it returns the offset of the first record."""

    def write(topic: str, *batches: list[bytes], codec: str = "lz4", **record) -> int:
        producer = Producer(connections.kafka(compression_type=codec, linger_ms=1_000))
        offsets: list[int] = []
        for batch in batches:
            for value in batch:
                producer.produce(
                    connections.topic(topic),
                    value,
                    partition=0,
                    on_delivery=lambda error, m: offsets.append(m.offset()),
                    **record,
                )
            producer.flush(10)
        return min(offsets)

    return write


@pytest.fixture
def spoiled(node, connections, write):
    """A function that writes three batches, the middle one unreadable; it returns the offsets of that one."""

    def spoiled(topic: str, value: bytes = b"x", damage=broken_body, **record) -> tuple[int, int]:
        first = write(topic, [value], [value] * IN_THE_BATCH, [value], **record)
        return damage_batch(node.data, connections.topic(topic), 0, first + 1, damage)

    return spoiled


@pytest.fixture
def log(connections):
    clock = cluster_clock(connections)
    clock.turn()
    with closing(OwnerLog(connections, 0, "owner-0", clock, Groups(connections, "streams", "worker"))) as log:
        yield log


def read(log: OwnerLog, topic: str, after: int):
    return log.read(Read(topic=topic, after=after, until=None, records=MUCH, bytes=MUCH)).records


async def by_faust(connections: Connections, topic: str, start: int, until: int) -> list[aiokafka.ConsumerRecord]:
    """The records that the client below Faust delivers, from one offset to another."""
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=connections.kafka_bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        where = aiokafka.TopicPartition(connections.topic(topic), 0)
        consumer.assign([where])
        consumer.seek(where, start)
        found: list[aiokafka.ConsumerRecord] = []
        while not found or found[-1].offset < until:
            found += (await consumer.getmany(where, timeout_ms=10_000))[where]
        return found
    finally:
        await consumer.stop()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("is_of_the_topic", [False, True], ids=["the producer's", "the topic's"])
def test_every_codec_of_kafka_is_read_by_both_clients(connections, write, log, codec, is_of_the_topic):
    name = f"{codec}-{is_of_the_topic}"
    config = {"compression.type": codec.replace("none", "uncompressed") if is_of_the_topic else "producer"}
    topics = [NewTopic(connections.topic(name), 1, 1, config=config)]
    admin = AdminClient(connections.kafka())  # keep a reference until the answer arrives
    admin.create_topics(topics)[connections.topic(name)].result(10)
    values = [b"%d " % number * 100 for number in range(30)]
    write(name, values, codec="none" if is_of_the_topic else codec)
    assert [each.value for each in read(log, name, -1)] == values
    assert [each.value for each in asyncio.run(by_faust(connections, name, 0, 29))] == values


@pytest.mark.parametrize("damage", [broken_body, unknown_codec])
def test_an_owner_reads_on_behind_a_batch_that_cannot_be_read(spoiled, log, damage):
    first, last = spoiled(REQUESTS, damage=damage)
    before, bad, after = read(log, REQUESTS, first - 2)
    assert (before.offset, bad.offset, after.offset) == (first - 1, last, last + 1)
    assert (bad.unreadable.first, bad.unreadable.last, last - first) == (first, last, IN_THE_BATCH - 1)
    refused = read_input(bad, 0, 1)
    assert (refused.origin.topic, refused.origin.offset, refused.origin.value) == (REQUESTS, first, None)
    assert refused.reason.startswith(f"records {first} to {last} of topic requests cannot be read, and had no effect: ")
    (rest, _) = read(log, REQUESTS, first + 5)
    assert (rest.unreadable.first, rest.unreadable.last) == (first + 6, last)


def test_a_batch_that_no_client_reads_is_skipped(connections, log):
    topic = connections.topic(REQUESTS)
    first, last = write_unreadable(connections.kafka_bootstrap, topic, 0, [b"x" * 300] * 5)
    (bad,) = read(log, REQUESTS, first - 1)
    assert (bad.unreadable.first, bad.unreadable.last) == (first, last)
    (mark,) = asyncio.run(by_faust(connections, REQUESTS, first, last))
    assert (mark.offset, is_skip_mark(mark.headers)) == (last, True)


def test_a_batch_that_a_client_drops_silently_is_skipped_too(node, connections, write, log):
    first = write(REQUESTS, [b"x"] * 3)
    damage_batch(
        node.data, connections.topic(REQUESTS), 0, first, broken_body
    )  # so short that the client reports no error for the rest of it
    *read_before, bad = read(log, REQUESTS, first - 1)
    assert (bad.unreadable.first, bad.unreadable.last) == (first + len(read_before), first + 2)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_client_of_faust_marks_an_unreadable_batch_and_continues(connections, spoiled, damage):
    first, last = spoiled(REQUESTS, damage=damage)
    found = asyncio.run(by_faust(connections, REQUESTS, first - 1, last + 1))
    assert (found[0].offset, found[-1].offset) == (first - 1, last + 1)
    if damage is not DAMAGES["an unknown format"]:  # the client takes it for the newest format
        assert [(each.offset, is_skip_mark(each.headers)) for each in found[1:-1]] == [(last, True)]


def test_a_record_with_a_header_whose_name_is_no_text_is_read_all_the_same(node, connections, write, log):
    first = write(REQUESTS, [b"a", b"b"], codec="none", headers=[("name", b"1")])
    damage_batch(node.data, connections.topic(REQUESTS), 0, first, odd_header)
    assert [each.value for each in read(log, REQUESTS, first - 1)] == [b"a", b"b"]


def test_the_state_of_an_owner_is_read_around_an_unreadable_batch_and_reported(spoiled, log):
    first, last = spoiled(STATE, key=b"k")
    keys = [key for _, key, _ in log.read_state()]
    assert keys == ["k", "k"]
    (refused,) = log.take_refused()
    assert refused.reason.startswith(f"records {first} to {last} of topic state cannot be read")
    assert log.take_refused() == []


@pytest.mark.parametrize("key", [None, b"\xff"], ids=["none", "no text"])
def test_invalid_keys_stop_no_owner(write, log, key):
    write(STATE, [b"x"], key=key)
    write(DISPATCHES, [b"x"], key=key, headers=[("token", b"1")])
    write(DISPATCHES, [b"x"], key=b"a", headers=[("token", b"none")])
    assert None not in [key for _, key, _ in log.read_state()]
    assert log.unclaimed() == {}


@pytest.fixture
def silent(node, connections, write):
    """The same with a batch so short that the client reports no error for it, and delivers nothing after it."""

    def silent(topic: str, value: bytes = b"x", **record) -> tuple[int, int]:
        first = write(topic, [value], [b"x"] * 3, [value], **record)
        return damage_batch(node.data, connections.topic(topic), 0, first + 1, broken_body)

    return silent


@pytest.mark.parametrize("kind", ["spoiled", "silent"])
def test_heartbeats_after_an_unreadable_batch_are_read(connections, request, kind):
    at = datetime(2026, 3, 1, tzinfo=UTC)
    beat = Heartbeat(
        executor_id=ExecutorId("e.1"), name="e", host="h", version="1", state=ExecutorState.RUNNING, at=at,
        interval=timedelta(seconds=3), slots=(), windows=(), attempts=(),
    )  # fmt: skip
    first, last = request.getfixturevalue(kind)(EXECUTORS, encode(beat), key=b"e")
    heard, positions, refused = [], {}, []
    reader = HeartbeatReader(
        connections,
        "worker",
        heard.append,
        positions.update,
        lambda *each: refused.append(each),
        lambda: None,
        Health(),
    )
    reader.start()
    try:
        eventually(lambda: positions.get(0, 0) >= last + 2 and len(heard) >= 2, 90, "the heartbeat behind it")
    finally:
        reader.stop()
    partition, said = refused[-1]
    assert partition == 0
    assert first <= said.origin.offset <= last


def test_the_sink_records_an_unreadable_batch_as_one_problem(connections, spoiled):
    first, last = spoiled(DEADLETTER)
    with open_inbox(connections, "sink") as inbox:
        inbox.read_from({(connections.topic(DEADLETTER), 0): first - 1})
        found = []
        eventually(lambda: found.extend(inbox.take(100)) or len(found) == 3, 30, "the record behind it")
    assert [each.offset for each in sorted(found, key=lambda each: each.offset)] == [first - 1, last, last + 1]
    (bad,) = [each.unreadable for each in found if each.unreadable]
    assert (bad.first, bad.last) == (first, last)


def test_the_sink_records_a_silently_dropped_batch_as_one_problem(connections, silent):
    first = silent(DEADLETTER)[0] - 1
    with open_inbox(connections, "sink") as inbox:
        inbox.read_from({(connections.topic(DEADLETTER), 0): first})
        found = []
        eventually(lambda: found.extend(inbox.take(100)) or (found and found[-1].offset == first + 4), 90, "the record")
    (bad,) = [each for each in found if each.unreadable]
    assert (bad.offset, bad.unreadable.last) == (first + 3, first + 3)
    read = {each.offset for each in found if not each.unreadable}
    assert read | set(range(bad.unreadable.first, first + 4)) == set(range(first, first + 5))


def test_an_executor_claims_past_an_unreadable_batch(connections, spoiled, log):
    spoiled(DISPATCHES)
    passed, crashes = [], []
    context = ClaimerContext(
        timeout_class="10s", slots=Slots({"10s": 1}), clock=executor_clock(connections), may_claim=lambda: True,
        given=NOTHING_GIVEN,
        is_ill=lambda: False, metrics=new_metrics(), health=Health(),
        on_polled=lambda *_: None, on_claimed=lambda *_: None, on_assigned=lambda *_: None,
        on_unreadable=lambda *each: passed.append(each), on_crash=crashes.append, capacity=100,
    )  # fmt: skip
    claimer = Claimer(connections, context, client_id="e")
    claimer.start()
    try:
        eventually(lambda: log.claimed_below()["10s"] == log._offsets(DISPATCHES, 0)[1], 60, "everything to be claimed")
    finally:
        claimer.stop()
    ((where, found),) = passed
    assert crashes == []
    letter = dead_letter(connections, where, found)
    assert (letter.topic, letter.partition, letter.key) == (connections.topic(DEADLETTER), 0, DISPATCHES)
    assert dict(letter.headers)["source_offset"] == str(found.first).encode()


@pytest.mark.parametrize("kind", ["spoiled", "silent"])
def test_kills_after_an_unreadable_batch_are_obeyed(connections, request, kind):
    kill = Kill(run_id="a@1", token=1, grace=timedelta(0), valid_for=timedelta(minutes=1))
    first, last = request.getfixturevalue(kind)(CONTROL, encode(kill))
    orders, is_caught_up, passed = [], threading.Event(), []
    control = Control(
        connections, client_id="e", health=Health(), on_orders=orders.extend, on_caught_up=is_caught_up.set,
        on_unreadable=lambda *each: passed.append(each), on_crash=print,
    )  # fmt: skip
    control.start(wall_clock())
    try:
        assert is_caught_up.wait(90)
        assert len(orders) >= 2, "the orders around it"
    finally:
        control.stop()
    _, found = passed[-1]
    assert first <= found.first <= found.last == last


def test_the_command_line_reads_past_an_unreadable_batch(connections, spoiled):
    first, last = spoiled(EXECUTORS, key=b"e")
    offsets = [each.offset() for each in read_to_end(connections, {(connections.topic(EXECUTORS), 0): first - 1})]
    assert offsets == [first - 1, last + 1]


def test_the_last_clock_of_an_owner_is_found_after_an_unreadable_batch(connections, spoiled):
    clock = OwnerClock(watermark=datetime(2026, 3, 1, tzinfo=UTC))
    spoiled(STATE, encode(clock), key=CLOCK_KEY)
    assert latest_clocks(connections)[0].clock == clock


def test_the_settings_of_the_deployment_are_read_after_an_unreadable_batch(connections, spoiled):
    spoiled(CLUSTER, encode(Cluster(timeout_classes="10s")), key=RECORD_KEY)
    assert find(connections, confluent_kafka).cluster.classes == ("10s",)
