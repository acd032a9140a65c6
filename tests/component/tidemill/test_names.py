"""Names as users type them: a job's name means its latest run, and an unknown name gets a suggestion."""

from __future__ import annotations

import orjson
import psycopg
import pytest

from tests.support.read_model_rows import allow_writes
from tidemill.cli import run

JOBS = """insert into tidemill.jobs (job_id, executable, schedule, timezone)
          values ('nightly', 's3://bucket/key', '0 3 * * *', 'Europe/Berlin'),
                 ('new', 's3://bucket/key', null, 'UTC')"""
RUN = """insert into tidemill.runs (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt,
                                    version, started_at, reason)
         values (%s, 'nightly', 'default', %s, now() - %s * interval '1 minute', now(), %s, 1, 1, now(), %s)"""
RUNS = [
    ("nightly#r1", "requested", 3, "succeeded", "\x1b[2Jdone"),
    ("nightly#r2", "requested", 2, "dead", None),
    ("nightly#b1", "backfill", 1, "succeeded", None),
]


@pytest.fixture
def database(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        allow_writes(connection)
        connection.execute(JOBS)
        connection.execute("""
            begin;
            insert into tidemill.dags (dag_id) values ('etl');
            insert into tidemill.dag_nodes (dag_id, node_id, executable) values ('etl', 'load', 's3://bucket/key');
            commit""")
        connection.execute("set tidemill.sink = 'on'")
        for row in RUNS:
            connection.execute(RUN, row)
        yield connection


@pytest.fixture
def tidemill(database, tables_dsn, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", tables_dsn)

    def call(*arguments, code=1):
        assert run([*arguments, "--data", str(tmp_path)]) == code
        return capsys.readouterr()

    return call


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nihgtly"), "there is no job or DAG 'nihgtly'; did you mean 'nightly'?"),
        (("run", "nothing-like-it"), "there is no job or DAG 'nothing-like-it'"),
        (("job", "show", "night"), "there is no job 'night'; did you mean 'nightly'?"),
        (("job", "pause", "etl"), "there is no job 'etl': it is a DAG, see `tidemill dag --help`"),
        (
            ("job", "put", "nihgtly", "--timeout", "9s"),
            "did you mean 'nightly'?; a new one needs --executable or --command",
        ),
        (("dag", "show", "nightly"), "there is no DAG 'nightly': it is a job, see `tidemill job --help`"),
        (("dag", "show", "etl#zz"), "there is no run 'etl#zz': 'etl' has no run"),
        (("dag", "show", "nightly#r1"), "'nightly#r1' is the run of a job: `tidemill show` shows it"),
        (("show", "nightly#r"), "there is no run 'nightly#r'; did you mean 'nightly#r2'?"),
        (("show", "nihgtly#r1"), "there is no run 'nihgtly#r1'; did you mean 'nightly'?"),
        (("show", "what?"), "there is no run 'what?': a run is <job>@<time> or <job>#<request>"),
        (("logs", "new"), "there is no run 'new': 'new' is a job, and it has no run yet"),
        (("rerun", "nightly"), "its latest run is 'nightly#r2'; --job reruns all of its dead runs"),
        (("cancel", "nightly"), "its latest run is 'nightly#r2'; --job stops all of its open runs"),
        (("next", "nihgtly"), "did you mean 'nightly'?"),
        (("backfill", "nihgtly", "--from", "7d"), "did you mean 'nightly'?"),
        (("explain", "nihgtly"), "did you mean 'nightly'?"),
        (("runs", "--job", "nihgtly"), "did you mean 'nightly'?"),
        (("backfills", "--job", "nihgtly"), "did you mean 'nightly'?"),
        (("dag", "runs", "--dag", "elt"), "did you mean 'etl'?"),
    ],
)
def test_a_name_that_is_not_there(tidemill, arguments, said):
    assert said in tidemill(*arguments).err


def test_a_job_without_a_run_has_an_empty_list(tidemill):
    assert tidemill("runs", "--job", "new", "--json", code=0).out == "[]\n"


def test_the_latest_run_of_a_job_is_shown_by_the_name_of_the_job(tidemill):
    printed = tidemill("show", "nightly", code=0)
    assert printed.err == "tidemill: the latest run of nightly is nightly#r2\n"
    assert "nightly#r2" in printed.out


def test_what_a_run_says_moves_no_cursor(tidemill):
    assert r"\x1b[2Jdone" in tidemill("show", "nightly#r1", code=0).out


def test_a_time_without_an_offset_is_one_of_the_job(tidemill, database):
    printed = tidemill("run", "nightly", "--at", "2027-01-01 03:00", code=0)
    assert printed.err == "tidemill: --at 2027-01-01 03:00 is 2027-01-01T02:00:00.000Z\n"
    assert database.execute("select run_at = '2027-01-01T02:00:00Z' from tidemill.requests").fetchall() == [(True,)]
    assert "2026-03-06T02:00:00.000Z" in tidemill("next", "nightly", "--after", "2026-03-06", "-n", "1", code=0).out


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("max_attempt=2", "a job has no such column; did you mean max_attempts?"),
        ("job_id=other", "NAME is its id"),
        (
            "misfire_grace=5 minuts",
            'misfire_grace: invalid input syntax for type interval: "5 minuts"; write such as 90s',
        ),
        ("promote=perhaps", 'promote: invalid input syntax for type boolean: "perhaps"'),
    ],
)
def test_a_column_or_a_value_that_is_none_is_named(tidemill, pair, said):
    assert said in tidemill("job", "put", "nightly", "--set", pair, code=2).err


def test_a_hash_of_what_is_stored_here_is_not_believed(tidemill):
    said = tidemill("job", "put", "nightly", "--command", "true", "--sha256", "0" * 64, code=2).err
    assert "--sha256 is only for an s3:// executable" in said


def test_what_is_written_is_said_as_json_too(tidemill):
    assert orjson.loads(tidemill("job", "pause", "nightly", "--json", code=0).out) == {
        "job_id": "nightly",
        "paused": True,
    }
    assert orjson.loads(tidemill("job", "resume", "nightly", "--json", code=0).out)["paused"] is False
    put = orjson.loads(tidemill("job", "put", "nightly", "--timeout", "9s", "--json", code=0).out)
    assert put.keys() == {"job_id", "version"}
    assert orjson.loads(tidemill("dag", "delete", "etl", "--json", code=0).out) == {"dag_id": "etl", "deleted": True}
