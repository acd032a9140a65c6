"""The web page over a real Postgres, with a few rows of the read model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.rows import dict_row

from schemas.settings import Connections
from tests.support.read_model_rows import add_story, allow_writes
from tests.support.web_site import running_site

DUE = datetime(2026, 11, 21, 2, tzinfo=UTC)
JOB = "insert into tidemill.jobs (job_id, executable, schedule) values (%s, 's3://bucket/key', '@daily')"
RUN = """insert into tidemill.runs
             (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, reason, reason_code, attempt,
              queued_at, started_at, finished_at, request_id, version)
         values (%(run_id)s, %(job_id)s, %(tenant)s, %(kind)s, %(due)s, %(due)s, %(state)s, %(reason)s,
                 %(reason_code)s, 1, %(due)s, %(due)s, %(ended)s, %(request_id)s, 1)"""
ATTEMPT = {
    "attempt": 1, "token": 7, "timeout_class": "10s", "executor_id": "e.1", "ended_as": "failed", "exit_code": 1,
    "dispatched_at": "2026-11-21T02:00:00Z", "started_at": "2026-11-21T02:00:01Z",
    "finished_at": "2026-11-21T02:00:03Z",
}  # fmt: skip


class Rows:
    """Writes jobs and runs as people and the sink would."""

    def __init__(self, connection):
        self.connection = connection
        allow_writes(connection)

    def job(self, job_id="j"):
        self.connection.execute(JOB, [job_id])

    def run(self, run_id="j#r", state="failed", *, due=DUE, took=timedelta(seconds=3), **more):
        is_open = state in {"queued", "running", "retry_wait", "cancelling"}
        values = {
            "run_id": run_id, "job_id": run_id.partition("@")[0].partition("#")[0], "tenant": "default",
            "kind": "requested", "state": state, "reason": None, "reason_code": None, "request_id": None, "due": due,
            "ended": None if is_open else due + took,
        }  # fmt: skip
        self.connection.execute(RUN, values | more)

    def attempt(self, run_id="j#r", **more):
        add_story(self.connection, run_id, attempts=[ATTEMPT | more])

    def all(self, query):
        return self.connection.execute(query).fetchall()


@pytest.fixture
def database(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True, row_factory=dict_row) as connection:
        yield Rows(connection)


@pytest.fixture
def rows_of():
    """Rows by another connection than that of `database`."""
    return Rows


@pytest.fixture
def target(tables_dsn):
    """Without S3: the logs of these runs are in their rows."""
    return Connections(postgres_dsn=tables_dsn, s3_endpoint="http://127.0.0.1:1", s3_access_key="a", s3_secret_key="b")


@pytest.fixture
def site(target):
    with running_site(target) as found:
        yield found
