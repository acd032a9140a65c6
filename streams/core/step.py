"""The whole behavior of a partition owner: `step(state, input, now) -> effects`; no I/O, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

import msgspec

from schemas.event import EventBatch
from schemas.job import Definition
from schemas.reasons import ProblemCode
from streams.core import inputs as i
from streams.core.dag.advance import advance_epochs, count_ended, open_epochs
from streams.core.definitions.apply import apply_definition
from streams.core.definitions.deletions import forget_deletions
from streams.core.definitions.quarantine import store_change, take_over
from streams.core.definitions.versions_read import note_version, version_read
from streams.core.effects import DeadLetter, Effect, Forward, Origin
from streams.core.requests.apply import apply_request, forget_old, refuse_overdue, release_parked
from streams.core.requests.backfill import advance_backfills, settle_backfills
from streams.core.room import MICROSECONDS_OF_A_CHECK
from streams.core.runs.attempts import apply_event
from streams.core.runs.deadline import miss_overdue
from streams.core.runs.leases import (
    apply_heartbeat,
    end_lost_attempts,
    forget_silent_executors,
    note_absence,
    note_claims,
    note_dispatched,
    note_found,
)
from streams.core.runs.life import fill_windows, release_due
from streams.core.runs.overlapping import release_held
from streams.core.runs.pace import forget_slots
from streams.core.state import OwnerState
from streams.core.tick import advance_clock


def step(state: OwnerState, input_: i.Input, now: datetime) -> list[Effect]:
    """Apply one input, then run all passes. `now` is cluster time. Only this function changes `state`."""
    effects_before = state.transaction.effects
    state.step.is_cut = False
    state.current_job = None
    effects = _apply(state, input_, now)
    is_cut, state.step.is_cut = state.step.is_cut, False  # it describes the input, not the passes
    for each in PASSES:
        state.current_job = None
        effects += each.apply(state, now)
        state.transaction.effects = max(state.transaction.effects, effects_before + len(effects))
    state.transaction.effects = effects_before + len(effects)  # replaces the estimates by the exact count
    state.step.is_cut = is_cut
    return effects


class Pass(msgspec.Struct, frozen=True):
    """Work that follows from an input or from the time. A pass does as much of it as fits the transaction."""

    apply: Callable[[OwnerState, datetime], list[Effect]]
    reason: str
    """Why the pass has this place in the order."""


def _open_due(state: OwnerState, now: datetime) -> list[Effect]:
    """A DAG run that opens makes node runs due and may end a backfill, so both passes run once more."""
    if not state.derived.epochs.due:
        return []
    return open_epochs(state, now) + release_due(state, now) + settle_backfills(state, now)


def _dispatch(state: OwnerState, now: datetime) -> list[Effect]:
    return fill_windows(state, now) + count_ended(state)


PASSES = (
    Pass(
        release_parked, "Requests that arrived before this input are carried out before the consequences of the input."
    ),
    Pass(
        miss_overdue, "An overdue run must not start in a later pass, and its epoch counts a missed node in this step."
    ),
    Pass(advance_epochs, "All ends are known now: dependent nodes start, and a DAG run may end."),
    Pass(release_held, "Runs and DAG runs have ended, so held runs of their jobs become due."),
    Pass(release_due, "Everything due is queued: new runs, retries, nodes, and released runs."),
    Pass(
        settle_backfills,
        "A backfill counts its ended runs in the same step, or the next owner misses them. It releases more.",
    ),
    Pass(_open_due, "The two passes before made DAG runs due: they open, and their first nodes are queued."),
    Pass(_dispatch, "The queues are complete. A refused dispatch ends its run, and the epoch counts that at once."),
)
"""They run in this order after each input. What does not fit the transaction stays queued for the next one."""


def next_due(state: OwnerState) -> datetime | None:
    """The next time at which a step has work, if no input arrives until then."""
    derived = state.derived
    agendas = derived.waiting, derived.start_deadlines, derived.epochs.deadlines
    heads = [head[0] for head in (agenda.head() for agenda in agendas) if head]
    heads += [derived.parked_deadlines[0][0]] if derived.parked_deadlines else []
    others = [each for each in (derived.timers.next_time(), state.step.catchup_wake) if each]
    return min(heads + others, default=None)


def _apply(state: OwnerState, input_: i.Input, now: datetime) -> list[Effect]:  # noqa: C901, PLR0911 - a table
    match input_:
        case i.TakenOver():
            return take_over(state, now)
        case i.DefinitionChanged(definition=definition, origin=origin):
            return _define(state, definition, origin, now)
        case i.RequestReceived(request=request, origin=origin, appended_at=appended_at):
            return apply_request(state, request, origin, now, appended_at)
        case i.RequestMisplaced(owner=owner, home=home, origin=origin):
            return [Forward(owner=owner, home=home, origin=origin)]
        case i.ExecutorReported(batch=batch, appended_at=appended_at):
            return _report(state, batch, now, appended_at)
        case i.RecordRefused(code=code, reason=reason, owner=owner, origin=origin):
            return [DeadLetter(code=code, reason=reason, owner=owner, origin=origin)]
        case i.InputDeleted(topic=topic, first=first, last=last):
            return [_input_deleted(topic, first, last)]
        case i.ClockAdvanced():
            return _advance(state, now)
        case i.HeartbeatHeard(heartbeat=heartbeat, appended_at=appended_at):
            return apply_heartbeat(state, heartbeat, appended_at)
        case i.CaughtUp(as_of=as_of):
            return end_lost_attempts(state, as_of, now)
        case _:
            _learn(state, input_, now)
            return []


def _define(state: OwnerState, definition: Definition, origin: Origin, now: datetime) -> list[Effect]:
    owner = definition.owner
    state.durable.newest_version = max(state.durable.newest_version, definition.version)
    before = version_read(state, owner)
    if owner in state.durable.quarantined:
        effects = store_change(state, definition)
    else:
        effects = apply_definition(state, definition, origin, now)
    note_version(state, owner, before)
    return effects


def _input_deleted(topic: str, first: int, last: int) -> DeadLetter:
    reason = (
        f"topic {topic} lost the offsets {first} to {last} before they were applied: its retention or a person deleted "
        "them, so they have no effect. Change the affected definitions again, send the requests again, and set "
        "`retention.ms` of the topic above the longest outage"
    )
    origin = Origin(topic=topic, offset=first, key=None, value=None)
    return DeadLetter(code=ProblemCode.INPUT_LOST, reason=reason, owner=topic, origin=origin)


def _report(state: OwnerState, batch: EventBatch, now: datetime, appended_at: datetime) -> list[Effect]:
    """If the transaction is full, the record is read again; an event that was already applied then changes nothing."""
    effects: list[Effect] = []
    for event in batch.events:
        if state.transaction.is_full:
            state.step.is_cut = True
            break
        found = apply_event(state, event, batch.executor_id, now, appended_at)
        state.transaction.spend(effects=len(found), work_us=MICROSECONDS_OF_A_CHECK)
        effects += found
    return effects


def _advance(state: OwnerState, now: datetime) -> list[Effect]:
    if state.durable.cursor:
        return advance_clock(state, now)
    forget_silent_executors(state, now)
    forget_slots(state, now)
    effects = refuse_overdue(state, now)
    state.current_job = None
    effects += advance_clock(state, now)
    if state.durable.cursor:
        return effects
    effects += advance_backfills(state, now) + forget_deletions(state)
    state.current_job = None
    return effects + forget_old(state)


def _learn(
    state: OwnerState,
    input_: i.DispatchesCommitted | i.DispatchesFound | i.ClaimsSeen | i.WasAway,
    now: datetime,
) -> None:
    """Inputs that only change what the owner has observed."""
    match input_:
        case i.DispatchesCommitted(offsets=offsets):
            note_dispatched(state, offsets, now)
        case i.DispatchesFound(offsets=offsets):
            note_found(state, offsets, now)
        case i.ClaimsSeen(claimed_below=claimed_below, as_of=as_of):
            note_claims(state, claimed_below, as_of, now)
        case i.WasAway(since=since):
            note_absence(state, since, now)
        case _:
            assert_never(input_)
