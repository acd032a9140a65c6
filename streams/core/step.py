"""The whole behaviour of an owner: `step(state, input, now) -> effects`; no I/O, no clock, no randomness."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from streams.core import inputs as i
from streams.core.attempts import apply_event
from streams.core.backfill import go_on, settle
from streams.core.dag.advance import advance_epochs, count_ended, open_epochs
from streams.core.deadline import miss_overdue
from streams.core.definitions import apply_definition
from streams.core.deletions import forget_deletions
from streams.core.effects import DeadLetter, Effect, Forward, Origin
from streams.core.leases import (
    forget_silent_executors,
    hear_heartbeat,
    judge,
    note_claims,
    note_dispatched,
    note_found,
    restart_silence,
)
from streams.core.life import fill_windows, release_due
from streams.core.overlap import let_go
from streams.core.pace import forget_slots
from streams.core.quarantine import put_aside, take_over
from streams.core.requests import apply_request, forget_old, refuse_overdue
from streams.core.state import OwnerState
from streams.core.tick import advance_clock


def step(state: OwnerState, input_: i.Input, now: datetime) -> list[Effect]:
    """`now` is cluster time. Only this function changes `state`."""
    state.at_work = None
    effects = _apply(state, input_, now)
    for pass_ in (miss_overdue, advance_epochs, let_go, release_due, settle):
        state.at_work = None
        effects += pass_(state, now)
    if state.derived.epochs.due:
        effects += open_epochs(state, now) + release_due(state, now)
        effects += settle(state, now)  # an end that is not counted in its own step is unknown to the next owner
    effects += fill_windows(state, now)
    return effects + count_ended(state)  # of what could not be dispatched


def next_due(state: OwnerState) -> datetime | None:
    """When `ClockAdvanced` has something to do next, if nothing else happens."""
    derived = state.derived
    agendas = derived.waiting, derived.start_deadlines, derived.epochs.deadlines
    heads = [head[0] for head in (agenda.head() for agenda in agendas) if head]
    heads += [derived.parked_deadlines[0][0]] if derived.parked_deadlines else []
    others = [each for each in (derived.timers.next_time(), state.step.catchup_wake) if each]
    return min(heads + others, default=None)


def _apply(state: OwnerState, input_: i.Input, now: datetime) -> list[Effect]:  # noqa: C901, PLR0911, PLR0912 - a table
    match input_:
        case i.TakenOver():
            return take_over(state, now)
        case i.DefinitionChanged(definition=definition, origin=origin):
            if definition.owner in state.durable.quarantined:
                return put_aside(state, definition)
            return apply_definition(state, definition, origin, now)
        case i.RequestReceived(request=request, origin=origin, appended_at=appended_at):
            return apply_request(state, request, origin, now, appended_at) + forget_old(state)
        case i.RequestMisplaced(owner=owner, home=home, origin=origin):
            return [Forward(owner=owner, home=home, origin=origin)]
        case i.ExecutorReported(batch=batch, appended_at=appended_at):
            effects: list[Effect] = []
            for event in batch.events:
                effects += apply_event(state, event, batch.executor_id, now, appended_at)
            return effects
        case i.RecordRefused(reason=reason, owner=owner, origin=origin):
            return [DeadLetter(reason=reason, owner=owner, origin=origin)]
        case i.InputDeleted(topic=topic, first=first, last=last):
            return [_input_deleted(topic, first, last)]
        case i.ClockAdvanced(budget=budget):
            return _advance(state, now, budget)
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
    return DeadLetter(reason=reason, owner=topic, origin=Origin(topic=topic, offset=first, key=None, value=None))


def _advance(state: OwnerState, now: datetime, budget: int) -> list[Effect]:
    if state.durable.cursor:
        return advance_clock(state, now, budget)
    forget_silent_executors(state, now)
    forget_slots(state, now)
    effects = refuse_overdue(state, now) + forget_deletions(state)
    state.at_work = None
    effects += advance_clock(state, now, budget)
    return effects if state.durable.cursor else effects + go_on(state, now, budget - len(effects))


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
        case i.WasAway():
            restart_silence(state, now)
        case _:
            assert_never(input_)
