"""Bugs in how owners take their input: protocol I1, I2, I4, I5, I6, I7, I8 left out."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas import topics
from streams.core import step, tick
from streams.core.requests import apply as requests
from streams.owner import intake
from streams.owner.intake import INPUT_TOPICS
from tests.simulation.planted.bug import Bug, Patch


def _every_version_counts(original: Any) -> Any:
    """An older version is applied as if it were newer than the known one."""

    def apply_definition(state: Any, definition: Any, origin: Any, now: Any) -> Any:
        known = state.durable.jobs.get(definition.owner)
        if known is not None and definition.version <= known.version:
            definition = msgspec.structs.replace(definition, version=known.version + 1)
        return original(state, definition, origin, now)

    return apply_definition


def _refuse_at_once(original: Any) -> Any:
    def apply_request(state: Any, request: Any, origin: Any, now: Any, appended_at: Any) -> Any:
        if request.owner in state.durable.jobs or request.key in state.durable.requests:
            return original(state, request, origin, now, appended_at)
        stored = requests.StoredRequest(created_at=request.created_at, source=origin.topic)
        requests.remember(state, request.key, stored)
        refused = requests.refuse(request, "its job is not known", origin)
        return [requests.PutRequest(key=request.key, request=stored), *refused]

    return apply_request


def _forget_ids(original: Any) -> Any:
    """An id is known only while its run is open."""

    def apply_request(state: Any, request: Any, origin: Any, now: Any, appended_at: Any) -> Any:
        known = state.durable.requests.get(request.key)
        if known is not None and known.parked is None:
            del state.durable.requests[request.key]
        return original(state, request, origin, now, appended_at)

    return apply_request


def _by_the_wall_clock(_: Any) -> Any:
    """The horizon follows the owner's clock instead of the applied requests."""

    def horizon(state: Any, source: str) -> Any:
        return state.durable.watermark - state.settings.request_ttl

    return horizon


def _carry_out_where_found(_: Any) -> Any:
    def read_request(record: Any, value: bytes, origin: Any, partition: int, partitions: int) -> Any:
        request = intake.decode_request(value, record.appended_at)
        return intake.RequestReceived(request=request, origin=origin, appended_at=record.appended_at)

    return read_request


def _raise_again(_: Any) -> Any:
    def quarantine(state: Any, job_id: str, error: Exception) -> Any:
        raise error

    return quarantine


def _compacted(original: Any) -> Any:
    return tuple(
        msgspec.structs.replace(each, cleanup=topics.Cleanup.COMPACT) if each.name in INPUT_TOPICS else each
        for each in original
    )


def _id_of_any_job(original: Any) -> Any:
    """An id that a request of another job has counts as a copy of that."""

    def apply_request(state: Any, request: Any, origin: Any, now: Any, appended_at: Any) -> Any:
        others = (each for each in state.durable.requests if each != request.key)
        if any(each.partition("#")[2] == request.request_id for each in others):
            return []
        return original(state, request, origin, now, appended_at)

    return apply_request


BUGS = (
    Bug("I1", "input topics are compacted", (Patch(topics, "_FIXED", _compacted),), needs="workers are killed"),
    Bug(
        "I2",
        "every version counts, also an older one",
        (Patch(step, "apply_definition", _every_version_counts),),
        needs="the slot is lost",
    ),
    Bug(
        "I4",
        "a request for an unknown job is refused at once",
        (Patch(step, "apply_request", _refuse_at_once),),
        needs="defines and asks at once",
    ),
    Bug("I5", "request ids are not remembered", (Patch(step, "apply_request", _forget_ids),)),
    Bug(
        "I5",
        "the age of a request counts by the wall clock",
        (Patch(requests, "_horizon", _by_the_wall_clock),),
        needs="connector is away",
    ),
    Bug(
        "I6",
        "a misplaced request is carried out where it was found",
        (Patch(intake, "_read_request", _carry_out_where_found),),
    ),
    Bug(
        "I8",
        "a request id is one of all jobs",
        (Patch(step, "apply_request", _id_of_any_job),),
        needs="two jobs with one id",
    ),
    Bug(
        "I7",
        "an exception in one job's tick is not contained",
        (Patch(tick, "_quarantine", _raise_again),),
        needs="the core fails on a job",
    ),
)
