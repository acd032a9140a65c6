"""Shell completion with a real database: names of jobs and runs, the newest runs first."""

from __future__ import annotations

import psycopg

from tests.support.read_model_rows import allow_writes
from tests.support.shell_completion import completions


def test_jobs_and_runs_are_completed_by_prefix(tables_dsn, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", tables_dsn)
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        for job in ("nightly", "night-shift", "daily"):
            connection.execute("insert into tidemill.jobs (job_id, executable) values (%s, 's3://bucket/key')", (job,))
        allow_writes(connection)
        connection.execute(
            """insert into tidemill.runs
                   (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, version)
               select 'nightly#' || each, 'nightly', 'default', 'requested', now() - each * interval '1 h',
                   now() - each * interval '1 h', 'failed', 1, 1
               from generate_series(1, 3) as each"""
        )
    assert completions("tidemill job show ni", capsys) == ["night-shift", "nightly"]
    assert completions("tidemill runs --job d", capsys) == ["daily"]
    assert completions("tidemill logs nightly", capsys) == ["nightly", "nightly#1", "nightly#2", "nightly#3"]
