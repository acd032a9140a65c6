"""Reads `status` as it grows, once for all readers of events; and again from a place, for one that comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

import msgspec
import structlog
from confluent_kafka import KafkaException

from connectors.backoff import Backoff
from connectors.inbox import Inbox, open_inbox
from connectors.offsets import NoOffsetsError
from connectors.record import Record
from connectors.topics import KafkaRefusedError
from schemas.codec import decode_foreign
from schemas.errors import UndecodableError
from schemas.settings import Connections
from schemas.topics import STATUS
from schemas.unreadable import BatchUnknownError

GROUP = "api"
"""No group is joined: the name is only for the client."""
BATCH_RECORDS = 500
IDLE_SECONDS = 30.0
"""So long after the last reader has left, nothing is read any more."""
READY_SECONDS = 10.0
KAFKA_ERRORS = (KafkaException, KafkaRefusedError, NoOffsetsError, BatchUnknownError)
Places = Mapping[int, int]
"""The next offset of each partition."""

log = structlog.get_logger()


class RunEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event says of a run: its state after a change, without payload, output and result."""

    run_id: str
    job_id: str
    tenant: str
    kind: str
    state: str
    version: int
    nominal_time: datetime
    dag_id: str | None = None
    node_id: str | None = None
    attempt: int = 0
    reason: str | None = None
    reason_code: str | None = None
    exit_code: int | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    partition: int
    offset: int
    event: RunEvent | None
    """None: a tombstone, or a record that cannot be read."""


class UnreadableError(Exception):
    """Kafka does not answer."""


Listener = Callable[[list[Seen]], None]


class Tail:
    """One thread reads while there are listeners, from the ends that the topic had when the first one came."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._topic = connections.topic(STATUS)
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._places: dict[int, int] = {}
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def listen(self, listener: Listener) -> Places:
        """Hand each record from the returned places on to `listener`. Raises `UnreadableError`. Called in a thread."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._ready.clear()
                self._thread = threading.Thread(target=self._run, name="events", daemon=True)
                self._thread.start()
        if not self._ready.wait(READY_SECONDS):
            raise UnreadableError("Kafka has not answered")
        with self._lock:
            self._listeners.add(listener)
            return dict(self._places)

    def leave(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.discard(listener)

    def close(self) -> None:
        self._is_closed = True

    def between(self, begin: Places, end: Places) -> Iterator[list[Seen]]:
        """What was written from `begin` up to `end`, for a reader that was away. Raises `UnreadableError`."""
        behind = {number: offset for number, offset in begin.items() if offset < end[number]}
        if not behind:
            return
        try:
            with open_inbox(self._connections, GROUP) as inbox:
                inbox.read_from({(self._topic, number): offset for number, offset in behind.items()})
                while behind:
                    found = [seen(each) for each in inbox.take(BATCH_RECORDS)]
                    yield [each for each in found if each.offset < end[each.partition]]
                    behind = {each: end[each] for each in behind if inbox.reached((self._topic, each)) < end[each]}
        except KAFKA_ERRORS as error:
            raise UnreadableError(str(error)) from error

    def starts(self) -> Places:
        """The first kept offset of each partition. Raises `UnreadableError`."""
        try:
            with open_inbox(self._connections, GROUP) as inbox:
                return {each[1]: inbox.offset_range(each)[0] for each in inbox.partitions([self._topic])}
        except KAFKA_ERRORS as error:
            raise UnreadableError(str(error)) from error

    def _run(self) -> None:
        backoff = Backoff(first=timedelta(milliseconds=200), longest=timedelta(seconds=5))
        idle_since = time.monotonic()
        while not self._is_closed and time.monotonic() - idle_since < IDLE_SECONDS:
            try:
                with open_inbox(self._connections, GROUP) as inbox:
                    self._place(inbox)
                    backoff = backoff.succeeded()
                    while not self._is_closed and time.monotonic() - idle_since < IDLE_SECONDS:
                        self._hand_on([seen(each) for each in inbox.take(BATCH_RECORDS)])
                        idle_since = time.monotonic() if self._listeners else idle_since
            except KAFKA_ERRORS as error:
                backoff = backoff.failed()
                log.warning("events_interrupted", reason=str(error))
                time.sleep(backoff.delay.total_seconds())
        self._ready.clear()

    def _place(self, inbox: Inbox) -> None:
        """At first at the ends; after an interruption where it was."""
        ends = {each: inbox.offset_range(each)[1] for each in inbox.partitions([self._topic])}
        with self._lock:
            self._places = {number: self._places.get(number, end) for (_, number), end in ends.items()}
            inbox.read_from({each: self._places[each[1]] for each in ends})
        self._ready.set()

    def _hand_on(self, found: list[Seen]) -> None:
        if not found:
            return
        with self._lock:
            for each in found:
                self._places[each.partition] = each.offset + 1
            for listener in self._listeners:
                listener(found)


def seen(record: Record) -> Seen:
    event = None
    if record.value is not None:
        try:
            event = decode_foreign(record.value, RunEvent)
        except UndecodableError:
            event = None
    return Seen(partition=record.partition, offset=record.offset, event=event)
