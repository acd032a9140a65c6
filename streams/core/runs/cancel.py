"""Stop runs: at once without an open attempt; otherwise by a kill that the executor confirms (protocol L4, L6)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from schemas.control import Kill
from schemas.heartbeat import AttemptInHand
from schemas.ids import ExecutorId, RunId, owner_of_run
from schemas.reasons import ReasonCode
from schemas.words import AttemptEnd, RunKind, RunState
from streams.core.dag.stop import stop_epoch
from streams.core.effects import Effect, SendKill
from streams.core.reason import Reason
from streams.core.runs.fleet import InFlight
from streams.core.runs.life import end_attempt, store_and_publish
from streams.core.runs.run import AttemptReport, Run, transition_to
from streams.core.settings import DispatchTerms
from streams.core.state import OwnerState

AT_ONCE = timedelta(0)
_NOT_CLAIMED = AttemptReport(end=AttemptEnd.EXPIRED, reason=Reason(ReasonCode.EXPIRED, "no executor took it in time"))
STRAY_PATIENCE = timedelta(seconds=5)
"""A heartbeat that was sent before an attempt ended may still list it."""


def cancel_run(state: OwnerState, run: Run, grace: timedelta, reason: Reason, now: datetime) -> list[Effect]:
    """Stop an open run. A second call may only shorten the grace of the first."""
    if run.status.kind is RunKind.BACKFILL:
        return _cancel_backfill(state, run, grace, reason, now)
    if run.run_id in state.derived.epochs.by_run:
        return _cancel_epoch(state, run, grace, reason, now)
    if run.open_attempt is None:
        ends_as = run.marked or RunState.CANCELLED
        status = transition_to(run.status, ends_as, version=state.next_token(), at=now, reason=reason)
        return store_and_publish(state, msgspec.structs.replace(run, status=status))
    if run.state is RunState.CANCELLING:
        return _shorten_grace(state, run, grace)
    status = transition_to(run.status, RunState.CANCELLING, version=state.next_token(), at=now, reason=reason)
    run = msgspec.structs.replace(run, status=status, kill_grace=grace)
    return [*store_and_publish(state, run), *_kill(state, run)]


def stop_backfill(state: OwnerState, run: Run, reason: Reason, now: datetime) -> list[Effect]:
    """Start no more of its runs. Running ones continue; `advance_backfills` cancels the waiting ones step by step."""
    backfill = state.derived.backfills.by_run[run.run_id]
    state.step.touched_backfills.add(run.run_id)
    if run.state is RunState.CANCELLING:
        return []
    asked = msgspec.structs.replace(backfill.stored.asked, ran={})
    backfill.stored = msgspec.structs.replace(backfill.stored, asked=asked, is_planned=True)
    status = transition_to(run.status, RunState.CANCELLING, version=state.next_token(), at=now, reason=reason)
    return store_and_publish(state, msgspec.structs.replace(run, status=status))


def _cancel_backfill(state: OwnerState, run: Run, grace: timedelta, reason: Reason, now: datetime) -> list[Effect]:
    effects = stop_backfill(state, run, reason, now)
    active = sorted(state.derived.backfills.by_run[run.run_id].active)
    runs = [state.durable.runs[run_id] for run_id in active if run_id in state.durable.runs]
    return effects + cancel_each(state, runs, grace, reason, now)


def _cancel_epoch(state: OwnerState, run: Run, grace: timedelta, reason: Reason, now: datetime) -> list[Effect]:
    """`advance_epochs` stops its nodes in the following steps, a limited number at a time."""
    if run.state is RunState.CANCELLING:
        if run.kill_grace is not None and grace >= run.kill_grace:
            return []
        status = msgspec.structs.replace(run.status, version=state.next_token())
    else:
        status = transition_to(run.status, RunState.CANCELLING, version=state.next_token(), at=now, reason=reason)
    run = msgspec.structs.replace(run, status=status, kill_grace=grace)
    return [*store_and_publish(state, run), *stop_epoch(state, run.run_id, RunState.CANCELLED)]


def _shorten_grace(state: OwnerState, run: Run, grace: timedelta) -> list[Effect]:
    if run.kill_grace is None or grace >= run.kill_grace:
        return []
    status = msgspec.structs.replace(run.status, version=state.next_token())
    run = msgspec.structs.replace(run, status=status, kill_grace=grace)
    return [*store_and_publish(state, run), *_kill(state, run)]


def cancel_all(state: OwnerState, job_id: str, grace: timedelta, reason: Reason, now: datetime) -> list[Effect]:
    """All open runs of a job except those of backfills."""
    runs = [state.durable.runs[run_id] for run_id in sorted(state.derived.open_runs.get(job_id, ()))]
    return cancel_each(state, [run for run in runs if run.backfill_id is None], grace, reason, now)


def cancel_each(
    state: OwnerState, runs: Iterable[Run], grace: timedelta, reason: Reason, now: datetime
) -> list[Effect]:
    """As many as fit the transaction; `step.is_cut` is set if some are left."""
    effects: list[Effect] = []
    for run in runs:
        if _is_already_stopping(run, grace):
            continue
        if state.transaction.is_full:
            state.step.is_cut = True
            break
        stopped = cancel_run(state, run, grace, reason, now)
        state.transaction.spend(effects=len(stopped))
        effects += stopped
    return effects


def _is_already_stopping(run: Run, grace: timedelta) -> bool:
    return run.state is RunState.CANCELLING and run.kill_grace is not None and grace >= run.kill_grace


def stop_backfills(state: OwnerState, job_id: str, reason: Reason, now: datetime) -> list[Effect]:
    """As many as fit the transaction, as `cancel_each`."""
    effects: list[Effect] = []
    for run_id in sorted(state.derived.open_runs.get(job_id, ())):
        run = state.durable.runs[run_id]
        if run.status.kind is not RunKind.BACKFILL or run.state is RunState.CANCELLING:
            continue
        if state.transaction.is_full:
            state.step.is_cut = True
            break
        stopped = stop_backfill(state, run, reason, now)
        state.transaction.spend(effects=len(stopped) + 1)  # its PutBackfill follows
        effects += stopped
    return effects


def resend_kills(
    state: OwnerState, executor_id: ExecutorId, attempts: Iterable[AttemptInHand], appended_at: datetime
) -> list[Effect]:
    """Resend the kill of each attempt that must stop, as long as heartbeats list it (protocol L4)."""
    effects: list[Effect] = []
    before = state.seen.strays.pop(executor_id, {})
    strays: dict[tuple[RunId, int], datetime] = {}
    for attempt in attempts:
        if attempt.partition != state.partition or state.is_of_quarantined(attempt.run_id):
            continue
        state.current_job = owner_of_run(attempt.run_id)
        flight = state.seen.in_flight.get(attempt.run_id)
        if flight and flight.token == attempt.token:
            for kill in _kill(state, state.durable.runs[attempt.run_id]):
                effects += _if_room(state, kill)
            continue
        key = attempt.run_id, attempt.token
        strays[key] = before.get(key, appended_at)
        if appended_at - strays[key] >= STRAY_PATIENCE:
            effects += _if_room(state, _kill_of(*key, AT_ONCE, state.settings.terms))
    if strays:
        state.seen.strays[executor_id] = strays
    return effects


def _if_room(state: OwnerState, kill: SendKill) -> list[Effect]:
    """If the transaction is full, the next heartbeat triggers the kill again."""
    if state.transaction.is_full:
        return []
    state.transaction.spend(effects=1)
    return [kill]


def end_unclaimed(state: OwnerState, now: datetime) -> list[Effect]:
    """End attempts that no executor can claim any more and whose run must not start (protocol L6)."""
    effects: list[Effect] = []
    for run_id, flight in list(state.seen.in_flight.items()):
        if state.transaction.is_full:
            break  # the next call ends the rest
        state.current_job = owner_of_run(run_id)
        if will_never_start(state, run_id, flight, now):
            ended = end_attempt(state, state.durable.runs[run_id], _NOT_CLAIMED, now)
            state.transaction.spend(effects=len(ended))
            effects += ended
    return effects


def will_never_start(state: OwnerState, run_id: RunId, flight: InFlight, now: datetime) -> bool:
    """No executor may claim it any more, and its run must not start. Other dispatches get an event."""
    if not _is_void(flight):
        return False
    run = state.durable.runs[run_id]
    is_too_late = run.start_by is not None and run.start_by <= now and run.status.started_at is None
    return is_too_late or run.state is RunState.CANCELLING


def _is_void(flight: InFlight) -> bool:
    """It was still unclaimed at a time at which an executor would have refused its age (protocol D2)."""
    void_from = flight.dispatched_at + flight.terms.valid_for + flight.terms.claim_grace
    is_unclaimed = flight.claim_seen_at is None and flight.heard_at is None
    return is_unclaimed and flight.unclaimed_at is not None and flight.unclaimed_at >= void_from


def _kill(state: OwnerState, run: Run) -> list[SendKill]:
    if run.kill_grace is None:
        return []
    flight = state.seen.in_flight[run.run_id]
    return [_kill_of(run.run_id, flight.token, run.kill_grace, flight.terms)]


def _kill_of(run_id: RunId, token: int, grace: timedelta, terms: DispatchTerms) -> SendKill:
    """The kill is valid until no executor may start the attempt any more, by the terms of its dispatch."""
    valid_for = terms.valid_for + terms.claim_grace
    return SendKill(kill=Kill(run_id=run_id, token=token, grace=grace, valid_for=valid_for))
