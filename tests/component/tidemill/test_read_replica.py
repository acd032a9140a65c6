"""The commands with two databases: read-only commands use the replica, others the primary."""

from __future__ import annotations

import psycopg
import pytest

from connectors.migrate import migrate
from connectors.primary import addresses
from schemas.settings import Connections
from tests.support.read_model_rows import add_story, allow_writes
from tidemill.cli import run
from tidemill.target import connect_to_read

JOB = """insert into tidemill.jobs (job_id, executable, schedule) values (%s, 's3://bucket/key', '@daily')"""
RUN = """insert into tidemill.runs
             (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, version)
         values ('shown@1', 'shown', 'default', 'scheduled', now(), now(), 'succeeded', 1, 1)"""
ATTEMPT = {
    "attempt": 1,
    "token": 1,
    "timeout_class": "10s",
    "dispatched_at": "2026-03-01T00:00:00Z",
    "ended_as": "succeeded",
    "output": "shown",
}


@pytest.fixture
def primary(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        connection.execute(JOB, ("written",))
        yield connection


@pytest.fixture
def replica(empty_dsn):
    """A replica with other rows, so that a test sees which database answered."""
    migrate(empty_dsn)
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(JOB, ("shown",))
        allow_writes(connection)
        connection.execute(RUN)
        add_story(connection, "shown@1", attempts=[ATTEMPT])
        connection.execute(
            "insert into tidemill.problems values (now(), 1, 1, 't', 's', 1, 1, 'shown', 'alert', 'run_dead', 'why')"
        )
        yield connection


@pytest.fixture
def tidemill(primary, replica, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", dsn_of(primary))
    monkeypatch.setenv("TIDEMILL_POSTGRES_READ_DSN", dsn_of(replica))

    def call(*arguments, code=0):
        ended_with = run([*arguments, "--data", str(tmp_path)])
        printed = capsys.readouterr()
        assert ended_with == code, printed.err
        return printed.out + printed.err

    return call


def dsn_of(connection):
    return f"{connection.info.dsn} password={connection.info.password}"


READERS = (
    ("job", "list"),
    ("job", "show", "shown"),
    ("runs",),
    ("show", "shown@1"),
    ("explain", "shown@1"),
    ("logs", "shown@1"),
    ("problems",),
)


def test_read_only_commands_use_the_replica_and_others_the_primary(tidemill, primary, replica):
    for reader in READERS:
        assert "shown" in tidemill(*reader), reader
    assert "daily" not in tidemill("next", "shown", "-n", "1")
    tidemill("job", "pause", "written")
    tidemill("run", "written", "--request-id", "r1")
    tidemill("job", "put", "written", "--timeout", "90s")
    assert primary.execute("select paused, timeout from tidemill.jobs").fetchall()[0][0] is True
    assert primary.execute("select request_id from tidemill.requests").fetchall() == [("r1",)]
    assert replica.execute("select count(*) from tidemill.requests").fetchone() == (0,)
    assert "no job" in tidemill("job", "pause", "shown", code=1)


def test_a_replica_that_does_not_answer_is_one_sentence_and_stops_no_writer(tidemill, monkeypatch):
    monkeypatch.setenv("TIDEMILL_POSTGRES_READ_DSN", "postgresql://nobody@127.0.0.1:1/nothing")
    for reader in READERS:
        said = tidemill(*reader, code=1)
        assert said.startswith("tidemill: the read replica (TIDEMILL_POSTGRES_READ_DSN) does not answer")
        assert len(said.splitlines()) == 1
    tidemill("job", "pause", "written")


def test_without_a_replica_the_primary_is_read(tidemill, monkeypatch):
    monkeypatch.delenv("TIDEMILL_POSTGRES_READ_DSN")
    assert "written" in tidemill("job", "list")


def test_a_connection_to_read_cannot_write(primary):
    place = Connections(postgres_dsn=dsn_of(primary))
    with connect_to_read(place) as reading, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reading.execute("delete from tidemill.jobs")


def test_commands_read_with_a_dsn_that_names_a_primary_and_its_standbys(primary, tables_dsn, tidemill, monkeypatch):
    ((host, port),) = addresses(tables_dsn)
    several = tables_dsn.replace(f"{host}:{port}", f"{host}:{port},127.0.0.1:1")
    monkeypatch.delenv("TIDEMILL_POSTGRES_READ_DSN")
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", f"{several}?target_session_attrs=primary")
    assert "written" in tidemill("job", "list")
