"""Requests: each is carried out once, however often it arrives (protocol I4, I5)."""

from __future__ import annotations

import heapq
from datetime import datetime

import msgspec

from schemas.ids import OwnerId, RequestId, request_run_id
from schemas.request import Request
from streams.core.effects import DeadLetter, Effect, Origin, PutRequest
from streams.core.orders import carry_out
from streams.core.refusal import refuse
from streams.core.state import OwnerState
from streams.core.stored import StoredRequest


def apply_request(
    state: OwnerState, request: Request, origin: Origin, now: datetime, appended_at: datetime
) -> list[Effect]:
    """A request whose id is known changes nothing; one that is too old or cannot wait is refused with the reason."""
    if (
        request.request_id in state.durable.requests
        or request_run_id(request.job_id, request.request_id) in state.durable.runs
    ):
        return []
    # A creation time in the future would move the refusal horizon for everybody.
    created_at, source = min(request.created_at, appended_at), origin.topic
    request = msgspec.structs.replace(request, created_at=created_at)
    if created_at < _horizon(state, source):
        reason = (
            f"request {request.request_id!r} is older than the request TTL of {state.rules.request_ttl}; it is refused"
        )
        return [DeadLetter(reason=reason, owner=request.owner, origin=origin)]
    state.durable.newest_requests[source] = max(created_at, state.durable.newest_requests.get(source, created_at))
    job = state.durable.jobs.get(request.owner)
    full = state.derived.park.why_full(request, state.rules) if job is None else None
    if job is None and full is None:
        return _park(state, request, origin, now)
    stored = StoredRequest(created_at=created_at, source=source)
    remember(state, request.request_id, stored)
    put = PutRequest(request_id=request.request_id, request=stored)
    if full:
        reason = f"{request.owner!r} is not defined yet, and {full}; define it, then ask again under another id"
        return [put, *refuse(request, reason, origin)]
    return [put, *carry_out(state, request, job, now, origin)]


def release_parked(state: OwnerState, owner: OwnerId, now: datetime) -> list[Effect]:
    """The definition that these requests waited for is there."""
    effects: list[Effect] = []
    for request_id in state.derived.parked.pop(owner, ()):
        effects += _settle(state, request_id, now)
    return effects


def refuse_overdue(state: OwnerState, now: datetime) -> list[Effect]:
    """Requests that have waited for their definition long enough."""
    effects: list[Effect] = []
    while state.derived.parked_deadlines and state.derived.parked_deadlines[0][0] <= now:
        _, request_id = heapq.heappop(state.derived.parked_deadlines)
        stored = state.durable.requests.get(request_id)
        if stored and stored.parked:
            state.at_work = stored.parked.owner
            _leave_park(state, stored.parked.owner, request_id)
            effects += _settle(state, request_id, now)
    return effects


def forget_old(state: OwnerState) -> list[Effect]:
    """Ids that are so old that a copy would be refused for its age need not be remembered."""
    effects: list[Effect] = []
    for source, ages in state.derived.request_ages.items():
        horizon = _horizon(state, source)
        while ages and ages[0][0] < horizon:
            _, request_id = heapq.heappop(ages)
            stored = state.durable.requests.get(request_id)
            if stored is None or stored.parked:
                continue  # what still waits for its definition gets its place back when it is carried out
            del state.durable.requests[request_id]
            if stored.reopened and state.derived.epochs.orders.get(stored.reopened) == stored.as_of:
                del state.derived.epochs.orders[stored.reopened]
            effects.append(PutRequest(request_id=request_id, request=None))
    return effects


def remember(state: OwnerState, request_id: RequestId, stored: StoredRequest) -> None:
    """Also how recovery rebuilds the memory."""
    if request_id not in state.durable.requests:
        heapq.heappush(state.derived.request_ages[stored.source], (stored.created_at, request_id))
    state.durable.requests[request_id] = stored
    if stored.reopened:
        orders = state.derived.epochs.orders
        orders[stored.reopened] = max(stored.as_of, orders.get(stored.reopened, 0))
    if stored.parked and stored.parked_until:
        state.derived.park.enter(stored.parked)
        state.derived.parked.setdefault(stored.parked.owner, []).append(request_id)
        heapq.heappush(state.derived.parked_deadlines, (stored.parked_until, request_id))


def _park(state: OwnerState, request: Request, origin: Origin, now: datetime) -> list[Effect]:
    stored = StoredRequest(
        created_at=request.created_at,
        source=origin.topic,
        parked=request,
        parked_until=now + state.rules.park_limit,
        parked_offset=origin.offset,
    )
    remember(state, request.request_id, stored)
    return [PutRequest(request_id=request.request_id, request=stored)]


def _leave_park(state: OwnerState, owner: OwnerId, request_id: RequestId) -> None:
    state.derived.parked[owner].remove(request_id)
    if not state.derived.parked[owner]:
        del state.derived.parked[owner]


def _settle(state: OwnerState, request_id: RequestId, now: datetime) -> list[Effect]:
    stored = state.durable.requests[request_id]
    request = stored.parked
    assert request is not None
    state.derived.park.leave(request_id)
    settled = StoredRequest(created_at=stored.created_at, source=stored.source)
    state.durable.requests[request_id] = settled
    if settled.created_at < _horizon(state, settled.source):
        heapq.heappush(state.derived.request_ages[settled.source], (settled.created_at, request_id))
    job = state.durable.jobs.get(request.owner)
    origin = Origin(topic=stored.source, offset=stored.parked_offset or 0, key=None, value=None)
    return [PutRequest(request_id=request_id, request=settled), *carry_out(state, request, job, now, origin)]


def _horizon(state: OwnerState, source: str) -> datetime:
    """It follows the requests that were applied, never the wall clock: a long outage refuses nothing."""
    newest = state.durable.newest_requests.get(source)
    return newest - state.rules.request_ttl if newest else datetime.min.replace(tzinfo=state.durable.watermark.tzinfo)
