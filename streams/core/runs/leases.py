"""Leases: how long an executor may be silent until its attempts count as lost (protocol D5, L1, L3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.ids import ExecutorId, RunId, owner_of_run
from schemas.reasons import ReasonCode
from schemas.words import AttemptEnd
from streams.core.effects import Effect
from streams.core.reason import Reason
from streams.core.runs.cancel import end_unclaimed, resend_kills, will_never_start
from streams.core.runs.fleet import InFlight
from streams.core.runs.life import end_attempt
from streams.core.runs.run import AttemptReport
from streams.core.state import OwnerState

CLAIM_PATIENCE = timedelta(seconds=2)
"""Read the group's offsets only for a dispatch older than this; most are claimed within milliseconds."""

SILENT_SHARE = 0.1
"""The share of an owner's absence that counts as silence: a slow owner still finds a loss within ten leases."""
CLAIM_INTERVAL = timedelta(seconds=5)
"""How often to read the offsets for a dispatch that waits; each read costs a connection to the brokers."""


def apply_heartbeat(state: OwnerState, heartbeat: Heartbeat, appended_at: datetime) -> list[Effect]:
    """A heartbeat renews the leases of the attempts it lists. It sets the windows of its executor and what it gives."""
    if heartbeat.state is ExecutorState.GONE:
        forget_executor(state, heartbeat.executor_id)
        return []
    windows = {each.timeout_class: each.size for each in heartbeat.windows if each.partition == state.partition}
    state.seen.fleet.note_heartbeat(heartbeat.executor_id, appended_at, windows, heartbeat.capabilities)
    for attempt in heartbeat.attempts:
        flight = state.seen.in_flight.get(attempt.run_id)
        if flight and flight.token == attempt.token:
            state.seen.fleet.note_report(flight, heartbeat.executor_id, appended_at)
    return resend_kills(state, heartbeat.executor_id, heartbeat.attempts, appended_at)


def forget_silent_executors(state: OwnerState, now: datetime) -> None:
    """Drop the windows of silent executors.

    The lease of the settings decides, not that of a dispatch, because a window belongs to no attempt.
    """
    while (executor_id := state.seen.fleet.silent_since(now - state.settings.lease)) is not None:
        forget_executor(state, executor_id)


def forget_executor(state: OwnerState, executor_id: ExecutorId) -> None:
    state.seen.fleet.forget(executor_id)
    state.seen.strays.pop(executor_id, None)


def note_dispatched(state: OwnerState, offsets: Mapping[RunId, tuple[int, int]], now: datetime) -> None:
    """Note the offsets of a committed transaction's dispatches: (token, offset) by run."""
    for run_id, (token, offset) in offsets.items():
        flight = state.seen.in_flight.get(run_id)
        if flight and flight.token == token:
            flight.offset, flight.dispatched_at = offset, now


def note_found(state: OwnerState, found: Mapping[RunId, tuple[int, int]], now: datetime) -> None:
    """After recovery, note the dispatches that are still unclaimed in the log; all others count as claimed now
    (protocol D5).

    The owner does not read the topic of a class that was removed from the settings. An executor that still reads it
    may claim such a dispatch as long as the dispatch is valid (protocol D2).
    """
    note_dispatched(state, found, now)
    for flight in state.seen.in_flight.values():
        if flight.offset is not None:
            continue
        is_read = state.settings.class_named(flight.timeout_class) is not None
        flight.claim_seen_at = now if is_read else now + state.settings.dispatch_valid_for


def note_claims(state: OwnerState, claimed_below: Mapping[str, int], as_of: datetime, now: datetime) -> None:
    """Note the group's committed offsets by timeout class: a dispatch below is claimed, or expired.

    The offsets were read between `as_of` and `now`; each use takes the time that makes the owner wait longer.
    """
    for flight in state.seen.in_flight.values():
        if flight.offset is None or flight.claim_seen_at is not None:
            continue
        if flight.offset < claimed_below.get(flight.timeout_class, 0):
            flight.claim_seen_at = now
        else:
            flight.unclaimed_at = as_of


def note_absence(state: OwnerState, since: datetime | None, now: datetime) -> None:
    """The owner could not commit or read until now, and perhaps executors could not either (protocol L3).

    Silence before a takeover does not count. `SILENT_SHARE` of a later absence does; otherwise an owner that is always
    slow would never find a lost attempt.
    """
    seen = state.seen
    if since is None:
        seen.silence_from, seen.absences = max(seen.silence_from, now), []
        return
    signs = (each.heard_at or each.claim_seen_at for each in seen.in_flight.values())
    oldest = min((each for each in signs if each), default=now)
    seen.absences = [each for each in seen.absences if each[1] > oldest]
    seen.absences.append((since + SILENT_SHARE * (now - since), now))


def _silence(state: OwnerState, heard_at: datetime, as_of: datetime) -> timedelta:
    """How long the executor was silent while the owner was present."""
    since = max(heard_at, state.seen.silence_from)
    away = (min(end, as_of) - max(begin, since) for begin, end in state.seen.absences if end > since)
    return as_of - since - sum((each for each in away if each > timedelta(0)), timedelta(0))


def wants_judgement(state: OwnerState, now: datetime) -> bool:
    """Whether an attempt looks lost, so that the owner should read all events before it decides."""
    return any(
        _lost_reason(state, flight, now) or will_never_start(state, run_id, flight, now)
        for run_id, flight in state.seen.in_flight.items()
    )


def wants_claims(state: OwnerState, now: datetime) -> bool:
    """Whether a dispatch has waited long enough to read the group's offsets, or to read them again."""
    waiting_since, asked_since = now - CLAIM_PATIENCE, now - CLAIM_INTERVAL
    return any(
        flight.heard_at is None
        and flight.claim_seen_at is None
        and flight.dispatched_at <= waiting_since
        and (flight.unclaimed_at is None or flight.unclaimed_at <= asked_since)
        for flight in state.seen.in_flight.values()
    )


def end_lost_attempts(state: OwnerState, as_of: datetime, now: datetime) -> list[Effect]:
    """End the attempts whose lease had expired at `as_of`. Events and heartbeats are applied up to that time."""
    effects: list[Effect] = []
    lost = [(run_id, _lost_reason(state, flight, as_of)) for run_id, flight in state.seen.in_flight.items()]
    for run_id, reason in lost:
        if state.transaction.is_full:
            break  # the next call ends the rest
        if reason:
            state.current_job = owner_of_run(run_id)
            report = AttemptReport(end=AttemptEnd.LOST, reason=reason)
            ended = end_attempt(state, state.durable.runs[run_id], report, now)
            state.transaction.spend(effects=len(ended))
            effects += ended
    return effects + end_unclaimed(state, now)


def _lost_reason(state: OwnerState, flight: InFlight, as_of: datetime) -> Reason | None:
    """Uses the terms of the dispatch, as its executor does, not the current settings."""
    if flight.heard_at is not None:
        lease = flight.terms.lease
        is_silent = _silence(state, flight.heard_at, as_of) >= lease
        return Reason(ReasonCode.LEASE_EXPIRED, f"its executor was silent for {lease}") if is_silent else None
    if flight.claim_seen_at is not None:
        grace = flight.terms.claim_grace
        is_late = _silence(state, flight.claim_seen_at, as_of) >= grace
        return Reason(ReasonCode.NOT_STARTED, f"claimed, but not started within {grace}") if is_late else None
    return None
