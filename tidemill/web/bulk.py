"""Which runs a bulk action of a filter hits: the preview and the action ask the same. Pure, but for the reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
import psycopg

from schemas.words import OPEN_STATES, RunKind, RunState
from tidemill.orders import MAX_RERUNS, runs_again
from tidemill.target import Row, UsageError
from tidemill.web.run_filter import RunFilter
from tidemill.web.run_list import read_some

FAILED = (RunState.FAILED, RunState.DEAD, RunState.TIMED_OUT)
"""What is run again if the filter names no state."""
STOPPABLE = tuple(sorted(OPEN_STATES, key=lambda each: each.value))


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    runs: list[Row]
    left_out: int
    """Runs of the filter that the action does not suit: nodes, backfills and ranges of occurrences."""
    is_cut: bool
    """The filter has more runs; the action takes the newest."""
    asked: RunFilter

    @property
    def owners(self) -> list[tuple[str, int]]:
        """The jobs and DAGs with the number of their runs, the most first."""
        return Counter(each["job_id"] for each in self.runs).most_common()


def to_cancel(postgres: psycopg.Connection[Row], asked: RunFilter, seen_at: datetime) -> Hit:
    """The open runs of a filter that were queued when the preview was made."""
    return _hit(postgres, _with_states(asked, STOPPABLE, STOPPABLE), seen_at, _can_stop(asked))


def to_rerun(postgres: psycopg.Connection[Row], asked: RunFilter, seen_at: datetime) -> Hit:
    """The ended runs of a filter; without a state, the failed ones. Raises `UsageError` for an open state."""
    allowed = tuple(each for each in RunState if each.is_final or each is RunState.RETRY_WAIT)
    return _hit(postgres, _with_states(asked, FAILED, allowed), seen_at, runs_again)


def _with_states(asked: RunFilter, usual: Sequence[RunState], allowed: Sequence[RunState]) -> RunFilter:
    if not set(asked.states) <= set(allowed):
        unfit = ", ".join(each.value for each in asked.states if each not in allowed)
        raise UsageError(f"runs that are {unfit} cannot be part of this: choose other states")
    return msgspec.structs.replace(asked, states=asked.states or tuple(usual))


def _can_stop(asked: RunFilter) -> Callable[[Mapping[str, object]], bool]:
    """A node stops with its DAG run, unless the filter asks for nodes."""
    return lambda run: run["kind"] != RunKind.NODE.value or asked.kind is RunKind.NODE


def _latest(run: Row) -> datetime:
    """When the run was queued, or has ended: what happens after the preview is not what the reader has seen."""
    queued: datetime = run["queued_at"] or run["nominal_time"]
    return max(queued, run["finished_at"] or queued)


def _hit(postgres: psycopg.Connection[Row], asked: RunFilter, seen_at: datetime, suits: Callable[[Row], bool]) -> Hit:
    found, is_cut = read_some(postgres, asked, MAX_RERUNS)
    known = [each for each in found if _latest(each) <= seen_at]
    runs = [each for each in known if suits(each)]
    return Hit(runs=runs, left_out=len(known) - len(runs), is_cut=is_cut, asked=asked)
