"""The tables that sinks write, with the meaning of the statements in `connectors/*.sql`, and transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from connectors.statements import sql

Row = dict[str, Any]


class Found:
    """The part of a cursor that a ledger uses."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows, self.rowcount = rows, len(rows)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows


class Postgres:
    """What is committed."""

    def __init__(self) -> None:
        self.runs: dict[str, Row] = {}
        self.stories: dict[str, Row] = {}
        self.problems: dict[tuple[int, int], Row] = {}
        self.offsets: dict[tuple[str, int], tuple[str, int]] = {}
        """(topic, partition) -> (topic id, next offset)"""
        self.moved_back: list[str] = []

    def connect(self) -> Connection:
        return Connection(self)


class Connection:
    """What `connectors.ledger.Ledger` uses of a `psycopg.Connection`."""

    def __init__(self, postgres: Postgres) -> None:
        self._tables = postgres

    @contextmanager
    def transaction(self) -> Iterator[None]:
        tables = self._tables
        before = dict(tables.runs), dict(tables.stories), dict(tables.problems), dict(tables.offsets)
        try:
            yield
        except BaseException:
            tables.runs, tables.stories, tables.problems, tables.offsets = before
            raise

    def execute(self, statement: bytes, parameters: dict[str, Any]) -> Found:
        rows = orjson.loads(parameters["rows"]) if "rows" in parameters else []
        return Found(STATEMENTS[statement](self._tables, rows))


def _load_offsets(tables: Postgres, rows: list[Row]) -> list[tuple[Any, ...]]:
    for row in rows:
        where = row["topic"], row["partition"]
        topic_id, _ = tables.offsets.get(where, ("", 0))
        if topic_id != row["topic_id"]:
            tables.offsets[where] = row["topic_id"], 0
    return [(row["topic"], row["partition"], tables.offsets[row["topic"], row["partition"]][1]) for row in rows]


def _advance_offsets(tables: Postgres, rows: list[Row]) -> list[tuple[Any, ...]]:
    moved: list[tuple[Any, ...]] = []
    for row in rows:
        where = row["topic"], row["partition"]
        if tables.offsets.get(where) == (row["topic_id"], row["expected"]):
            tables.offsets[where] = row["topic_id"], row["next_offset"]
            moved.append(where)
    return moved


def _write_runs(tables: Postgres, rows: list[Row]) -> list[tuple[Any, ...]]:
    written: list[tuple[Any, ...]] = []
    for row in rows:
        known = tables.runs.get(row["run_id"])
        if known is None or known["version"] < row["version"]:
            tables.runs[row["run_id"]] = row
            written.append((row["run_id"],))
    return written


def _write_stories(tables: Postgres, rows: list[Row]) -> list[tuple[Any, ...]]:
    for row in rows:
        first, known = row["transitions"][0]["version"], tables.stories.get(row["run_id"])
        if known is not None:
            attempts = [each for each in known["attempts"] if each["token"] < first]
            transitions = [each for each in known["transitions"] if each["version"] < first]
            joined = {"attempts": attempts + row["attempts"], "transitions": transitions + row["transitions"]}
        else:
            joined = {}
        tables.stories[row["run_id"]] = row | joined
    return []


def _write_problems(tables: Postgres, rows: list[Row]) -> list[tuple[Any, ...]]:
    for row in rows:
        tables.problems.setdefault((row["partition"], row["record_offset"]), row)
    return []


def _nothing(_: Postgres, rows: list[Row]) -> list[tuple[Any, ...]]:
    return []


STATEMENTS: dict[bytes, Callable[[Postgres, list[Row]], list[tuple[Any, ...]]]] = {
    sql("load_offsets"): _load_offsets,
    sql("advance_offsets"): _advance_offsets,
    sql("write_runs"): _write_runs,
    sql("write_stories"): _write_stories,
    sql("write_problems"): _write_problems,
    # The simulated hour lies in one week, which exists.
    sql("filed_before"): _nothing,
    sql("make_week"): _nothing,
    sql("write_weeks"): _nothing,
}
