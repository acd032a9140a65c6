"""`tidemill logs`: prints what a run wrote, from its attempt's row or from the chunks in S3."""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import Annotated

import psycopg
import typer

from connectors.objects import Objects
from schemas.errors import TidemillError
from schemas.ids import RunId, owner_of_run
from schemas.log_chunks import is_chunk, log_prefix
from schemas.settings import Connections
from schemas.status import MAX_OUTPUTS
from schemas.times import rfc3339
from schemas.words import RunKind, RunState
from tidemill.names import run_to_read
from tidemill.output import complain, visible
from tidemill.queries import rows
from tidemill.runs import RunToRead, await_known
from tidemill.target import DEFAULT_DATA, Data, NotFoundError, Row, connect_to_read, connections

POLL_SECONDS = 0.5
NewPrinter = Callable[[str], "_Printer"]


class RawError(TidemillError):
    """--raw writes what the run wrote, and that can control a terminal: send it to a file or a pipe"""


def logs(
    run_id: RunToRead,
    data: Data = DEFAULT_DATA,
    attempt: Annotated[int | None, typer.Option(min=1, help="The attempt to print. Default: the last one.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new output until the run has ended.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write the bytes unchanged. Not to a terminal.")] = False,
) -> None:
    """Print what a run wrote to standard output and standard error. Control characters are shown, not obeyed."""
    if raw and sys.stdout.isatty():
        raise RawError
    target = connections(data)
    printer = partial(_Printer, target, raw=raw)
    with connect_to_read(target) as postgres:
        if follow:
            _follow(printer, postgres, run_id, attempt)
        else:
            _print_all(printer, postgres, run_id, attempt)


def _print_all(printer: NewPrinter, postgres: psycopg.Connection[Row], run_id: str, number: int | None) -> None:
    run = _run_with_output(postgres, run_id)
    found = _attempts(postgres, run, number)
    if not found:
        raise NotFoundError(no_attempt(run, rows(postgres, "attempts", run), number))
    printer(run["run_id"]).advance(found[-1])


def _follow(printer: NewPrinter, postgres: psycopg.Connection[Row], run_id: str, number: int | None) -> None:
    """Print the output of one attempt after the other, as it arrives."""
    printers: dict[tuple[int, int], _Printer] = {}
    if owner_of_run(run_id):
        await_known(postgres, run_id)
    run_id = run_to_read(postgres, run_id, started=True)["run_id"]
    while True:
        run = _run_with_output(postgres, run_id)
        state = RunState(run["state"])
        found = _attempts(postgres, run, number)
        for each in found:
            key = each["attempt"], each["token"]
            if key not in printers:
                printers[key] = printer(run_id)
                complain(f"attempt {each['attempt']} in {each['timeout_class']}")
            printers[key].advance(each)
        if state.is_final or (number and found and found[-1]["ended_as"]):
            return
        time.sleep(POLL_SECONDS)


def _run_with_output(postgres: psycopg.Connection[Row], run_id: str) -> Row:
    run = run_to_read(postgres, run_id, started=True)
    if run["kind"] == RunKind.DAG.value:
        nodes = [each["node_id"] for each in rows(postgres, "dag_run_nodes", run)]
        named = f"{run['run_id']}/{nodes[0] if nodes else 'NODE'}"
        raise NotFoundError(f"{run['run_id']!r} is a DAG run: its nodes have logs, as in: tidemill logs '{named}'")
    return run


def no_attempt(run: Row, attempts: list[Row], number: int | None) -> str:
    if number and attempts:
        return f"run {run['run_id']!r} has no attempt {number}; the last is {attempts[-1]['attempt']}"
    why = f": {run['reason']}" if run["reason"] else ""
    return f"run {run['run_id']!r} has not run: it is {run['state']}{why}"


def _attempts(postgres: psycopg.Connection[Row], run: Row, number: int | None) -> list[Row]:
    return [each for each in rows(postgres, "attempts", run) if number in (None, each["attempt"])]


class Shown:
    """Writes text that arrives in pieces, with its control characters escaped; replaces what is not UTF-8."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write, self._decoder = write, codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, data: bytes) -> None:
        self._write(visible(self._decoder.decode(data)).encode())


class _Printer:
    """Prints an attempt's output; each `advance` prints what is new."""

    def __init__(self, target: Connections, run_id: str, *, raw: bool) -> None:
        self._target = target
        self._run_id = run_id
        self._last_chunk = ""
        self._is_done = False
        self._shown = sys.stdout.buffer.write if raw else Shown(sys.stdout.buffer.write)

    def advance(self, attempt: Row) -> None:
        if self._is_done:
            return
        if has_chunks(attempt):
            self._chunks(chunks_uri(self._target, self._run_id, attempt))
        if attempt["ended_as"] is not None:
            if not self._last_chunk:
                self._shown((attempt["output"] or "").encode())
                if gone := why_gone(attempt):
                    complain(gone)
            self._is_done = True
        sys.stdout.flush()

    @cached_property
    def _store(self) -> Objects:
        return Objects(self._target)

    def _chunks(self, prefix: str) -> None:
        for uri in filter(is_chunk, self._store.below(prefix, self._last_chunk)):
            self._shown(self._store.read(uri))
            self._last_chunk = uri


def has_chunks(attempt: Row) -> bool:
    """Whether S3 may have chunks: the attempt's end names them, or the attempt never reported its end."""
    if attempt["log_deleted_at"] or attempt["started_at"] is None:
        return False
    has_reported = attempt["ended_as"] is not None and attempt["exit_code"] is not None
    return attempt["log_uri"] is not None or not has_reported


def chunks_uri(target: Connections, run_id: str, attempt: Row) -> str:
    """The prefix of an attempt's chunks in S3."""
    found: str | None = attempt["log_uri"]
    return found or f"s3://{target.s3_bucket}/{log_prefix(RunId(run_id), attempt['attempt'])}"


def why_gone(attempt: Row) -> str | None:
    """Explain why an attempt without chunks in S3 has no complete output."""
    if attempt["log_deleted_at"]:
        rest = "; only its beginning and its end are kept" if attempt["output"] else ""
        when = rfc3339(attempt["log_deleted_at"])
        return f"the log was deleted at {when}, when its time to live ended{rest}"
    if attempt["output_bytes"] and not attempt["output"]:
        return (
            f"the {attempt['output_bytes']} bytes that attempt {attempt['attempt']} wrote are not kept: "
            f"a run keeps short output only of its last {MAX_OUTPUTS} attempts"
        )
    return None
