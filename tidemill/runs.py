"""`tidemill run`, `runs`, `show` and `problems`: ask for runs, and read what became of them."""

from __future__ import annotations

import math
import re
import secrets
import time
from datetime import datetime, timedelta
from typing import Annotated, Any

import psycopg
import typer

from infra.progress import progress
from schemas.ids import OwnerId, RequestId, owner_of_run, request_run_id
from schemas.times import EPOCH, LATEST
from schemas.words import RunState
from tidemill.complete import job_names, owner_names, run_names
from tidemill.output import complain, console, say, show_fields, show_json, show_rows, table, to_json
from tidemill.place import (
    DEFAULT_DATA,
    AsJson,
    Data,
    NotFoundError,
    RefusedError,
    Row,
    UsageError,
    database,
    reading,
    wall_clock,
)
from tidemill.queries import one, rows

POLL_SECONDS = 0.2
APPEAR_SECONDS = 5.0
HINT_SECONDS = 60.0
"""A run that is waited for and not written by then may never be: its request was made long ago, or nobody works."""
DURATION = re.compile(r"([1-9][0-9]{0,11})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
RUN_COLUMNS = ("run_id", "state", "attempt", "timeout_class", "latency", "started_at", "finished_at", "reason")
ATTEMPT_COLUMNS = (
    "attempt",
    "timeout_class",
    "ended_as",
    "exit_code",
    "started_at",
    "finished_at",
    "executor_id",
    "reason",
    "log_uri",
)
TRANSITION_COLUMNS = ("at", "state", "attempt", "reason")
PROBLEM_COLUMNS = ("at", "source_topic", "source_partition", "source_offset", "owner", "reason")

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, as `tidemill runs` shows it.", autocompletion=run_names)
]
Since = Annotated[str | None, typer.Option(help="A duration such as 2h, or an instant such as 2026-11-21T03:00:00Z.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, the newest.")]


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The id of a job or DAG.", autocompletion=owner_names)],
    data: Data = DEFAULT_DATA,
    at: Annotated[str | None, typer.Option(help="When; now, if not given.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended; 0 only if it succeeded.")] = False,
    request_id: Annotated[str | None, typer.Option(help="Asking again under the same id changes nothing.")] = None,
    payload: Annotated[
        str | None, typer.Option(help="JSON for standard input, instead of the job's or each node's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for one run of a job or DAG."""
    request_id = request_id or secrets.token_hex(8)
    values = {"request_id": request_id, "run_at": at and instant("--at", at), "payload": payload}
    with database(data) as postgres:
        _ask(postgres, name, values)
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
    job: Annotated[str | None, typer.Option(help="Only of this job.", autocompletion=job_names)] = None,
    state: Annotated[list[RunState] | None, typer.Option(help="Only in this state; repeat it for more.")] = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Runs, the newest first."""
    values = which(state, since, limit) | {"job_id": job}
    with reading(data) as postgres:
        show_rows(rows(postgres, "runs", values), RUN_COLUMNS, as_json=as_json)


def show(run_id: RunName, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """One run: what it is now, its attempts, its history, its output, its result."""
    with reading(data) as postgres:
        found = run_row(postgres, run_id)
        attempts = rows(postgres, "attempts", found)
        transitions = rows(postgres, "transitions", found)
    if as_json:
        show_json({**found, "attempts": attempts, "transitions": transitions})
        return
    show_fields(found | {"result": None})
    console().print(table(attempts, ATTEMPT_COLUMNS, title="Attempts"))
    console().print(table(transitions, TRANSITION_COLUMNS, title="History"))
    if attempts and attempts[-1]["output"]:
        say(f"Output of attempt {attempts[-1]['attempt']}:\n{attempts[-1]['output']}")
    if found["result_bytes"] is not None:
        is_elsewhere = found["result"] is None and found["result_uri"]
        say("Result:\n" + (f"in {found['result_uri']}" if is_elsewhere else to_json(found["result"])))


def problems(data: Data = DEFAULT_DATA, since: Since = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """What could not be understood or was given up, the newest first."""
    with reading(data) as postgres:
        found = rows(postgres, "problems", {"since": since and since_instant(since), "limit": limit})
    show_rows(found, PROBLEM_COLUMNS, as_json=as_json)


def which(state: list[RunState] | None, since: str | None, limit: int) -> dict[str, Any]:
    """What the options of a list of runs mean to its query."""
    return {
        "states": [each.value for each in state] if state else None,
        "since": since and since_instant(since),
        "limit": limit,
    }


def run_row(postgres: psycopg.Connection[Row], run_id: str) -> Row:
    found = one(postgres, "run", {"run_id": run_id})
    if found is None:
        raise NotFoundError(f"there is no run {run_id!r}")
    return found


def instant(option: str, text: str) -> datetime:
    """An RFC 3339 instant; one without an offset is refused, for it could mean two."""
    found = instant_in(text)
    if found is None:
        raise UsageError(
            f"{option} {text!r} is not an instant from 1970 to 2199 with an offset, such as 2026-11-21T03:00:00Z"
        )
    return found


def instant_in(text: str) -> datetime | None:
    """None: it is none, has no offset, or is outside of what the tables take."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo and EPOCH <= found <= LATEST else None


def since_instant(text: str, option: str = "--since") -> datetime:
    found = DURATION.fullmatch(text)
    if found is None:
        return instant(option, text)
    try:
        began = wall_clock() - timedelta(**{UNITS[found[2]]: int(found[1])})
    except OverflowError:
        began = None
    if began is None or began < EPOCH:
        raise UsageError(f"{option} {text!r} is before 1970")
    return began


def owner_kind(postgres: psycopg.Connection[Row], name: str) -> str:
    """`job` or `dag`. Raises `NotFoundError`."""
    found = one(postgres, "owner_kind", {"name": name})
    if found is None:
        raise NotFoundError(f"there is no job or DAG {name!r}")
    return str(found["kind"])


def names_of(postgres: psycopg.Connection[Row], name: str) -> dict[str, str | None]:
    """As a request has them."""
    kind = owner_kind(postgres, name)
    return {"job_id": name if kind == "job" else None, "dag_id": name if kind == "dag" else None}


def _ask(postgres: psycopg.Connection[Row], name: str, values: dict[str, Any]) -> None:
    if one(postgres, "request_run", names_of(postgres, name) | values) is None:
        known = one(postgres, "request", values)
        if known and known["owner"] != name:
            raise UsageError(f"request {values['request_id']!r} was already made, for {known['owner']!r}")


def await_known(postgres: psycopg.Connection[Row], run_id: str) -> None:
    """A run that was asked for a moment ago is not in the read model yet."""
    deadline = time.monotonic() + APPEAR_SECONDS
    while one(postgres, "run", {"run_id": run_id}) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def await_end(postgres: psycopg.Connection[Row], run_id: str, request_id: str) -> Row:
    """The run once it has ended; one that was asked for a moment ago may not be there yet. Raises `RefusedError`."""
    hint_at = time.monotonic() + HINT_SECONDS
    with progress(f"Waiting for {run_id}"):
        while True:
            found = one(postgres, "run", {"run_id": run_id})
            if found and RunState(found["state"]).is_final:
                return found
            if found is None:
                check_refusal(postgres, run_id, request_id)
            if found is None and time.monotonic() > hint_at:
                complain(f"no run {run_id} is written yet; `tidemill explain '{run_id}'` says what is known of it")
                hint_at = math.inf
            time.sleep(POLL_SECONDS)


def check_refusal(postgres: psycopg.Connection[Row], run_id: str, request_id: str) -> None:
    """Raises `RefusedError` if the owner of the run has refused the request."""
    problem = refusal(postgres, str(owner_of_run(run_id)), request_id)
    if problem:
        raise RefusedError(problem["reason"])


def refusal(postgres: psycopg.Connection[Row], owner: str, request_id: str, *, everywhere: bool = False) -> Row | None:
    """The problem that says why nothing comes of a request; `everywhere`: also if its record had another key."""
    values = {"owner": owner, "request_id": request_id, "quoted_id": repr(request_id), "everywhere": everywhere}
    return one(postgres, "refusal", values)
