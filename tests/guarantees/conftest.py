"""Fixtures of all guarantees: jobs under load, a journal of executions, and one verdict over all of it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable

import pytest

from schemas.words import OPEN_STATES, AttemptEnd
from tests.support import checkers
from tests.support.steady_load import execution_script, executions, ticks
from tests.support.waiting import eventually

JOBS = 40
ALL_ENDED_SECONDS = 240
SHOWN = 20


@pytest.fixture
def noting(stack, name, journal):
    """The URI of a script that appends its execution to the journal."""
    return stack.put_script(name, execution_script(journal))


@pytest.fixture
def jobs(stack, name, noting):
    """Jobs that run on request. Their class leaves time for a start on a busy machine."""
    found = [f"{name}{number}." for number in range(JOBS)]
    for each in found:
        stack.put_job(each, noting, timeout="10 s")
    return found


@pytest.fixture
def all_ended(stack, name):
    """Waits until all expected runs have ended in the tables."""

    def wait(expected: Collection[str]) -> None:
        def missing() -> set[str]:
            ended = "select run_id from runs where starts_with(job_id, %s) and state <> all (%s)"
            return set(expected) - {
                each["run_id"] for each in stack.rows(ended, [name, [state.value for state in OPEN_STATES]])
            }

        eventually(
            lambda: not missing(),
            ALL_ENDED_SECONDS,
            lambda: f"the end of {len(missing())} of {len(expected)} runs, such as {sorted(missing())[:3]},",
        )

    return wait


@pytest.fixture
def verdict(stack, name, journal, all_ended):
    """All violations in topics, tables and journal, once all expected runs have ended."""

    def judge(expected: Iterable[str], excused: Collection[AttemptEnd] = ()) -> list[str]:
        wanted = list(expected)
        all_ended(wanted)
        history = stack.history(name)
        rows = stack.rows("select * from runs where starts_with(job_id, %s)", [name])
        again = sum(status.attempt > 1 for status in {each.run_id: each for each in history}.values())
        print(f"{len(wanted)} runs, {again} of them with more than one attempt")
        return [
            *checkers.materialized_once(history),
            *checkers.legal_history(history),
            *checkers.nothing_lost(history, wanted),
            *checkers.all_succeeded(history, excused),
            *checkers.dispatched_in_order(stack.dispatches(name)),
            *checkers.executed_as_dispatched(history, executions(journal)),
            *checkers.tables_agree(history, rows),
        ][:SHOWN]

    return judge


@pytest.fixture
def broken(stack, name, journal):
    """All violations of runs that write ticks to the journal; some of them were cancelled."""

    def judge(expected: Collection[str], excused: Collection[AttemptEnd], cancelled: Collection[str] = ()) -> list[str]:
        history, alive, dispatches = stack.history(name), ticks(journal), stack.dispatches(name)
        return [
            *checkers.materialized_once(history),
            *checkers.legal_history(history),
            *checkers.nothing_lost(history, expected),
            *checkers.all_succeeded([each for each in history if each.run_id not in cancelled], excused),
            *checkers.dispatched_in_order(dispatches),
            *checkers.no_dispatch_after_stop(history, itertools.chain(*dispatches.values())),
            *checkers.one_attempt_at_a_time(alive),
            *checkers.nothing_runs_after_the_end(history, alive),
        ]

    return judge
