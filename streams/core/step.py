"""The whole behaviour of an owner: `step(state, input, now) -> effects`; no I/O, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

import msgspec

from schemas.event import EventBatch
from schemas.reasons import ProblemCode
from streams.core import inputs as i
from streams.core.dag.advance import advance_epochs, count_ended, open_epochs
from streams.core.definitions.apply import apply_definition
from streams.core.definitions.deletions import forget_deletions
from streams.core.definitions.quarantine import put_aside, take_over
from streams.core.effects import DeadLetter, Effect, Forward, Origin
from streams.core.requests.backfill import go_on, settle
from streams.core.requests.once import apply_request, forget_old, refuse_overdue, release_parked
from streams.core.room import MICROSECONDS_OF_A_LOOK
from streams.core.runs.attempts import apply_event
from streams.core.runs.deadline import miss_overdue
from streams.core.runs.leases import (
    forget_silent_executors,
    hear_heartbeat,
    judge,
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
    """`now` is cluster time. Only this function changes `state`."""
    begun_at = state.transaction.effects
    state.step.is_cut = False
    state.at_work = None
    effects = _apply(state, input_, now)
    is_cut, state.step.is_cut = state.step.is_cut, False  # the input is cut, not what the passes carry out
    for each in PASSES:
        state.at_work = None
        effects += each.of(state, now)
        state.transaction.effects = max(state.transaction.effects, begun_at + len(effects))
    state.transaction.effects = begun_at + len(effects)  # what was expected to follow is exact now
    state.step.is_cut = is_cut
    return effects


class Pass(msgspec.Struct, frozen=True):
    """What follows from an input, or from the time: it takes what is due as far as the transaction has room."""

    of: Callable[[OwnerState, datetime], list[Effect]]
    reason: str
    """Why it stands where it stands."""


def _open_due(state: OwnerState, now: datetime) -> list[Effect]:
    if not state.derived.epochs.due:
        return []
    return open_epochs(state, now) + release_due(state, now) + settle(state, now)


def _dispatch(state: OwnerState, now: datetime) -> list[Effect]:
    return fill_windows(state, now) + count_ended(state)


PASSES = (
    Pass(release_parked, "Requests that came before this input are carried out before what follows from it."),
    Pass(miss_overdue, "What is too late is not started below, and an epoch counts its missed nodes in this step."),
    Pass(advance_epochs, "All ends are known now: what depends on them starts, and a DAG run may end itself."),
    Pass(release_held, "Runs and DAG runs have ended: those of their jobs that are held become due."),
    Pass(release_due, "All that is due by now is queued: new runs, retries, nodes, and runs that were held."),
    Pass(settle, "Ends are counted in their own step, else the next owner does not know them; others of theirs go."),
    Pass(_open_due, "DAG runs became due in the two passes before: they open, and their first nodes are queued."),
    Pass(_dispatch, "The queues are complete. A dispatch that is refused ends its run: its epoch counts that at once."),
)
"""In this order, after each input. A pass that finds no room leaves the rest where it is, for the next transaction."""


def next_due(state: OwnerState) -> datetime | None:
    """When `ClockAdvanced` has something to do next, if nothing else happens."""
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
            state.durable.newest_version = max(state.durable.newest_version, definition.version)
            if definition.owner in state.durable.quarantined:
                return put_aside(state, definition)
            return apply_definition(state, definition, origin, now)
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
            return hear_heartbeat(state, heartbeat, appended_at)
        case i.CaughtUp(as_of=as_of):
            return judge(state, as_of, now)
        case _:
            _learn(state, input_, now)
            return []


def _input_deleted(topic: str, first: int, last: int) -> DeadLetter:
    reason = (
        f"topic {topic} lost the offsets {first} to {last} before they were applied: its retention or a person deleted "
        "them, and what they said has no effect. Touch the definitions that changed meanwhile, ask again for the "
        "requests, and let `retention.ms` of the topic be longer than the longest outage"
    )
    origin = Origin(topic=topic, offset=first, key=None, value=None)
    return DeadLetter(code=ProblemCode.INPUT_LOST, reason=reason, owner=topic, origin=origin)


def _report(state: OwnerState, batch: EventBatch, now: datetime, appended_at: datetime) -> list[Effect]:
    """If the transaction is full, the record comes again: an event that was applied changes nothing then."""
    effects: list[Effect] = []
    for event in batch.events:
        if state.transaction.is_full:
            state.step.is_cut = True
            break
        found = apply_event(state, event, batch.executor_id, now, appended_at)
        state.transaction.take(effects=len(found), work_us=MICROSECONDS_OF_A_LOOK)
        effects += found
    return effects


def _advance(state: OwnerState, now: datetime) -> list[Effect]:
    if state.durable.cursor:
        return advance_clock(state, now)
    forget_silent_executors(state, now)
    forget_slots(state, now)
    effects = refuse_overdue(state, now)
    state.at_work = None
    effects += advance_clock(state, now)
    if state.durable.cursor:
        return effects
    effects += go_on(state, now) + forget_deletions(state)
    state.at_work = None
    return effects + forget_old(state)


def _learn(
    state: OwnerState,
    input_: i.DispatchesCommitted | i.DispatchesFound | i.ClaimsSeen | i.WasAway,
    now: datetime,
) -> None:
    """Inputs that have no effect of their own."""
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
