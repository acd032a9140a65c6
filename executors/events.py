"""Sends the events of attempts to Kafka, in batches and in order: one record in flight for each partition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, assert_never

from executors.clock import boot_seconds
from executors.outbox import Record
from schemas.codec import encode, encode_json
from schemas.event import Claimed, Ended, Event, EventBatch, Expired, Rejected, Started
from schemas.ids import ExecutorId, OwnerId
from schemas.result import MAX_INLINE_BYTES

MAX_BATCH = 200
MAX_VARIABLE_BYTES = 4 * 1024 * 1024
"""Limit for the results, lists of next nodes, outputs and reasons in one record, as JSON; the last event may exceed it.
With the rest of 200 events, a record stays below the topics' limit.
"""

REST_FACTOR = 2
"""Rest this many times the length of the last round trip to Kafka: almost nothing on an idle machine; on a busy one,
the next record then holds more events."""
LONGEST_REST_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    owner: OwnerId
    event: Event
    on_ack: Callable[[], None]


@dataclass(slots=True)
class _Lane:
    waiting: list[Report] = field(default_factory=list)
    in_flight: list[Report] = field(default_factory=list)
    is_resting: bool = False
    is_due: bool = False
    """The event loop has a call to send it."""


class Sender(Protocol):
    def send(self, record: Record) -> None: ...


Later = Callable[[float, Callable[[], None]], object]
"""Calls a function in the event loop after so many seconds."""


class EventLog:
    def __init__(self, outbox: Sender, later: Later, *, topic: str, executor_id: ExecutorId) -> None:
        self._outbox, self._later, self._topic, self._executor_id = outbox, later, topic, executor_id
        self._lanes: dict[int, _Lane] = {}

    @property
    def unacknowledged(self) -> int:
        return sum(len(lane.waiting) + len(lane.in_flight) for lane in self._lanes.values())

    def add(self, partition: int, report: Report) -> None:
        lane = self._lanes.setdefault(partition, _Lane())
        lane.waiting.append(report)
        if not lane.in_flight and (not lane.is_resting or _is_awaited(report.event)):
            self._send_soon(partition, lane)

    def _send_soon(self, partition: int, lane: _Lane) -> None:
        """Send after this iteration of the event loop: the events that it adds then share one record."""
        if not lane.is_due:
            lane.is_due = True
            self._later(0.0, partial(self._send_waiting, partition, lane))

    def _send(self, partition: int, lane: _Lane) -> None:
        count = _count_that_fits(lane.waiting)
        lane.in_flight, lane.waiting = lane.waiting[:count], lane.waiting[count:]
        batch = EventBatch(executor_id=self._executor_id, events=tuple(each.event for each in lane.in_flight))
        self._outbox.send(
            Record(
                topic=self._topic,
                key=lane.in_flight[0].owner,
                value=encode(batch),
                partition=partition,
                on_ack=lambda sent: self._acknowledged(partition, lane, sent),
            )
        )

    def _acknowledged(self, partition: int, lane: _Lane, sent: float) -> None:
        done, lane.in_flight, lane.is_resting = lane.in_flight, [], True
        for report in done:
            report.on_ack()
        if any(_is_awaited(report.event) for report in lane.waiting):
            self._send_soon(partition, lane)
        else:
            self._later(rest_after(boot_seconds() - sent), partial(self._send_waiting, partition, lane))

    def _send_waiting(self, partition: int, lane: _Lane) -> None:
        lane.is_resting = lane.is_due = False
        if lane.waiting and not lane.in_flight:
            self._send(partition, lane)


def _count_that_fits(waiting: list[Report]) -> int:
    """How many of the first reports fit into one record."""
    size = 0
    for number, report in enumerate(waiting[:MAX_BATCH]):
        size += _variable_bytes(report.event)
        if size > MAX_VARIABLE_BYTES:
            return number + 1
    return MAX_BATCH


def _variable_bytes(event: Event) -> int:
    """The size of the event's fields that may be long."""
    match event:
        case Ended(result=result, next_nodes=next_nodes):
            value = min(result.bytes, MAX_INLINE_BYTES) if result else 0
            refusals = event.result_problem, event.result_lost, event.result_refused
            problems = event.checkpoint_problem, event.left_problem, *refusals
            return value + sum(map(len, next_nodes or ())) + len(encode_json((event.output, *problems)))
        case Rejected(reason=reason):
            return len(encode_json(reason))
        case Claimed() | Started() | Expired():
            return 0
        case _:
            assert_never(event)


def _is_awaited(event: Event) -> bool:
    """Whether an attempt in a slot waits for the acknowledgement: such an event is sent without a rest."""
    match event:
        case Claimed() | Started():
            return True
        case Ended() | Rejected() | Expired():
            return False
        case _:
            assert_never(event)


def rest_after(seconds: float) -> float:
    """How long to rest after a round trip of so many seconds."""
    return min(REST_FACTOR * seconds, LONGEST_REST_SECONDS)
