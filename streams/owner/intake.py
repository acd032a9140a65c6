"""Decodes a record of an input topic into an input of the core, or into the reason for its refusal."""

from __future__ import annotations

from typing import assert_never

from schemas.codec import decode_captured, decode_foreign, decode_request
from schemas.errors import UndecodableError, shown
from schemas.event import EventBatch
from schemas.job import Definition
from schemas.partition import partition_of
from schemas.reasons import ProblemCode
from schemas.request import Request
from schemas.topics import CDC, EVENTS, REQUESTS
from schemas.unreadable import Unreadable
from streams.core.effects import Origin
from streams.core.inputs import (
    DefinitionChanged,
    ExecutorReported,
    Input,
    RecordRefused,
    RequestMisplaced,
    RequestReceived,
)
from streams.owner.records import InRecord

INPUT_TOPICS = (CDC, EVENTS, REQUESTS)
"""In the order in which an owner reads them: records of foreign producers come last."""


def read_input(record: InRecord, partition: int, partitions: int) -> Input:
    if record.unreadable:
        return refuse_unreadable(record.topic, record.unreadable)
    origin = _origin(record)
    try:
        if record.value is None:
            raise UndecodableError("is empty")  # noqa: TRY301 - one place handles all refusals
        if record.topic == EVENTS:
            return ExecutorReported(batch=decode_foreign(record.value, EventBatch), appended_at=record.appended_at)
        if record.topic == REQUESTS:
            return _read_request(record, record.value, origin, partition, partitions)
        captured = decode_captured(record.value)
        _check_home(captured.owner, partition, partitions)
    except UndecodableError as error:
        return refuse(record, ProblemCode.RECORD_REFUSED, f"record {record.topic}@{record.offset} {error}")
    match captured:
        case Definition():
            return DefinitionChanged(definition=captured, origin=origin)
        case Request():
            return RequestReceived(request=captured, origin=origin, appended_at=record.appended_at)
        case _:
            assert_never(captured)


def refuse(record: InRecord, code: ProblemCode, reason: str) -> RecordRefused:
    """The owner writes the record to the dead letter topic."""
    owner = (record.key or b"").decode(errors="replace")
    return RecordRefused(code=code, reason=reason, owner=owner, origin=_origin(record))


def refuse_unreadable(topic: str, unreadable: Unreadable) -> RecordRefused:
    """The batch becomes one record without a value in the dead letter topic, because no client can read it."""
    origin = Origin(topic=topic, offset=unreadable.first, key=None, value=None)
    reason = unreadable.said_of(topic)
    return RecordRefused(code=ProblemCode.BATCH_UNREADABLE, reason=reason, owner=topic, origin=origin)


def _origin(record: InRecord) -> Origin:
    return Origin(topic=record.topic, offset=record.offset, key=record.key, value=record.value)


def _read_request(record: InRecord, value: bytes, origin: Origin, partition: int, partitions: int) -> Input:
    """The job in the request decides its home partition: foreign producers may use any key, or none. A request is
    forwarded once (protocol I6).
    """
    request = decode_request(value, record.appended_at)
    if record.is_forwarded:
        _check_home(request.owner, partition, partitions)
    home = partition_of(request.owner, partitions)
    if home != partition:
        return RequestMisplaced(owner=request.owner, home=home, origin=origin)
    return RequestReceived(request=request, origin=origin, appended_at=record.appended_at)


def _check_home(owner: str, partition: int, partitions: int) -> None:
    home = partition_of(owner, partitions)
    if home != partition:
        raise UndecodableError(
            f"of {shown(owner)} is in partition {partition}, its home is partition {home} of {partitions}"
        )
