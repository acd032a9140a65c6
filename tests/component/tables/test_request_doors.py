"""Table and topic accept the same requests: one list of cases tests both."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import orjson
import psycopg
import pytest
from psycopg import sql

from schemas.codec import decode_request
from schemas.errors import UndecodableError
from tests.support.read_model_rows import allow_writes
from tests.support.request_cases import ACCEPTED, MINIMAL, REFUSED

APPENDED = datetime(2026, 3, 1, 12, tzinfo=UTC)
AS_ONE_DOOR_WRITES_IT = re.compile(r'^((?:run_at|created_at|payload) is )".*"(?: \(\d+ characters\))?: ')
"""Text that differs by entrance: a time, or JSON."""


def by_table(tables, row):
    """The sentence of the refusal; None: accepted."""
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    holes = sql.SQL(", ").join(sql.Placeholder() * len(row))
    statement = sql.SQL("insert into tidemill.requests ({}) values ({})").format(columns, holes)
    values = [json.dumps(value) if column == "payload" else value for column, value in row.items()]
    try:
        with tables.transaction():
            tables.execute(statement, values)
    except psycopg.errors.CheckViolation as error:
        return _masked(error.diag.message_primary)
    return None


def by_topic(row):
    try:
        decode_request(orjson.dumps(row), APPENDED)
    except UndecodableError as error:
        return _masked(str(error).removeprefix("is refused: "))
    return None


def _masked(sentence):
    return AS_ONE_DOOR_WRITES_IT.sub(r"\1…: ", sentence)


@pytest.fixture
def with_a_run(tables):
    """A failed run nightly#r0 whose request exists."""
    tables.execute("insert into tidemill.requests (request_id, job_id) values ('r0', 'nightly')")
    allow_writes(tables)
    tables.execute(
        """insert into tidemill.runs
        (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, request_id, version) values
        ('nightly#r0', 'nightly', 'default', 'requested', '2026-03-01', '2026-03-01', 'failed', 2, 'r0', 9)"""
    )
    return tables


@pytest.mark.parametrize(("change", "sentence"), REFUSED, ids=[sentence[:60] for _, sentence in REFUSED])
def test_table_and_topic_refuse_a_request_with_the_same_sentence(with_a_run, change, sentence):
    row = MINIMAL | change
    assert (by_table(with_a_run, row), by_topic(row)) == (sentence, sentence)


@pytest.mark.parametrize("change", ACCEPTED, ids=[str(change)[:60] for change in ACCEPTED])
def test_table_and_topic_accept_a_request(with_a_run, change):
    row = MINIMAL | change
    assert (by_table(with_a_run, row), by_topic(row)) == (None, None)


def test_only_the_table_accepts_a_backfill_and_the_topic_refuses_it(with_a_run):
    row = MINIMAL | {"kind": "backfill"}
    assert (
        by_topic(row)
        == 'kind is "backfill": insert a row into tidemill.requests instead, whose trigger knows what has run already'
    )
    assert by_table(with_a_run, row | {"backfill_from": "2026-01-01Z", "backfill_to": "2026-01-02Z"}) is None
