"""`tidemill run`, `runs`, `show` and `problems`: requests runs, and shows runs and problems."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any

import psycopg
import typer

from infra.progress import progress
from schemas.ids import OwnerId, RequestId, owner_of_run, request_run_id
from schemas.reasons import ProblemCode, ReasonCode
from schemas.words import RunState
from tidemill.complete import job_names, owner_and_run_names, owner_names
from tidemill.given import check_json
from tidemill.instants import parse_instant, print_instant
from tidemill.names import check_owner, names_of, owner_row, run_to_read
from tidemill.output import complain, console, say, seconds, show_fields, show_json, show_rows, size, table, to_json
from tidemill.queries import now_of, one, rows
from tidemill.target import (
    DEFAULT_DATA,
    AsJson,
    Data,
    RefusedError,
    Row,
    database,
    reading,
    wall_clock,
)

POLL_SECONDS = 0.2
APPEAR_SECONDS = 5.0
HINT_SECONDS = 60.0
"""If a run is not in the database after this time, print a hint: its request may be old, or a part may be down."""
RUN_COLUMNS = ("run_id", "state", "attempt", "timeout_class", "latency", "started_at", "finished_at", "reason")
ATTEMPT_COLUMNS = (
    "attempt",
    "timeout_class",
    "ended_as",
    "exit_code",
    "started_at",
    "finished_at",
    "cpu",
    "memory",
    "executor_id",
    "reason",
    "log_uri",
)
TRANSITION_COLUMNS = ("at", "state", "attempt", "reason_code", "reason")
PROBLEM_COLUMNS = ("at", "kind", "code", "source_topic", "source_partition", "source_offset", "owner", "reason")

RunToRead = Annotated[
    str,
    typer.Argument(
        metavar="RUN|NAME",
        help="A run's id, as `tidemill runs` shows it, or a job or DAG for its latest run.",
        autocompletion=owner_and_run_names,
    ),
]
Reasons = Annotated[
    list[ReasonCode] | None,
    typer.Option("--reason", help="Only runs with this reason_code; repeat it for more codes.", show_choices=False),
]
Since = Annotated[
    str | None, typer.Option(help="Only since then: a duration such as 2h, a day, or a time (UTC, if without offset).")
]
Limit = Annotated[int, typer.Option(min=1, help="The most rows to show, the newest ones.")]


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The id of a job or DAG.", autocompletion=owner_names)],
    data: Data = DEFAULT_DATA,
    at: Annotated[
        str | None, typer.Option(help="When to run: a time in the job's time zone, or a delay such as 5m.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait; exit with 0 only if the run succeeded.")] = False,
    request_id: Annotated[str | None, typer.Option(help="A second request with the same id changes nothing.")] = None,
    payload: Annotated[
        str | None, typer.Option(help="JSON for standard input, in place of the job's or each node's.")
    ] = None,
    traceparent: Annotated[
        str | None, typer.Option(help="The trace that the run becomes a part of, as in W3C Trace Context.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Request one run of a job or DAG."""
    request_id = request_id or secrets.token_hex(8)
    check_json("--payload", payload)
    with database(data) as postgres:
        timezone = owner_row(postgres, name)["timezone"]
        run_at = parse_instant("--at", at, now_of(postgres), timezone) if at else None
        print_instant("--at", at, run_at)
        values = {"request_id": request_id, "run_at": run_at, "payload": payload, "traceparent": traceparent}
        one(postgres, "request_run", names_of(postgres, name) | values)
        run_id = request_run_id(OwnerId(name), RequestId(request_id))
        ended = await_end(postgres, run_id, request_id) if wait else None
    if as_json:
        show_json(ended or {"run_id": run_id, "request_id": request_id})
    else:
        say(f"{run_id} {ended['state']}" if ended else run_id)
    if ended and ended["state"] != RunState.SUCCEEDED.value:
        raise typer.Exit(1)


def runs(
    data: Data = DEFAULT_DATA,
    job: Annotated[str | None, typer.Option(help="Only runs of this job.", autocompletion=job_names)] = None,
    state: Annotated[
        list[RunState] | None, typer.Option(help="Only runs in this state; repeat it for more states.")
    ] = None,
    reason: Reasons = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List runs, the newest first."""
    values = which(state, reason, since, limit) | {"job_id": job}
    with reading(data) as postgres:
        found = rows(postgres, "runs", values)
        if not found:
            check_owner(postgres, job)
    show_rows(found, RUN_COLUMNS, as_json=as_json)


def show(run_id: RunToRead, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show one run: its state, attempts, history, output and result."""
    with reading(data) as postgres:
        found = run_to_read(postgres, run_id)
        attempts = rows(postgres, "attempts", found)
        transitions = rows(postgres, "transitions", found)
    if as_json:
        show_json({**found, "attempts": attempts, "transitions": transitions})
        return
    show_fields(found | {"result": None})
    console().print(table(map(_readable, attempts), ATTEMPT_COLUMNS, title="Attempts"))
    console().print(table(transitions, TRANSITION_COLUMNS, title="History"))
    if attempts and attempts[-1]["output"]:
        say(f"Output of attempt {attempts[-1]['attempt']}:\n{attempts[-1]['output']}")
    if found["result_bytes"] is not None:
        is_elsewhere = found["result"] is None and found["result_uri"]
        say("Result:\n" + (f"in {found['result_uri']}" if is_elsewhere else to_json(found["result"])))


def _readable(attempt: Row) -> Row:
    """With what it used in units for people."""
    cpu, memory = attempt["cpu_seconds"], attempt["peak_memory"]
    used = {
        "cpu": None if cpu is None else seconds(timedelta(seconds=cpu)),
        "memory": None if memory is None else size(memory),
    }
    return {**attempt, **used}


def problems(
    data: Data = DEFAULT_DATA,
    code: Annotated[
        list[ProblemCode] | None,
        typer.Option(help="Only problems with this code; repeat it for more codes.", show_choices=False),
    ] = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List rejected inputs (dead_letter) and alerts, the newest first."""
    with reading(data) as postgres:
        values = {"codes": _words(code), "since": since_instant(since), "limit": limit}
        found = rows(postgres, "problems", values)
    show_rows(found, PROBLEM_COLUMNS, as_json=as_json)


def which(
    state: list[RunState] | None, reason: list[ReasonCode] | None, since: str | None, limit: int
) -> dict[str, Any]:
    """The query values for the options of a list of runs."""
    return {
        "states": _words(state),
        "codes": _words(reason),
        "since": since_instant(since),
        "limit": limit,
    }


def _words(chosen: Sequence[Enum] | None) -> list[str] | None:
    return [each.value for each in chosen] if chosen else None


def since_instant(text: str | None) -> datetime | None:
    """Parse --since. A time without an offset is in UTC, as in the lists."""
    return parse_instant("--since", text, wall_clock(), ago=True) if text else None


def await_known(postgres: psycopg.Connection[Row], run_id: str) -> None:
    """Wait up to a few seconds for a new run to appear in the read model."""
    deadline = time.monotonic() + APPEAR_SECONDS
    while one(postgres, "run", {"run_id": run_id}) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def await_end(postgres: psycopg.Connection[Row], run_id: str, request_id: str) -> Row:
    """Wait until a run has ended; it may not be in the read model yet. Raises `RefusedError`."""
    hint_at = time.monotonic() + HINT_SECONDS
    with progress(f"Waiting for {run_id}"):
        while True:
            found = one(postgres, "run", {"run_id": run_id})
            if found and RunState(found["state"]).is_final:
                return found
            if found is None:
                check_refusal(postgres, run_id, request_id)
            if found is None and time.monotonic() > hint_at:
                complain(f"run {run_id} is not in the database yet; see `tidemill explain '{run_id}'`")
                hint_at = math.inf
            time.sleep(POLL_SECONDS)


def check_refusal(postgres: psycopg.Connection[Row], run_id: str, request_id: str) -> None:
    """Raises `RefusedError` if the request was refused."""
    problem = refusal(postgres, str(owner_of_run(run_id)), request_id)
    if problem:
        raise RefusedError(problem["reason"])


def refusal(postgres: psycopg.Connection[Row], owner: str, request_id: str, *, everywhere: bool = False) -> Row | None:
    """The problem that reports the refusal of a request; `everywhere`: also if its record had another key."""
    values = {"owner": owner, "request_id": request_id, "everywhere": everywhere}
    return one(postgres, "refusal", values)
