"""The filters of the list of runs: from the URL, and as SQL that reads a bounded number of rows of an index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from psycopg.sql import SQL, Composed

from schemas.reasons import ReasonCode
from schemas.words import RunKind, RunState
from tidemill.instants import parse_instant
from tidemill.target import UsageError
from tidemill.web.ask import Ask
from tidemill.web.paging import Cursor, read

Value = TypeVar("Value", RunState, RunKind, ReasonCode)
FIELDS = ("job", "dag", "tenant", "state", "reason", "kind", "time", "from", "to")
"""The query parameters of a filter: links keep them."""
OF_INDEX_KINDS = frozenset({RunKind.DAG, RunKind.BACKFILL})
"""The kinds that have an index; all other kinds are found by reading runs."""


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    job: str | None = None
    dag: str | None = None
    """Its DAG runs and their nodes."""
    tenant: str | None = None
    states: tuple[RunState, ...] = ()
    reason: ReasonCode | None = None
    kind: RunKind | None = None
    by_end: bool = False
    """Whether `begin` and `end` are times of the end; otherwise they are scheduled times."""
    begin: datetime | None = None
    end: datetime | None = None


def filter_of(ask: Ask) -> RunFilter:
    """Raises `UsageError` for a word or a time that does not exist."""
    times = {
        name: parse_instant(name, text, ask.now, ask.timezone, ago=True) if (text := ask.one(name)) else None
        for name in ("from", "to")
    }
    return RunFilter(
        job=ask.one("job"),
        dag=ask.one("dag"),
        tenant=ask.one("tenant"),
        states=tuple(dict.fromkeys(_word(RunState, each, "state") for each in ask.query.get("state", ()))),
        reason=_word(ReasonCode, text, "reason") if (text := ask.one("reason")) else None,
        kind=_word(RunKind, text, "kind") if (text := ask.one("kind")) else None,
        by_end=ask.one("time") == "finished",
        begin=times["from"],
        end=times["to"],
    )


def cursor_of(ask: Ask) -> Cursor | None:
    text = ask.one("after")
    return read(text) if text else None


def _word(enum: type[Value], text: str, name: str) -> Value:
    try:
        return enum(text)
    except ValueError as error:
        raise UsageError(f"there is no {name} {text!r}") from error


def values_of(asked: RunFilter, cursor: Cursor | None) -> dict[str, Any]:
    return {
        "owner": asked.dag or asked.job,
        "tenant": asked.tenant,
        "states": [each.value for each in asked.states],
        "reason": asked.reason.value if asked.reason else None,
        "kind": asked.kind.value if asked.kind else None,
        "begin": asked.begin,
        "end": asked.end,
        "after_at": cursor and cursor.at,
        "after_id": cursor and cursor.id,
        **{f"state_{number}": each.value for number, each in enumerate(asked.states)},
    }


def candidates(asked: RunFilter, cursor: Cursor | None) -> Composed:
    """Queries that read an index in the list's order, each up to `%(scan)s` rows; together they have all candidates.

    No index has several states in the order of time, so each state is a query of its own.
    """
    return SQL("\nunion all\n").join(
        SQL("(select * from tidemill.runs where {} order by nominal_time desc, run_id limit %(scan)s)").format(each)
        for each in _branches(asked, cursor)
    )


def counted(asked: RunFilter) -> Composed:
    """As `candidates`, in any order and without columns: indexes are enough to count them."""
    return SQL("\nunion all\n").join(
        SQL("(select from tidemill.runs where {} limit %(scan)s)").format(each) for each in _branches(asked, None)
    )


def conditions(asked: RunFilter) -> Composed:
    """What the candidates must also have; true if an index has found exactly the wanted rows."""
    return SQL(" and ").join([SQL("true"), *_residue(asked)])


def is_exact(asked: RunFilter) -> bool:
    """Whether every candidate is a row of the list."""
    return not list(_residue(asked))


def _branches(asked: RunFilter, cursor: Cursor | None) -> list[Composed]:
    """The conditions of each query."""
    shared = [*_key(asked), *_window(asked), *_beyond(cursor)]
    states = range(len(asked.states)) if asked.states else (None,)
    return [SQL(" and ").join([SQL("true"), *shared, *_state(number)]) for number in states]


def _key(asked: RunFilter) -> Iterator[SQL]:
    """The condition that an index starts with; otherwise the list is read by time."""
    if asked.dag or asked.job:
        yield SQL("job_id = %(owner)s")
    elif asked.reason:
        yield SQL("reason_code = %(reason)s")
    elif asked.kind in OF_INDEX_KINDS and not asked.states:
        yield SQL("kind = %(kind)s")


def _state(number: int | None) -> Iterator[SQL]:
    if number is not None:
        yield SQL(f"state = %(state_{number})s")


def _window(asked: RunFilter) -> Iterator[SQL]:
    """A run does not end before its time, so the end of a window of ends also limits the times."""
    if asked.end:
        yield SQL("nominal_time < %(end)s")
    if asked.begin and not asked.by_end:
        yield SQL("nominal_time >= %(begin)s")


def _beyond(cursor: Cursor | None) -> Iterator[SQL]:
    if cursor:
        yield SQL("nominal_time <= %(after_at)s and (nominal_time < %(after_at)s or run_id > %(after_id)s)")


def _residue(asked: RunFilter) -> Iterator[SQL]:
    if asked.dag:
        yield SQL("dag_id = %(owner)s")
    if asked.dag and asked.job:
        yield SQL("false")
    if asked.tenant:
        yield SQL("tenant = %(tenant)s")
    if asked.reason and (asked.dag or asked.job):
        yield SQL("reason_code = %(reason)s")
    if asked.kind and (asked.dag or asked.job or asked.reason or asked.states or asked.kind not in OF_INDEX_KINDS):
        yield SQL("kind = %(kind)s")
    if asked.by_end and asked.begin:
        yield SQL("finished_at >= %(begin)s")
    if asked.by_end and asked.end:
        yield SQL("finished_at < %(end)s")
