"""Bugs in leases, kills, tokens, time and status: protocol L2, L3, L5, L6, L7, T1, S1 left out."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import msgspec

from executors import deadlines, heartbeats
from schemas.cluster_clock import ClockState, ClusterClock
from schemas.times import EPOCH
from schemas.words import RunState
from streams.core import step
from streams.core.requests import carry_out
from streams.core.runs import cancel, leases
from streams.owner import recover, transaction_records
from streams.owner.judgement import Judgement
from tests.simulation.planted.bug import Bug, Patch
from tests.simulation.things import supervisor


def _from_acknowledgement(original: Any) -> Any:
    def acknowledged(self: Any, composed: float) -> None:
        original(self, heartbeats.boot_seconds())

    return acknowledged


def _kills_once(_: Any) -> Any:
    return lambda *_: []


def _by_settings(original: Any) -> Any:
    """An owner judges by the settings that it has, not by the terms of the dispatch."""

    def lost_reason(state: Any, flight: Any, as_of: Any) -> Any:
        return original(state, dataclasses.replace(flight, terms=state.settings.terms), as_of)

    return lost_reason


def _never_by_lease(_: Any) -> Any:
    return lambda *_: deadlines.FOREVER


def _judge_at_once(_: Any) -> Any:
    """Nothing is asked for, and nothing is read up to an end."""

    def advance(self: Any, owner: Any, pulls: Any, now: Any) -> Any:
        owner.judge(now)
        return
        yield

    return advance


def _no_absence(_: Any) -> Any:
    return lambda *_: None


def _from_one_again(original: Any) -> Any:
    """The counter begins anew with each owner."""

    def restore_clock(state: Any, value: Any, topic_ids: Any) -> None:
        original(state, value, topic_ids)
        state.durable.token = 0

    return restore_clock


def _cancelled_at_once(original: Any) -> Any:
    def cancel_run(state: Any, run: Any, grace: Any, reason: Any, now: Any) -> Any:
        effects = original(state, run, grace, reason, now)
        found = state.durable.runs.get(run.run_id)
        if found is None or found.state is not RunState.CANCELLING or found.open_attempt is None:
            return effects
        report = cancel.AttemptReport(end=cancel.AttemptEnd.CANCELLED, reason=None)
        return effects + cancel.end_attempt(state, found, report, now)

    return cancel_run


def _exited_in_any_case(_: Any) -> Any:
    """An end never says that the process was stopped."""

    def make(**fields: Any) -> Any:
        fields["cause"] = supervisor.EndCause.EXITED if fields["code"] is not None else fields["cause"]
        return EXITED(**fields)

    return make


EXITED = supervisor.Exited


def _believe_each(original: Any) -> Any:
    """The time of the last acknowledgement counts, whatever it is."""

    def observe(self: Any, span: Any) -> None:
        if self._span is not None:
            self._span = span

    return observe


def _believe_each_round(original: Any) -> Any:
    def hear(self: Any, asked: Any) -> None:
        self._round = asked
        if asked.answers:
            self._span = next(iter(asked.answers.values()))

    return hear


def _always_steady(_: Any) -> Any:
    return lambda self, _: ClockState.UNKNOWN if self._span is None else ClockState.STEADY


def _any_time(_: Any) -> Any:
    """Time may go back."""

    def now(self: Any, boot: float) -> Any:
        return EPOCH + timedelta(seconds=boot + (self._span.low if self._span else 0.0))

    return now


def _last_transition_only(original: Any) -> Any:
    def run_records(run: Any) -> Any:
        records = original(run)
        status = msgspec.structs.replace(run.status, transitions=run.status.transitions[-1:])
        return [msgspec.structs.replace(records[0], value=transaction_records.encode(status)), *records[1:]]

    return run_records


BUGS = (
    Bug(
        "L1",
        "a lease counts from the acknowledgement",
        (Patch(heartbeats.HeartbeatSender, "_acknowledged", _from_acknowledgement),),
        needs="last acknowledgement is late",
    ),
    Bug("L4", "a kill is said once", (Patch(leases, "resend_kills", _kills_once),), needs="order to stop is missed"),
    Bug(
        "L8",
        "an owner judges by its own settings",
        (Patch(leases, "_lost_reason", _by_settings),),
        needs="lease is shortened",
    ),
    Bug(
        "L2",
        "no supervisor ends a process whose lease ran out",
        (Patch(deadlines, "lease_deadline", _never_by_lease),),
        needs="last acknowledgement is late",
    ),
    Bug(
        "L3",
        "silence is judged at once, and absences count",
        (Patch(Judgement, "advance", _judge_at_once), Patch(step, "note_absence", _no_absence)),
    ),
    Bug(
        "L5", "the counter of tokens begins anew with each owner", (Patch(recover, "_restore_clock", _from_one_again),)
    ),
    Bug(
        "L6",
        "a dispatched run is cancelled at once",
        (Patch(cancel, "cancel_run", _cancelled_at_once), Patch(carry_out, "cancel_run", _cancelled_at_once)),
    ),
    Bug("L7", "an exit after TERM counts as any other", (Patch(supervisor, "Exited", _exited_in_any_case),)),
    Bug(
        "T1",
        "each acknowledgement's time is believed",
        (
            Patch(ClusterClock, "observe", _believe_each),
            Patch(ClusterClock, "hear", _believe_each_round),
            Patch(ClusterClock, "state", _always_steady),
            Patch(ClusterClock, "now", _any_time),
        ),
        needs="clock jumps",
    ),
    Bug(
        "S1",
        "a status has only its last transition",
        (Patch(transaction_records, "_run_records", _last_transition_only),),
    ),
)
