"""A request means the same by table and by topic: one list of cases goes through both doors."""

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
from tests.support.read_model_rows import open_weeks
from tests.support.request_cases import LEAST, REFUSED, TAKEN

APPENDED = datetime(2026, 3, 1, 12, tzinfo=UTC)
AS_ONE_DOOR_WRITES_IT = re.compile(r'^((?:run_at|created_at|payload) is )".*"(?: \(\d+ characters\))?: ')
"""A time, or JSON."""


def by_table(tables, row):
    """The sentence with which it is refused; None: it is taken."""
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
    """The run nightly#r0 has failed; its request is there."""
    tables.execute("insert into tidemill.requests (request_id, job_id) values ('r0', 'nightly')")
    open_weeks(tables)
    tables.execute(
        """insert into tidemill.runs
        (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, request_id, version) values
        ('nightly#r0', 'nightly', 'default', 'requested', '2026-03-01', '2026-03-01', 'failed', 2, 'r0', 9)"""
    )
    return tables


@pytest.mark.parametrize(("change", "sentence"), REFUSED, ids=[sentence[:60] for _, sentence in REFUSED])
def test_both_doors_refuse_it_with_the_same_sentence(with_a_run, change, sentence):
    row = LEAST | change
    assert (by_table(with_a_run, row), by_topic(row)) == (sentence, sentence)


@pytest.mark.parametrize("change", TAKEN, ids=[str(change)[:60] for change in TAKEN])
def test_both_doors_take_it(with_a_run, change):
    row = LEAST | change
    assert (by_table(with_a_run, row), by_topic(row)) == (None, None)


def test_only_the_table_takes_a_backfill_and_the_topic_says_so(with_a_run):
    row = LEAST | {"kind": "backfill"}
    assert (
        by_topic(row)
        == 'kind is "backfill": insert a row into tidemill.requests instead, whose trigger knows what has run already'
    )
    assert by_table(with_a_run, row | {"backfill_from": "2026-01-01Z", "backfill_to": "2026-01-02Z"}) is None
