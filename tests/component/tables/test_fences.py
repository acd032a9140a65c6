"""The fence that a job calls in its own transaction: no older attempt commits after a newer one has passed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]
RUN = "j@2026-03-01T00:00:00Z"


@pytest.fixture
def tables(tables):
    """The fence asks whether the job or DAG of the run exists."""
    defined(tables)
    return tables


@pytest.fixture
def tables_dsn(tables_dsn):
    with psycopg.connect(tables_dsn) as connection:
        defined(connection)
    return tables_dsn


def defined(connection):
    connection.execute(
        "insert into tidemill.jobs (job_id, executable) select unnest('{j,another,old}'::text[]), 's3://bucket/x'"
    )


def passes(connection, token, run_id=RUN):
    return connection.execute("select tidemill.fence_ok(%s, %s)", (run_id, token)).fetchone()[0]


def test_a_token_passes_repeatedly_until_a_greater_one_has_passed(tables):
    assert [passes(tables, token) for token in (3, 3, 7, 7, 3, 6, 7)] == [True, True, True, True, False, False, True]
    assert passes(tables, 1, "another#run")


def test_the_raising_fence_aborts_the_transaction(tables):
    tables.execute("select tidemill.fence(%s, 7)", (RUN,))
    with pytest.raises(psycopg.Error, match="has a newer attempt: token 3 is no longer valid") as caught:
        tables.execute("select tidemill.fence(%s, 3)", (RUN,))
    assert caught.value.sqlstate == "TM001"
    assert tables.info.transaction_status is TransactionStatus.INERROR


@pytest.mark.parametrize(("run_id", "token"), [("", 1), (None, 1), (RUN, None), (RUN, 0)])
@pytest.mark.parametrize("function", ["fence", "fence_ok"])
def test_an_invalid_attempt_is_an_error(tables, function, run_id, token):
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="TIDEMILL_FENCING_TOKEN"):
        tables.execute(f"select tidemill.{function}(%s, %s)", (run_id, token))


def test_an_older_attempt_waits_for_a_newer_one_and_then_does_not_pass(tables_dsn):
    with psycopg.connect(tables_dsn) as newer, psycopg.connect(tables_dsn) as older, ThreadPoolExecutor(1) as aside:
        assert passes(newer, 7)
        answer = aside.submit(passes, older, 3)
        eventually(lambda: is_waiting(newer, older), 10, "the older attempt waiting")
        newer.commit()
        assert answer.result(10) is False


def test_a_newer_attempt_waits_for_an_older_one_and_sees_its_changes(tables_dsn):
    with psycopg.connect(tables_dsn) as newer, psycopg.connect(tables_dsn) as older, ThreadPoolExecutor(1) as aside:
        older.execute("create table work (token int)")
        older.commit()
        assert passes(older, 3)
        older.execute("insert into work values (3)")
        answer = aside.submit(passes, newer, 7)
        eventually(lambda: is_waiting(older, newer), 10, "the newer attempt waiting")
        older.commit()
        assert answer.result(10) is True
        assert newer.execute("select token from work").fetchall() == [(3,)]


def test_an_attempt_that_rolls_back_has_not_passed(tables_dsn):
    with psycopg.connect(tables_dsn) as newer, psycopg.connect(tables_dsn) as older:
        assert passes(newer, 7)
        newer.rollback()
        assert passes(older, 3)


def test_an_older_snapshot_does_not_bypass_the_fence(tables_dsn):
    with psycopg.connect(tables_dsn) as newer, psycopg.connect(tables_dsn) as older:
        older.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        older.execute("select count(*) from tidemill.fences")
        assert passes(newer, 7)
        newer.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            passes(older, 3)


def test_a_run_of_no_job_has_no_fence(tables):
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="there is no job or DAG of this run"):
        passes(tables, 7, "none#run")


def test_a_job_needs_only_the_right_to_call_the_fence_and_its_tenant(tables):
    tables.execute("create role asks_only")
    tables.execute("grant usage on schema tidemill to asks_only")
    tables.execute("insert into tidemill.members (role, tenant) values ('asks_only', 'default')")
    tables.execute("set local role asks_only")
    assert passes(tables, 7)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        tables.execute("update tidemill.fences set token = 1")


def test_forgotten_fences_are_older_than_any_attempt(tables):
    passes(tables, 7)
    passes(tables, 7, "old#run")
    tables.execute("update tidemill.fences set passed_at = now() - interval '8 days' where run_id = 'old#run'")
    (pruned,) = tables.execute("select tidemill.prune_fences('1 second')").fetchone()
    assert pruned == 1
    assert not passes(tables, 6)


def test_another_database_needs_only_the_file_of_fences(empty_dsn):
    text = (ROOT / "schemas/tables/0010_fences.sql").read_bytes()
    with psycopg.connect(empty_dsn, autocommit=True) as bank:
        for _ in range(2):
            bank.execute(text)
        assert passes(bank, 1)


def test_the_example_pays_once_in_any_order_of_attempts(empty_dsn):
    with psycopg.connect(empty_dsn, autocommit=True) as bank:
        bank.execute((ROOT / "schemas/tables/0010_fences.sql").read_bytes())
        bank.execute((ROOT / "examples/payout.sql").read_bytes())
        bank.execute("insert into accounts values ('alice', 0)")
        first, second, late = payout(empty_dsn, 3), payout(empty_dsn, 7), payout(empty_dsn, 8)
        codes = [finish(each) for each in (first, second, late)]
        assert bank.execute("select cents from accounts").fetchone() == (500,)
        assert codes[2] == 0
        assert finish(payout(empty_dsn, 3)) != 0, "the first attempt wakes up"
        assert finish(payout(empty_dsn, 9)) == 0
        assert bank.execute("select cents from accounts").fetchone() == (500,)


def payout(dsn, token):
    """Starts an attempt of the job as an executor does."""
    told = {"TIDEMILL_RUN_ID": "payout#invoice-42", "TIDEMILL_FENCING_TOKEN": str(token), "BANK_DSN": dsn}
    process = subprocess.Popen(
        [sys.executable, ROOT / "examples/payout.py"],
        env=os.environ | told,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process.stdin.write(json.dumps({"account": "alice", "cents": 500}).encode())
    process.stdin.close()
    return process


def finish(process):
    return process.wait(60)


def is_waiting(connection, other):
    query = "select exists (select from pg_locks where pid = %s and not granted)"
    return connection.execute(query, (other.info.backend_pid,)).fetchone()[0]
