"""Requests: each is carried out exactly once, even if it arrives several times (protocol I4, I5)."""

from __future__ import annotations

import heapq
from datetime import datetime

import msgspec

from schemas.ids import OwnerId, RunId
from schemas.request import Request
from streams.core.effects import Effect, Origin, PutRequest
from streams.core.requests.carry_out import carry_out
from streams.core.requests.refusal import refuse
from streams.core.room import MICROSECONDS_OF_A_CHECK
from streams.core.state import OwnerState
from streams.core.stored import StoredRequest

MAX_FORGOTTEN = 1_000
"""How many ids one step forgets."""


def apply_request(
    state: OwnerState, request: Request, origin: Origin, now: datetime, appended_at: datetime
) -> list[Effect]:
    """A known request id changes nothing. A request that is too old or cannot wait is refused with the reason."""
    if request.key in state.durable.requests or request.key in state.durable.runs:
        return []
    # A creation time in the future would move the TTL horizon of all requests.
    created_at, source = min(request.created_at, appended_at), origin.topic
    request = msgspec.structs.replace(request, created_at=created_at)
    if created_at < _horizon(state, source):
        return refuse(request, f"it is older than the request TTL of {state.settings.request_ttl}", origin)
    state.durable.newest_requests[source] = max(created_at, state.durable.newest_requests.get(source, created_at))
    job = state.durable.jobs.get(request.owner)
    full = state.derived.park.park_refusal(request, state.settings) if job is None else None
    if (job is None and full is None) or _waits(state, request.owner):
        return _park(state, request, origin, now)
    stored = StoredRequest(created_at=created_at, source=source)
    remember(state, request.key, stored)
    if full:
        reason = f"{request.owner!r} is not defined yet, and {full}; define it, then ask again under another id"
        effects = refuse(request, reason, origin)
    else:
        effects = carry_out(state, request, job, now, origin)
    if state.step.is_cut:  # it is read again; its id is known once all of it is carried out
        del state.durable.requests[request.key]
        return effects
    return [PutRequest(key=request.key, request=state.durable.requests[request.key]), *effects]


def release_parked(state: OwnerState, now: datetime) -> list[Effect]:
    """Carry out, in order, the parked requests whose definition has arrived."""
    effects: list[Effect] = []
    while state.derived.arrived and not state.transaction.is_full:
        owner = next(iter(state.derived.arrived))
        if owner not in state.derived.parked:
            del state.derived.arrived[owner]
        else:
            effects += _carry_out_parked(state, state.derived.parked[owner][0], now)
    return effects


def _waits(state: OwnerState, owner: OwnerId) -> bool:
    """Whether earlier requests of the job are still parked; they go first."""
    return owner in state.derived.arrived and owner in state.derived.parked


def refuse_overdue(state: OwnerState, now: datetime) -> list[Effect]:
    """Refuse requests that have waited too long for their definition."""
    effects: list[Effect] = []
    deadlines, room = state.derived.parked_deadlines, state.transaction
    while deadlines and deadlines[0][0] <= now and not room.is_full:
        key = deadlines[0][1]
        if _is_parked(state, key):
            effects += _carry_out_parked(state, key, now)
        if _is_parked(state, key):
            break  # its effects do not fit the transaction
        heapq.heappop(deadlines)
        room.spend(work_us=MICROSECONDS_OF_A_CHECK)
    return effects


def _is_parked(state: OwnerState, key: RunId) -> bool:
    stored = state.durable.requests.get(key)
    return stored is not None and stored.parked is not None


def forget_old(state: OwnerState) -> list[Effect]:
    """Forget ids older than the TTL: a copy of such a request would be refused for its age. This is not urgent."""
    effects: list[Effect] = []
    for source, ages in state.derived.request_ages.items():
        horizon = _horizon(state, source)
        while ages and ages[0][0] < horizon and len(effects) < MAX_FORGOTTEN and not state.transaction.is_half_full:
            _, key = heapq.heappop(ages)
            stored = state.durable.requests.get(key)
            if stored is None or stored.parked:
                continue  # a parked request enters the heap again when it is carried out
            del state.durable.requests[key]
            if stored.reopened and state.derived.epochs.last_reopened.get(stored.reopened) == stored.as_of:
                del state.derived.epochs.last_reopened[stored.reopened]
            state.transaction.spend(effects=1)
            effects.append(PutRequest(key=key, request=None))
    return effects


def remember(state: OwnerState, key: RunId, stored: StoredRequest) -> None:
    """Store the request id, and index it by age and, if it is parked, by job. Recovery calls this too."""
    if key not in state.durable.requests:
        heapq.heappush(state.derived.request_ages[stored.source], (stored.created_at, key))
    state.durable.requests[key] = stored
    if stored.reopened:
        last_reopened = state.derived.epochs.last_reopened
        last_reopened[stored.reopened] = max(stored.as_of, last_reopened.get(stored.reopened, 0))
    if stored.parked and stored.parked_until:
        state.derived.park.enter(key, stored.parked)
        state.derived.parked.setdefault(stored.parked.owner, []).append(key)
        heapq.heappush(state.derived.parked_deadlines, (stored.parked_until, key))
        if stored.parked.owner in state.durable.jobs:  # an earlier owner started to carry them out
            state.derived.arrived[stored.parked.owner] = None


def _park(state: OwnerState, request: Request, origin: Origin, now: datetime) -> list[Effect]:
    stored = StoredRequest(
        created_at=request.created_at,
        source=origin.topic,
        parked=request,
        parked_until=now + state.settings.park_limit,
        parked_offset=origin.offset,
    )
    remember(state, request.key, stored)
    return [PutRequest(key=request.key, request=stored)]


def _leave_park(state: OwnerState, owner: OwnerId, key: RunId) -> None:
    state.derived.parked[owner].remove(key)
    if not state.derived.parked[owner]:
        del state.derived.parked[owner]


def _carry_out_parked(state: OwnerState, key: RunId, now: datetime) -> list[Effect]:
    stored = state.durable.requests[key]
    request = stored.parked
    assert request is not None
    state.current_job = request.owner
    known = StoredRequest(created_at=stored.created_at, source=stored.source)
    state.durable.requests[key] = known
    job = state.durable.jobs.get(request.owner)
    origin = Origin(topic=stored.source, offset=stored.parked_offset or 0, key=None, value=None)
    effects = carry_out(state, request, job, now, origin)
    state.transaction.spend(effects=1 + len(effects))
    if state.step.is_cut:  # it stays parked and continues in the next transaction
        state.step.is_cut = False
        state.durable.requests[key] = stored
        return effects
    state.derived.park.leave(key)
    _leave_park(state, request.owner, key)
    if known.created_at < _horizon(state, known.source):
        heapq.heappush(state.derived.request_ages[known.source], (known.created_at, key))
    return [PutRequest(key=key, request=state.durable.requests[key]), *effects]


def _horizon(state: OwnerState, source: str) -> datetime:
    """It follows the applied requests, not the wall clock, so a long outage refuses no request."""
    newest = state.durable.newest_requests.get(source)
    return (
        newest - state.settings.request_ttl if newest else datetime.min.replace(tzinfo=state.durable.watermark.tzinfo)
    )
