"""Reads what was dispatched, claimed, started and ended, one partition after the other: the topics `runs.<class>` and
`events`, and the offsets of the executors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, TypeVar, assert_never

import msgspec
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaException

from schemas.codec import decode
from schemas.errors import UndecodableError
from schemas.event import Claimed, Ended, Event, EventBatch, Expired, Rejected, Started
from schemas.settings import Connections
from schemas.times import EPOCH, LATEST, epoch_ms, from_epoch_ms
from schemas.topics import EVENTS, STATUS, executor_group, runs_topic
from streams.group_client import committed
from tidemill.audit.attempts import Kept, Trace
from tidemill.audit.tables import Scope
from tidemill.lag import KAFKA_SECONDS, Offsets, admin_client, ask_groups, offsets, read_to_end, unavailable

T = TypeVar("T")
Traces = dict[str, dict[int, Trace]]
"""By run and token."""
_BEFORE = timedelta(minutes=1)
"""The clocks of brokers and owners differ by less."""
_MARKERS = 100
"""So many offsets at the begin of a partition may be markers of transactions, which are no records."""


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an audit needs of a `Dispatch`."""

    run_id: str
    owner: str
    token: int
    attempt: int
    nominal_time: datetime
    valid_for: timedelta
    claim_grace: timedelta
    lease: timedelta
    tenant: str | None = None


class Topics(msgspec.Struct, frozen=True, kw_only=True):
    """Where to read, for all partitions."""

    classes: dict[str, str]
    """By topic: its timeout class."""
    events: str
    status: str
    firsts: Offsets
    """The first offset of each partition."""
    begins: Offsets
    """The first record of the time to audit; without an entry, there is none."""
    claims: Offsets
    """Executors have claimed the records below."""
    settled: datetime
    """A record that is appended later may be too new for the status and the offsets, which were read before."""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """One partition."""

    number: int
    traces: Traces
    kept: Kept
    unknown: list[tuple[Head, str]]
    """Dispatches of the time whose runs have no status, and their places."""


def topics_of(target: Connections, scope: Scope, settled: datetime) -> Topics:
    """Raises `BrokersError`."""
    prefix = target.topic(runs_topic(""))
    try:
        there = admin_client(target).list_topics(timeout=KAFKA_SECONDS).topics
        classes = {topic: topic.removeprefix(prefix) for topic in there if topic.startswith(prefix)}
        events = target.topic(EVENTS)
        every = [(topic, number) for topic in (*classes, events) for number in range(target.partitions)]
        firsts, ends = offsets(target, every, OFFSET_BEGINNING), offsets(target, every, OFFSET_END)
        found = offsets(target, every, epoch_ms(scope.span.after - _BEFORE))
    except KafkaException as error:
        raise unavailable(target, error) from error
    # Without a record after the time, the answer is the end or none.
    begins = {where: at for where, at in found.items() if 0 <= at < ends[where]}
    gone = {where: ends[where] for where in every if where not in begins and firsts[where] == ends[where] > 0}
    return Topics(
        classes=classes,
        events=events,
        status=target.topic(STATUS),
        firsts=firsts,
        begins=begins | gone,
        claims=_claims(target, classes),
        settled=settled,
    )


def read(
    target: Connections, topics: Topics, scope: Scope, number: int, runs: Container[str], turn: Callable[[int], object]
) -> Read:
    """The records of the runs that have a status, and the dispatches of the scope that have none."""
    traces: Traces = defaultdict(lambda: defaultdict(Trace))
    unknown: list[tuple[Head, str]] = []
    wheres = [(topic, number) for topic in (*topics.classes, topics.events)]
    kept = {where: _kept_at_least(topics, where) for where in wheres}
    begins = {where: topics.begins[where] for where in wheres if where in topics.begins}
    with closing(read_to_end(target, begins)) as found:
        for message in found:
            turn(1)
            where, at = (str(message.topic()), number), from_epoch_ms(message.timestamp()[1])
            if kept[where] is None:
                kept[where] = at
            place = f"{where[0]}/{number}@{message.offset()}"
            if where[0] == topics.events:
                _note_events(message, runs, traces, place)
            elif head := _decoded(message, Head):
                if head.run_id in runs:
                    trace = traces[head.run_id][head.token]
                    _note_dispatch(trace, head, at, place)
                    claimed = topics.claims.get(where) if at <= topics.settled else None
                    trace.is_claimed = None if claimed is None else int(message.offset()) < claimed
                elif _is_in(head, scope) and at <= topics.settled:
                    unknown.append((head, place))
    return Read(number=number, traces=traces, kept=_kept(topics, kept, number), unknown=unknown)


def _kept_at_least(topics: Topics, where: tuple[str, int]) -> datetime | None:
    """None: from the first record on that is read."""
    first, begin = topics.firsts[where], topics.begins.get(where)
    if first == 0 or begin is None or begin > first + _MARKERS:
        return EPOCH
    return None


def _kept(topics: Topics, kept: dict[tuple[str, int], datetime | None], number: int) -> Kept:
    return Kept(
        dispatches={name: kept[topic, number] or LATEST for topic, name in topics.classes.items()},
        events=kept[topics.events, number] or LATEST,
    )


def _claims(target: Connections, classes: dict[str, str]) -> Offsets:
    async def question(admin: Any) -> Offsets:
        found: Offsets = {}
        for topic, name in classes.items():
            partitions = [(topic, number) for number in range(target.partitions)]
            found |= await committed(admin, executor_group(target.topic_prefix, name), partitions)
        return found

    return ask_groups(target, question)


def _is_in(head: Head, scope: Scope) -> bool:
    return (
        scope.span.after < head.nominal_time <= scope.span.until
        and scope.owner in (None, head.owner)
        and scope.tenant in (None, head.tenant)
    )


def _decoded(message: Any, kind: type[T]) -> T | None:
    """None: its reader sets it aside as a problem."""
    try:
        return decode(message.value(), kind) if message.value() else None
    except UndecodableError:
        return None


def _note_dispatch(trace: Trace, head: Head, at: datetime, place: str) -> None:
    trace.dispatches += 1
    trace.dispatched_at = at
    trace.settles_in = head.valid_for + head.claim_grace + head.lease
    trace.place = trace.place or place


def _note_events(message: Any, runs: Container[str], traces: Traces, place: str) -> None:
    batch = _decoded(message, EventBatch)
    for event in batch.events if batch else ():
        if event.run_id in runs:
            trace = traces[event.run_id][event.token]
            trace.place = place
            _note_event(trace, event)


def _note_event(trace: Trace, event: Event) -> None:
    trace.is_reported = True
    match event:
        case Claimed():
            pass
        case Started(at=at):
            trace.started_at = trace.started_at or at
        case Ended(at=at, cause=cause, exit_code=exit_code, started_at=started_at):
            trace.started_at = started_at or trace.started_at
            trace.ended_at, trace.cause, trace.exit_code, trace.has_end = at, cause, exit_code, True
        case Rejected():
            trace.has_end = True
        case Expired():
            trace.has_end = trace.is_passed_by = True
        case _:
            assert_never(event)
