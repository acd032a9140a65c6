"""Commands that wait for a run end when its request is refused, and can stop a run that has no row yet."""

from __future__ import annotations

import threading

import psycopg
import pytest

from tests.support.read_model_rows import allow_writes
from tests.support.waiting import eventually
from tidemill import runs
from tidemill.cli import run

JOB = """insert into tidemill.jobs (job_id, executable, schedule) values ('j', 's3://bucket/key', '@daily')"""
RUN = """insert into tidemill.runs
             (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, version)
         values ('j#r', 'j', 'default', 'requested', now(), now(), %s, 1, 1)"""
REFUSED = """insert into tidemill.problems (at, partition, record_offset, topic_id, owner, kind, code, request_id,
                                               reason)
             select now(), 1, 1, 't', owner, 'dead_letter', 'request_refused', request_id,
                 format('request ''%s'' is refused: because', request_id)
             from tidemill.requests"""
UNREADABLE = """insert into tidemill.problems (at, partition, record_offset, topic_id, owner, kind, code, reason,
                                                  record)
                select now(), 1, 1, 't', owner, 'dead_letter', 'record_refused', 'record cdc@7 is too deep',
                    row_to_json(requests)::text
                from tidemill.requests"""


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """A command that waits for the row of a run waits for all of this time: here no row comes without a request."""
    monkeypatch.setattr(runs, "APPEAR_SECONDS", 0.5)


@pytest.fixture
def database(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        allow_writes(connection)
        connection.execute(JOB)
        yield connection


@pytest.fixture
def tidemill(tables_dsn, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", tables_dsn)

    def call(*arguments, code):
        assert run([*arguments, "--data", str(tmp_path)]) == code
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    return call


@pytest.fixture
def answers(database):
    """A function that executes a statement as soon as a request exists, as the sink would."""
    threads = []

    def answer(statement):
        def write():
            eventually(lambda: database.execute("select from tidemill.requests").fetchall())
            database.execute(statement)

        threads.append(threading.Thread(target=write))
        threads[-1].start()

    yield answer
    for each in threads:
        each.join()


@pytest.mark.parametrize("command", [("run", "j"), ("backfill", "j", "--from", "7d")])
@pytest.mark.parametrize(("statement", "said"), [(REFUSED, "is refused: because"), (UNREADABLE, "is too deep")])
def test_waiting_ends_when_the_request_is_refused(tidemill, answers, command, statement, said):
    answers(statement)
    assert said in tidemill(*command, "--wait", code=1)


def test_a_run_without_a_row_can_be_stopped(tidemill, database, answers):
    answers(RUN.replace("%s", "'cancelling'"))
    assert "j#r is not in the database yet" in tidemill("cancel", "j#r", code=0)
    assert database.execute("select kind, run_id from tidemill.requests").fetchall() == [("cancel", "j#r")]


@pytest.mark.parametrize("options", [(), ("--wait",)])
def test_a_run_that_never_was_is_said_to_be_none_by_its_owner(tidemill, answers, options):
    answers(REFUSED)
    assert "is refused: because" in tidemill("cancel", "j#r", *options, code=1)


def test_what_is_no_run_or_has_ended_is_not_asked_to_stop(tidemill, database):
    assert "there is no run 'j'" in tidemill("cancel", "j", code=1)
    assert "there is no job or DAG 'ghost'" in tidemill("cancel", "ghost#r", code=1)
    database.execute(RUN, ("dead",))
    assert "has ended: it is dead" in tidemill("cancel", "j#r", code=1)
    assert database.execute("select from tidemill.requests").fetchall() == []
