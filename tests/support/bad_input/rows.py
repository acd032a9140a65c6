"""Bad rows for the tables that users write: valid rows, each with one damaged column that a seed decides."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg
from psycopg import sql

from tests.support.bad_input.records import VICTIM
from tests.support.bad_input.values import VALUE_KINDS, Nested, hostile_value

TABLES = ("jobs", "dags", "dag_nodes", "requests")
EXECUTABLE = "s3://tidemill/bad-input"
ROW_KINDS = (*VALUE_KINDS, "invalid UTF-8", "unknown column", "forbidden statement", "aborted transaction")
COLUMNS = """
select table_name, array_agg(column_name::text order by ordinal_position) as names from information_schema.columns
where table_schema = 'tidemill' and table_name = any (%s) group by table_name
"""
_FORBIDDEN = (
    "update tidemill.requests set note = 'x'",
    "delete from tidemill.requests",
    "truncate tidemill.jobs",
    "update tidemill.jobs set job_id = job_id || '2' where job_id = '{victim}'",
    "delete from tidemill.runs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    door: str
    kind: str
    statement: sql.Composable
    values: Sequence[Any]
    is_aborted: bool = False


def columns_of(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        return dict(cursor.execute(COLUMNS, [list(TABLES)]).fetchall())


def bad_rows(seed: int, count: int, columns: Mapping[str, list[str]]) -> Iterator[BadRow]:
    """`count` rows, table after table and kind after kind; the same for the same seed."""
    random = Random(seed)
    for number in range(count):
        kind, table = ROW_KINDS[number % len(ROW_KINDS)], TABLES[number // len(ROW_KINDS) % len(TABLES)]
        yield _row(random, table, kind, columns[table], f"{VICTIM}-{seed}-{number}")


def _row(random: Random, table: str, kind: str, columns: Sequence[str], name: str) -> BadRow:
    row: dict[str, Any] = _valid(table, name)
    if kind == "forbidden statement":
        statement = sql.SQL(random.choice(_FORBIDDEN).format(victim=VICTIM))  # type: ignore[arg-type]
        return BadRow(door=table, kind=kind, statement=statement, values=())
    column = random.choice(columns)
    match kind:
        case "aborted transaction":
            pass
        case "unknown column":
            row["schedul"] = "* * * * *"
        case "invalid UTF-8":
            row[column] = b"\xff\xfe"
        case _:
            row[column] = _text(hostile_value(kind, random))
    return BadRow(
        door=table,
        kind=kind,
        statement=_insert(table, row),
        values=list(row.values()),
        is_aborted=kind == "aborted transaction",
    )


def _valid(table: str, name: str) -> dict[str, Any]:
    match table:
        case "jobs":
            return {"job_id": name, "executable": EXECUTABLE}
        case "dags":
            return {"dag_id": name}
        case "dag_nodes":
            return {"dag_id": f"{VICTIM}-dag", "node_id": name, "executable": EXECUTABLE}
        case _:
            return {"request_id": name, "job_id": VICTIM}


def _insert(table: str, row: Mapping[str, Any]) -> sql.Composable:
    marks = [sql.SQL("convert_from(%s, 'UTF8')" if isinstance(each, bytes) else "%s") for each in row.values()]
    return sql.SQL("insert into tidemill.{} ({}) values ({})").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(marks)
    )


def _text(value: Any) -> str | None:
    """As a client sends a parameter whose type Postgres finds out."""
    if isinstance(value, Nested):
        return value.text()
    return value if value is None or isinstance(value, str) else json.dumps(value)
