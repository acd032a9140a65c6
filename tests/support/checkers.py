"""The guarantees as checks: each function reads a history and returns one sentence per violation, or an empty list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from schemas.dispatch import Dispatch
from schemas.status import RunStatus, Transition
from schemas.times import epoch_ms
from schemas.words import OPEN_STATES, AttemptEnd, RunState
from streams.core.runs.run import LEGAL


def materialized_once(history: Iterable[RunStatus]) -> list[str]:
    """A run is created once: all its records have the same first transition, unless a rerun was requested."""
    first = {}
    problems = []
    for status in history:
        life = status.run_id, status.rerun_id
        created = status.transitions[0]
        if first.setdefault(life, created) != created:
            problems.append(f"{status.run_id} was created twice: {first[life]} and {created}")
    return problems


def legal_history(history: Iterable[RunStatus]) -> list[str]:
    """Transitions are legal, each reason has a code, versions increase, and no state follows a final state."""
    problems = []
    last: dict[str, RunStatus] = {}
    for status in history:
        problems += _illegal_moves(status) + _half_told(status)
        before = last.get(status.run_id)
        if before and before.version >= status.version:
            problems.append(f"{status.run_id}: version {status.version} follows {before.version}")
        if before and before.state not in OPEN_STATES and before.rerun_id == status.rerun_id:
            problems.append(f"{status.run_id}: {status.state.value} follows the final state {before.state.value}")
        last[status.run_id] = status
    return problems


def nothing_lost(history: Iterable[RunStatus], expected: Iterable[str]) -> list[str]:
    """Every expected run has ended, and there is no other run."""
    last = {status.run_id: status for status in history}
    wanted = set(expected)
    problems = [f"{run_id} is missing" for run_id in sorted(wanted - set(last))]
    problems += [f"{run_id} was not requested" for run_id in sorted(set(last) - wanted)]
    return problems + [
        f"{run_id} never ended: it is {status.state.value}"
        for run_id, status in sorted(last.items())
        if status.state in OPEN_STATES
    ]


def no_dispatch_after_stop(history: Iterable[RunStatus], dispatches: Iterable[Dispatch]) -> list[str]:
    """No attempt is dispatched after its run got CANCELLING or CANCELLED, in each life of the run.

    Tokens and versions come from one counter, so they can be compared.
    """
    stops = (RunState.CANCELLING, RunState.CANCELLED)
    lives: dict[str, dict[str | None, tuple[Transition, ...]]] = {}
    for status in history:
        lives.setdefault(status.run_id, {})[status.rerun_id] = status.transitions
    problems = []
    for dispatch in dispatches:
        before = [life for life in lives.get(dispatch.run_id, {}).values() if life[0].version < dispatch.token]
        life = max(before, key=lambda each: each[0].version, default=())
        problems += [
            f"{dispatch.run_id} was dispatched with token {dispatch.token}, after its stop at version {each.version}"
            for each in life
            if each.state in stops and each.version < dispatch.token
        ]
    return problems


def one_run_at_a_time(history: Iterable[RunStatus]) -> list[str]:
    """`history` is one job's: no run is dispatched while another run has an open attempt."""
    problems = []
    running: set[str] = set()
    for status in sorted(history, key=lambda each: each.version):
        if not status.attempts or status.attempts[-1].end is not None:
            running.discard(status.run_id)
            continue
        problems += [f"{status.run_id} started while {other} was running" for other in running - {status.run_id}]
        running.add(status.run_id)
    return problems


def dispatched_once(dispatches: Iterable[Dispatch]) -> list[str]:
    """No attempt is dispatched twice, and fencing tokens increase."""
    found = list(dispatches)
    times = Counter((each.run_id, each.attempt) for each in found)
    problems = [
        f"attempt {attempt} of {run_id} was dispatched {n} times" for (run_id, attempt), n in times.items() if n > 1
    ]
    tokens = [each.token for each in found]
    if tokens != sorted(set(tokens)):
        problems.append("fencing tokens do not increase")
    return problems


def dispatched_in_order(dispatches: Mapping[tuple[str, int], list[Dispatch]]) -> list[str]:
    """`dispatches` is keyed by (class, partition). All classes of a partition share one token counter."""
    problems = [problem for log in dispatches.values() for problem in dispatched_once(log)]
    for number in sorted({partition for _, partition in dispatches}):
        logs = [each for (_, partition), log in dispatches.items() if partition == number for each in log]
        problems += dispatched_once(sorted(logs, key=lambda each: each.token))
    return problems


def all_succeeded(history: Iterable[RunStatus], excused: Collection[AttemptEnd] = ()) -> list[str]:
    """Every run succeeded, and each earlier attempt ended in one of the `excused` ways."""
    last = {status.run_id: status for status in history}
    problems = [
        f"{each.run_id} is {each.state.value}" for each in last.values() if each.state is not RunState.SUCCEEDED
    ]
    for status in last.values():
        others = [each.end for each in status.attempts[:-1] if each.end not in excused]
        problems += [f"attempts of {status.run_id} ended as {others}"] if others else []
    return problems


def executed_as_dispatched(history: Iterable[RunStatus], executions: Iterable[tuple[str, int]]) -> list[str]:
    """No attempt is executed twice or without a dispatch, and every attempt that succeeded was executed."""
    times = Counter(executions)
    last = {status.run_id: status for status in history}
    known = {(status.run_id, each.attempt): each.end for status in last.values() for each in status.attempts}
    problems = [
        f"attempt {attempt} of {run_id} was executed {n} times" for (run_id, attempt), n in times.items() if n > 1
    ]
    problems += [
        f"attempt {attempt} of {run_id} was never dispatched" for run_id, attempt in times.keys() - known.keys()
    ]
    succeeded = {each for each, end in known.items() if end is AttemptEnd.SUCCEEDED}
    return problems + [
        f"attempt {attempt} of {run_id} was not executed" for run_id, attempt in succeeded - times.keys()
    ]


def one_attempt_at_a_time(ticks: Iterable[tuple[str, int, int]]) -> list[str]:
    """Two attempts of a run are never alive at once. A tick is (run, attempt, nanoseconds when it was alive)."""
    spans: dict[str, dict[int, tuple[int, int]]] = {}
    for run_id, attempt, at in ticks:
        first, last = spans.setdefault(run_id, {}).get(attempt, (at, at))
        spans[run_id][attempt] = (min(first, at), max(last, at))
    return [
        f"attempt {attempt} of {run_id} was alive until {last}, its next one from {following[0]}"
        for run_id, attempts in spans.items()
        for attempt, (_, last) in attempts.items()
        for other, following in attempts.items()
        if other > attempt and following[0] <= last
    ]


def nothing_runs_after_the_end(history: Iterable[RunStatus], ticks: Iterable[tuple[str, int, int]]) -> list[str]:
    """No process of a run is alive after the run's final state. Ticks as in `one_attempt_at_a_time`."""
    ended = {status.run_id: status.transitions[-1].at for status in history if status.state.is_final}
    return [
        f"attempt {attempt} of {run_id} was alive {at - epoch_ms(ended[run_id]) * 1_000_000} ns after the run ended"
        for run_id, attempt, at in ticks
        if run_id in ended and at > (epoch_ms(ended[run_id]) + 1) * 1_000_000
    ]


def tables_agree(history: Iterable[RunStatus], rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Each run's row equals its last status."""
    last = {status.run_id: status for status in history}
    found = {row["run_id"]: row for row in rows}
    problems = [f"{run_id} has a row and no status" for run_id in found.keys() - last.keys()]
    for run_id, status in last.items():
        expected = [
            status.version,
            status.state.value,
            status.attempt,
            status.executor_id,
            status.started_at,
            status.reason,
            status.reason_code,
        ]
        columns = ("version", "state", "attempt", "executor_id", "started_at", "reason", "reason_code")
        row = [found[run_id][column] for column in columns] if run_id in found else None
        problems += [f"{run_id}: its row is {row}, its status {expected}"] if row != expected else []
    return problems


def _half_told(status: RunStatus) -> list[str]:
    """What has a sentence for people has a code for programs, and the other way round."""
    told = (status, *status.transitions, *status.attempts)
    return [
        f"{status.run_id}: the reason {each.reason!r} has the code {each.reason_code}"
        for each in told
        if bool(each.reason) is not bool(each.reason_code)
    ]


def _illegal_moves(status: RunStatus) -> list[str]:
    problems = []
    before: RunState | None = None
    for transition in status.transitions:
        if transition.state not in LEGAL.get(before, ()):
            problems.append(f"{status.run_id}: {before} -> {transition.state} is not a legal transition")
        before = transition.state
    if before is not status.state:
        problems.append(f"{status.run_id}: state {status.state} differs from its last transition {before}")
    return problems
