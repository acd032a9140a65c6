"""The events of attempts, in order per partition: one record in flight each, and what waits goes together."""

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
MAX_RESULTS = 4 * 1024 * 1024
"""Of results, the lists of nodes that they name, outputs and reasons, as JSON, in one record; the last of them may be
beyond. With what else 200 events say, a record stays below what the topics take.
"""

REST_SHARE = 2
"""After a round trip to Kafka the next waits so many times as long as it took: next to nothing on an idle machine; on a
busy one, what belongs together gathers."""
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
    """It is sent when the event loop comes to it."""


class Sender(Protocol):
    def send(self, record: Record) -> None: ...


Later = Callable[[float, Callable[[], None]], object]
"""Calls a function so many seconds later, in the event loop."""


class EventLog:
    def __init__(self, outbox: Sender, later: Later, *, topic: str, executor_id: ExecutorId) -> None:
        self._outbox, self._later, self._topic, self._executor_id = outbox, later, topic, executor_id
        self._lanes: dict[int, _Lane] = {}

    @property
    def unacknowledged(self) -> int:
        return sum(len(lane.waiting) + len(lane.in_flight) for lane in self._lanes.values())

    def say(self, partition: int, report: Report) -> None:
        lane = self._lanes.setdefault(partition, _Lane())
        lane.waiting.append(report)
        if not lane.in_flight and (not lane.is_resting or _holds_up(report.event)):
            self._send_soon(partition, lane)

    def _send_soon(self, partition: int, lane: _Lane) -> None:
        """After all that is said in this turn of the event loop: runs that are claimed together start together."""
        if not lane.is_due:
            lane.is_due = True
            self._later(0.0, partial(self._go_on, partition, lane))

    def _send(self, partition: int, lane: _Lane) -> None:
        most = _fitting(lane.waiting)
        lane.in_flight, lane.waiting = lane.waiting[:most], lane.waiting[most:]
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
        if any(_holds_up(report.event) for report in lane.waiting):
            self._send_soon(partition, lane)
        else:
            self._later(rest_after(boot_seconds() - sent), partial(self._go_on, partition, lane))

    def _go_on(self, partition: int, lane: _Lane) -> None:
        lane.is_resting = lane.is_due = False
        if lane.waiting and not lane.in_flight:
            self._send(partition, lane)


def _fitting(waiting: list[Report]) -> int:
    """How many of the first ones go into one record."""
    size = 0
    for number, report in enumerate(waiting[:MAX_BATCH]):
        size += _bytes_of(report.event)
        if size > MAX_RESULTS:
            return number + 1
    return MAX_BATCH


def _bytes_of(event: Event) -> int:
    """Of what may be long in it."""
    match event:
        case Ended(result=result, next_nodes=named):
            value = min(result.bytes, MAX_INLINE_BYTES) if result else 0
            texts = event.output, event.checkpoint_problem, event.result_problem, event.result_lost
            return value + sum(map(len, named or ())) + len(encode_json(texts))
        case Rejected(reason=reason):
            return len(encode_json(reason))
        case Claimed() | Started() | Expired():
            return 0
        case _:
            assert_never(event)


def _holds_up(event: Event) -> bool:
    """Whether an attempt waits for its acknowledgement, in a slot: it shall not wait for company too."""
    match event:
        case Claimed() | Started():
            return True
        case Ended() | Rejected() | Expired():
            return False
        case _:
            assert_never(event)


def rest_after(seconds: float) -> float:
    """How long to rest after a round trip that took so long."""
    return min(REST_SHARE * seconds, LONGEST_REST_SECONDS)
