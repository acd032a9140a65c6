"""`tidemill rerun` with one run or many: a refused one does not prevent the others."""

from __future__ import annotations

import orjson
import psycopg
import pytest

from tests.support.read_model_rows import allow_writes
from tidemill.cli import run

JOB = """insert into tidemill.jobs (job_id, executable) values ('j', 's3://bucket/key')"""
REQUEST = "insert into tidemill.requests (request_id, job_id, payload) values ('known', 'j', '[1]')"
RUN = """insert into tidemill.runs
             (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, request_id, version)
         values ('j#' || %(id)s, 'j', 'default', 'requested', now(), now(), 'dead', 1, %(id)s, 1)"""
ASKED = "select run_id, payload from tidemill.requests where kind = 'rerun' order by run_id"


@pytest.fixture
def database(tables_dsn):
    """Two dead runs: one has a request row, the other's request came by topic or was pruned."""
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        allow_writes(connection)
        connection.execute(JOB)
        connection.execute(REQUEST)
        for request_id in ("known", "foreign"):
            connection.execute(RUN, {"id": request_id})
        yield connection


@pytest.fixture
def rerun(database, tables_dsn, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", tables_dsn)

    def call(*arguments, code=0):
        assert run(["rerun", *arguments, "--data", str(tmp_path)]) == code
        return capsys.readouterr()

    return call


def test_refused_reruns_are_named_and_the_others_run(rerun, database):
    printed = rerun("--job", "j", "--state", "dead", code=1)
    assert printed.out.split() == ["j#known"]
    assert printed.err.startswith(
        "tidemill: j#foreign does not run again: payload is null: the row of request foreign was removed"
    )
    assert database.execute(ASKED).fetchall() == [("j#known", [1])]


def test_for_programs_too(rerun):
    told = orjson.loads(rerun("--job", "j", "--json", code=1).out)
    assert told["runs"] == ["j#known"]
    assert [each["run_id"] for each in told["refused"]] == ["j#foreign"]


def test_one_that_is_refused_is_a_refusal_of_the_command(rerun, database):
    assert "payload is null" in rerun("j#foreign", code=2).err
    assert database.execute(ASKED).fetchall() == []


@pytest.mark.parametrize(("payload", "stored"), [('{"day": 1}', {"day": 1}), ("null", None)])
def test_a_payload_stands_for_the_one_that_is_gone(rerun, database, payload, stored):
    assert rerun("--job", "j", "--payload", payload).out.split() == ["j#foreign", "j#known"]
    assert database.execute(ASKED).fetchall() == [("j#foreign", stored), ("j#known", stored)]


def test_a_payload_that_is_no_json_is_refused_once(rerun, database):
    printed = rerun("--job", "j", "--payload", "{day", code=2)
    assert len(printed.err.splitlines()) == 1
    assert database.execute(ASKED).fetchall() == []
