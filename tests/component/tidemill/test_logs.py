"""`tidemill logs` reads an attempt's row or its chunks in S3, also for an attempt that never reported."""

from __future__ import annotations

import psycopg
import pytest

from connectors.objects import Objects
from schemas.ids import RunId
from schemas.log_chunks import chunk_key
from tests.support.read_model_rows import add_story, allow_writes
from tidemill.cli import run

RUN_ID = RunId("j#r")
RUN = """insert into tidemill.runs
             (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, version)
         values ('j#r', 'j', 'default', 'requested', now(), now(), 'dead', 1, 1)"""
STARTED = {"token": 1, "timeout_class": "10s", "started_at": "2026-03-01T00:00:00Z"}
LOST = {"attempt": 1, "ended_as": "lost", "exit_code": None, "output": None, "output_bytes": 0, "log_deleted_at": None}
FAILED = LOST | {"ended_as": "failed", "exit_code": 1}


@pytest.fixture
def logs(s3, tables_dsn, monkeypatch, capfdbinary, tmp_path):
    """A function that prepares the last attempt and its chunks in S3; it returns standard output and standard error."""
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", tables_dsn)
    bucket = tmp_path.name.replace("_", "-").lower()[:60]
    place = s3.model_copy(update={"s3_bucket": bucket})
    for name in ("s3_endpoint", "s3_bucket", "s3_access_key", "s3_secret_key"):
        monkeypatch.setenv(f"TIDEMILL_{name.upper()}", getattr(place, name))

    def call(attempt, chunks=(), *arguments):
        store = Objects(place)
        store.make_bucket()
        for number, chunk in enumerate(chunks):
            store.put(chunk_key(RUN_ID, attempt["attempt"], number), chunk)
        with psycopg.connect(tables_dsn) as connection:
            allow_writes(connection)
            connection.execute(RUN)
            add_story(connection, RUN_ID, attempts=[STARTED | attempt])
        assert run(["logs", RUN_ID, *arguments, "--data", str(tmp_path)]) == 0
        return capfdbinary.readouterr()

    return call


@pytest.mark.parametrize("arguments", [(), ("--follow",)])
def test_the_chunks_of_a_lost_attempt_are_shown(logs, arguments):
    assert logs(LOST, [b"its first ", b"and last words\n"], *arguments).out == b"its first and last words\n"


def test_a_short_output_is_in_the_row(logs):
    assert logs(FAILED | {"output": "said\n", "output_bytes": 5}) == (b"said\n", b"")


def test_terminal_sequences_are_shown_and_not_obeyed(logs):
    written = b"\x1b]0;title\x07 50 %\r\xc3"
    assert logs(LOST, [written, b"\xbc\xff\n"]).out == "\\x1b]0;title\\x07 50 %\\rü\N{REPLACEMENT CHARACTER}\n".encode()


def test_a_pipe_gets_the_bytes_on_request(logs):
    assert logs(LOST, [b"\x1b[2J\xff\0"], "--raw").out == b"\x1b[2J\xff\0"


def test_a_short_output_is_shown_too(logs):
    assert logs(FAILED | {"output": "\x1b[2Jsaid\n", "output_bytes": 9}).out == b"\\x1b[2Jsaid\n"


def test_an_attempt_that_wrote_nothing_needs_no_s3_to_say_so(logs, monkeypatch):
    monkeypatch.setenv("TIDEMILL_S3_ENDPOINT", "http://127.0.0.1:1")
    assert logs(FAILED) == (b"", b"")


def test_deleted_output_is_reported_as_gone(logs):
    printed = logs(FAILED | {"output_bytes": 7})
    assert (printed.out, b"the 7 bytes that attempt 1 wrote are not kept" in printed.err) == (b"", True)


def test_a_log_deleted_by_retention_is_reported_as_gone(logs):
    printed = logs(LOST | {"log_deleted_at": "2026-11-21T03:00:00Z"})
    assert (printed.out, b"deleted at 2026-11-21T03:00:00.000Z" in printed.err) == (b"", True)
