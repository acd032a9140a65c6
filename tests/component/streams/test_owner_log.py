"""The owner's log on a real broker: a new owner reads exactly what was committed, also after the broker was killed."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress
from datetime import timedelta

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.topics import create
from observe.health import Health
from schemas.cluster_clock import AGREE_SECONDS
from schemas.codec import encode
from schemas.ends import is_end_of_file
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.ids import ExecutorId
from schemas.settings import Connections
from schemas.times import EPOCH
from schemas.topics import EXECUTORS, REQUESTS, STATE, STATUS
from streams.clock import cluster_clock
from streams.core.inputs import HeartbeatHeard
from streams.forward import Forwarder
from streams.groups import ANSWER_SECONDS, Groups, LogUnreachableError
from streams.heartbeat_reader import HeartbeatReader
from streams.owner.known_heartbeats import KnownHeartbeats
from streams.owner.records import Forwarding, OutRecord, Transaction
from streams.owner.recover import NONE_APPLIED
from streams.owner.session_calls import Chunk, Read
from streams.owner.stall_detector import Probe
from streams.owner_log import SETTLED_KEY, OwnerLog
from streams.watchdog import is_unread, watchdog_reader
from tests.support.servers.kafka_node import running_node
from tests.support.waiting import eventually
from tidemill.target import wall_clock

PARTITIONS = 8
COMMITS_BEFORE_THE_KILL = 400
DISPATCHES = "runs.10s"
TRIES = 10
MOST_SECONDS_A_TOPIC = 0.08
LATER = 10**6
"""A number that no writer reaches."""


@pytest.fixture(scope="module")
def node():
    with running_node() as node:
        yield node


@pytest.fixture(scope="module")
def connections(node):
    connections = Connections(kafka_bootstrap=node.address, partitions=PARTITIONS)
    create(connections)
    return connections


def open_log(connections: Connections, partition: int) -> OwnerLog:
    groups = Groups(connections, "streams", "worker")
    clock = cluster_clock(connections)

    def is_known() -> bool:
        clock.turn()
        return clock.wait_until_known(0)

    eventually(is_known, 60, "a clock that agrees with the broker's")
    return OwnerLog(connections, partition, f"owner-{partition}", clock, groups)


def read(log: OwnerLog, topic: str, records: int = LATER) -> Chunk:
    return log.read(Read(topic=topic, after=NONE_APPLIED, until=None, records=records, bytes=LATER))


def numbered(number: int) -> Transaction:
    """One record in each of three topics, all with the same key."""
    records = tuple(OutRecord(topic=topic, key=f"n{number}", value=b"x") for topic in (DISPATCHES, STATUS, STATE))
    return Transaction(records=records, applied={})


class Writer(threading.Thread):
    """Commits transactions until the log fails, and counts the acknowledged ones."""

    def __init__(self, connections: Connections, partition: int) -> None:
        super().__init__(daemon=True)
        self._log = open_log(connections, partition)
        self.committed = 0

    def run(self) -> None:
        with closing(self._log), suppress(KafkaException, LogUnreachableError):
            self._log.prepare()
            self._log.fence()
            while True:
                self._log.commit(numbered(self.committed))
                self.committed += 1


@pytest.fixture(scope="module")
def keys_of(connections):
    """A function that returns all keys of a partition that a read_committed reader can see."""
    options = {"group.id": "test", "isolation.level": "read_committed", "enable.partition.eof": True}
    consumer = Consumer(connections.kafka() | options)

    def read(topic: str, partition: int) -> set[str]:
        consumer.assign([TopicPartition(connections.topic(topic), partition, 0)])
        found: set[str] = set()
        while True:
            message = consumer.poll(10)
            assert message is not None, f"{topic} could not be read"
            if message.error() is None:
                found.add(message.key().decode())
            elif is_end_of_file(message):
                return found - {SETTLED_KEY}

    yield read
    consumer.close()


def test_a_read_to_the_end_of_each_runs_topic_waits_for_no_further_record(connections):
    """Behind the last record is the marker of its transaction, where a client waits for more records."""
    with closing(open_log(connections, 1)) as log:
        log.prepare()
        log.fence()
        log.settle()
        log.unclaimed()
        seconds = min(timed(log.unclaimed) for _ in range(TRIES))
    classes = len(connections.timeout_classes.split(","))
    assert seconds < classes * MOST_SECONDS_A_TOPIC


def timed(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_after_a_broker_kill_a_new_owner_reads_everything_that_ever_becomes_visible(node, connections, keys_of):
    writers = [Writer(connections, partition) for partition in range(PARTITIONS)]
    for writer in writers:
        writer.start()
    eventually(lambda: sum(w.committed for w in writers) >= COMMITS_BEFORE_THE_KILL, 60, "transactions under way")
    node.kill()
    node.start()
    for partition, writer in enumerate(writers):
        with closing(open_log(connections, partition)) as log:
            log.prepare()
            log.fence()
            writer.join(60)  # a transaction that survived the outage is aborted by this fence
            assert not writer.is_alive()
            log.settle()
            seen = {key for _, key, _ in log.read_state()} - {SETTLED_KEY} | {f"n{LATER}"}
            log.commit(numbered(LATER))  # this commit makes every decided transaction visible
            log.settle()
        assert {f"n{number}" for number in range(writer.committed)} <= seen
        for topic in (STATE, STATUS, DISPATCHES):
            assert keys_of(topic, partition) == seen, topic


def test_an_earlier_owner_cannot_commit_once_the_next_one_has_fenced_it(connections):
    with closing(open_log(connections, 0)) as first, closing(open_log(connections, 0)) as second:
        first.prepare()
        first.fence()
        first.commit(numbered(LATER + 1))
        second.prepare()
        second.fence()
        with pytest.raises(KafkaException):
            first.commit(numbered(LATER + 2))
        second.settle()
        seen = {key for _, key, _ in second.read_state()}
    assert f"n{LATER + 1}" in seen
    assert f"n{LATER + 2}" not in seen


def test_a_round_returns_the_brokers_time(connections):
    clock = cluster_clock(connections)
    assert not clock.is_steady
    clock.turn()
    assert clock.is_steady
    assert abs((clock.now() - wall_clock()).total_seconds()) < AGREE_SECONDS


def test_an_acknowledged_forwarded_record_is_in_its_partition_with_its_mark(connections):
    moved = Forwarding(topic=REQUESTS, partition=3, key="j", value=b"{}", found_at="2@7")
    with closing(open_log(connections, 3)) as home:
        Forwarder(connections).forward([moved])
        (found,) = read(home, REQUESTS).records
    assert (found.key, found.value, found.is_forwarded) == (b"j", b"{}", True)


def test_requests_of_foreign_transactions_are_read_only_after_their_commit(connections):
    topic, partition = connections.topic(REQUESTS), 4
    producer = Producer(connections.kafka(transactional_id="somebody"))
    producer.init_transactions(20)

    def written(value: bytes) -> None:
        producer.begin_transaction()
        producer.produce(topic, value, "j", partition)
        producer.flush(20)

    with closing(open_log(connections, partition)) as log:
        for _ in range(3):
            written(b"aborted")
            producer.abort_transaction(20)
        assert read(log, REQUESTS) == Chunk(records=(), first=0, through=5, end=6)
        probe = Probe(where=(REQUESTS, partition), after=NONE_APPLIED)
        assert not is_unread(watchdog_reader(connections), connections, probe)
        written(b"committed")
        assert read(log, REQUESTS).records == ()
        producer.commit_transaction(20)
        (found,) = read(log, REQUESTS).records
        assert is_unread(watchdog_reader(connections), connections, probe)
    assert (found.value, found.is_forwarded) == (b"committed", False)


def test_records_written_during_a_read_are_left_to_the_next_read(connections):
    """Else it would read for as long as somebody writes faster than its fetches wait."""
    topic, partition = connections.topic(REQUESTS), 5
    producer = Producer(connections.kafka())

    def write(value: bytes) -> None:
        producer.produce(topic, value, "j", partition)
        producer.flush()

    write(b"before")
    with closing(open_log(connections, partition)) as log:
        first = read(log, REQUESTS, records=1)
        write(b"meanwhile")
        rest = Read(topic=REQUESTS, after=first.through, until=first.end, records=LATER, bytes=LATER)
        assert [each.value for each in first.records] == [b"before"]
        assert log.read(rest) == Chunk(records=(), first=0, through=0, end=1)


def test_a_gap_is_read_in_parts_and_deleted_offsets_are_reported(connections):
    topic, partition = connections.topic(REQUESTS), 6
    producer = Producer(connections.kafka())
    for number in range(10):
        producer.produce(topic, str(number), "j", partition)
    producer.flush()
    deleted = TopicPartition(topic, partition, 3)
    admin = AdminClient(connections.kafka())
    admin.delete_records([deleted])[deleted].result(ANSWER_SECONDS)
    with closing(open_log(connections, partition)) as log:
        first = read(log, REQUESTS, records=4)
        assert (first.first, first.through, first.end) == (3, 6, 10)
        rest = log.read(Read(topic=REQUESTS, after=first.through, until=first.end, records=4, bytes=LATER))
    assert [each.value for each in (*first.records, *rest.records)] == [str(number).encode() for number in range(3, 10)]
    assert rest.through == 9


def test_a_gap_read_in_parts_is_read_once_despite_other_reads_and_writes(connections):
    topic, partition = connections.topic(REQUESTS), 7
    producer = Producer(connections.kafka())

    def write(numbers: range) -> None:
        for number in numbers:
            producer.produce(topic, str(number), "j", partition)
        producer.flush()

    write(range(2_500))
    found: list[bytes | None] = []
    with closing(open_log(connections, partition)) as log:
        through, end, parts = NONE_APPLIED, 0, 0
        while parts < 5 or through + 1 < end:
            wanted = Read(topic=REQUESTS, after=through, until=None, records=400, bytes=LATER)
            part = log.read(wanted)
            found += [each.value for each in part.records]
            through, end, parts = part.through, part.end, parts + 1
            if parts == 2:
                list(log.read_state())
            if parts == 4:
                write(range(2_500, 3_000))
    assert found == [str(number).encode() for number in range(3_000)]


def test_a_partition_whose_heartbeats_were_all_deleted_for_their_age_is_read_to_its_end(connections) -> None:
    """Else a new worker would wait for it with every verdict, and call nothing lost any more."""
    topic = connections.topic(EXECUTORS)
    producer = Producer(connections.kafka())
    producer.produce(topic, key="x.1", value=b"{}", partition=3)
    producer.flush()
    end = TopicPartition(topic, 3, 1)
    admin = AdminClient(connections.kafka())  # keep a reference until the answer arrives
    admin.delete_records([end])[end].result(ANSWER_SECONDS)
    known = KnownHeartbeats()
    heartbeats = HeartbeatReader(connections, "worker", known.note, known.note_positions, print, lambda: None, Health())
    heartbeats.start()
    try:
        eventually(lambda: known.delivered.get(3) == 1)
    finally:
        heartbeats.stop()
        heartbeats.join()


def test_a_reader_of_heartbeats_that_breaks_says_so(connections) -> None:
    """Else its worker would go on, deaf."""
    beat = Heartbeat(
        executor_id=ExecutorId("e.1"),
        name="e",
        host="h",
        version="1",
        state=ExecutorState.RUNNING,
        at=EPOCH,
        interval=timedelta(seconds=3),
        slots=(),
        windows=(),
        attempts=(),
    )
    producer = Producer(connections.kafka())
    producer.produce(connections.topic(EXECUTORS), key="e.1", value=encode(beat), partition=0)
    producer.flush()
    told = threading.Event()
    heartbeats = HeartbeatReader(connections, "worker", broken, lambda _: None, print, told.set, Health())
    heartbeats.start()
    assert told.wait(ANSWER_SECONDS)
    heartbeats.join(ANSWER_SECONDS)


def broken(_: HeartbeatHeard) -> None:
    raise RuntimeError("an invariant is broken")
