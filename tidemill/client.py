"""Requests runs from Python, in the transaction of the caller's own data.

    from tidemill import client

    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("insert into invoices …")
        run_id = client.request(cursor, "send-invoice", {"invoice": 42}, request_id="invoice-42")

If the transaction is rolled back, there is no request. docs/jobs.md has the other doors.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

from schemas.ids import request_run_id

COLUMNS = ("request_id", "job_id", "dag_id", "payload", "run_at")
PLACEHOLDERS = {"format": "%s", "pyformat": "%s", "qmark": "?"}
NUMBERED = {"numeric": ":", "numeric_dollar": "$"}
ASYNCPG = "asyncpg"


class _Statement(NamedTuple):
    text: str
    values: tuple[Any, ...]
    run_id: str


def request(
    cursor: Any,
    job: str | None,
    payload: Any = None,
    request_id: str | None = None,
    *,
    dag: str | None = None,
    run_at: datetime | None = None,
) -> str:
    """Request one run of a job, or of a DAG (then `job` is None), and return its run id.

    `cursor` is of any DB-API driver for Postgres. The request is a row of the cursor's transaction: it counts if that
    commits. `request_id` is the idempotency key: a second request with the same id, for the same job, changes nothing.
    Without one, each call is another run. `payload` is any JSON value; `run_at` the earliest start.

    Raises the driver's error with the database's sentence, if the database refuses the request.
    """
    made = _statement(cursor, job, dag, payload, request_id, run_at)
    cursor.execute(made.text, made.values)
    return made.run_id


async def request_async(
    connection: Any,
    job: str | None,
    payload: Any = None,
    request_id: str | None = None,
    *,
    dag: str | None = None,
    run_at: datetime | None = None,
) -> str:
    """`request` for an asynchronous cursor or connection of psycopg, or a connection of asyncpg."""
    made = _statement(connection, job, dag, payload, request_id, run_at)
    if _driver(connection) == ASYNCPG:
        await connection.execute(made.text, *made.values)
    else:
        await connection.execute(made.text, made.values)
    return made.run_id


def _statement(
    cursor: Any, job: str | None, dag: str | None, payload: Any, request_id: str | None, run_at: datetime | None
) -> _Statement:
    if (job is None) == (dag is None):
        raise ValueError("name either a job or a DAG: request(cursor, 'nightly') or request(cursor, None, dag='etl')")
    if run_at is not None and run_at.tzinfo is None:
        raise ValueError(f"run_at is {run_at.isoformat()}, which has no time zone: give it one, such as datetime.UTC")
    key = str(uuid4()) if request_id is None else request_id
    text = None if payload is None else json.dumps(payload)
    marks = ", ".join(_placeholders(cursor, len(COLUMNS)))
    statement = f"insert into tidemill.requests ({', '.join(COLUMNS)}) values ({marks}) on conflict do nothing"  # noqa: S608
    return _Statement(statement, (key, job, dag, text, run_at), request_run_id(str(job or dag), key))


def _placeholders(cursor: Any, count: int) -> Sequence[str]:
    """In the form of the cursor's driver; without a known one, the form that most drivers for Postgres have."""
    driver = _driver(cursor)
    style = "numeric_dollar" if driver == ASYNCPG else getattr(sys.modules.get(driver), "paramstyle", "format")
    if style in NUMBERED:
        return [f"{NUMBERED[style]}{number}" for number in range(1, count + 1)]
    return [PLACEHOLDERS.get(style, "%s")] * count


def _driver(cursor: Any) -> str:
    return type(cursor).__module__.partition(".")[0]
