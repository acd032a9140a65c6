"""`tidemill cancel`, `terminate` and `rerun`: requests about existing runs."""

from __future__ import annotations

import secrets
import time
from typing import Annotated

import psycopg
import typer

from schemas.ids import owner_of_run
from schemas.words import OPEN_STATES, RequestKind, RunKind, RunState
from tidemill.complete import owner_names, run_names
from tidemill.given import check_json
from tidemill.names import no_run, owner_kind, run_row
from tidemill.output import complain, say, show_json
from tidemill.queries import one, rows
from tidemill.runs import (
    APPEAR_SECONDS,
    POLL_SECONDS,
    Since,
    await_end,
    await_known,
    check_refusal,
    since_instant,
)
from tidemill.target import DEFAULT_DATA, AsJson, Data, NotFoundError, Row, UsageError, database

RERUNS_ALL = "; --job reruns all of its dead runs"
MAX_RERUNS = 10_000
"""The most reruns in one command, which are one transaction."""

RunOrNone = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="A run's id, as `tidemill runs` shows it.", autocompletion=run_names),
]
JobOption = Annotated[
    str | None,
    typer.Option("--job", help="All runs of this job or DAG, instead of one run.", autocompletion=owner_names),
]
States = Annotated[
    list[RunState] | None, typer.Option(help="With --job: runs in this state; repeat it for more states.")
]
Note = Annotated[str | None, typer.Option(help="The reason; the runs show it.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the runs have ended.")]


def cancel(
    run_id: RunOrNone = None,
    data: Data = DEFAULT_DATA,
    job: JobOption = None,
    note: Note = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Stop a run, or all open runs of a job or DAG: TERM, then KILL after cancel_grace. Queued runs never start."""
    _stop(RequestKind.CANCEL, run_id, data, job, note, wait=wait, as_json=as_json)


def terminate(
    run_id: RunOrNone = None,
    data: Data = DEFAULT_DATA,
    job: JobOption = None,
    note: Note = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Stop a run, or all open runs of a job or DAG, with KILL at once."""
    _stop(RequestKind.TERMINATE, run_id, data, job, note, wait=wait, as_json=as_json)


def rerun(  # noqa: PLR0917 - in the order in which they are shown
    run_id: RunOrNone = None,
    data: Data = DEFAULT_DATA,
    job: JobOption = None,
    state: States = None,
    since: Since = None,
    note: Note = None,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Rerun also all nodes that depend on the node, even succeeded ones.")
    ] = False,
    payload: Annotated[
        str | None,
        typer.Option(help="JSON for standard input, in place of the run's; 'null': the payload of the job or node."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a run again that has ended, under its own id; with --job, all dead runs of a job, or failed runs of a DAG.

    A run in retry_wait gets its next attempt now. A DAG run runs its failed nodes again, and the nodes that waited for
    them. If some runs of a job are refused, the command names them, runs the others, and exits with 1.
    """
    _one_of(run_id, job)
    check_json("--payload", payload)
    states = [each.value for each in state or [RunState.DEAD, RunState.FAILED]]
    if set(states) & {each.value for each in OPEN_STATES - {RunState.RETRY_WAIT}}:
        raise UsageError(f"--state {', '.join(states)}: only ended runs and runs in retry_wait can run again")
    with database(data) as postgres:
        found = [run_row(postgres, run_id, RERUNS_ALL)] if run_id else _ended(postgres, job, states, since)
        names = [each["run_id"] for each in found if run_id or state or _is_given_up(each)]
        values = {"downstream": downstream, "note": note, "payload": payload}
        asked, refused = request_reruns(postgres, names, values, is_bulk=run_id is None)
    if as_json:
        again = {"runs": [each["run_id"] for each in asked], "requests": [each["request_id"] for each in asked]}
        show_json(again | {"refused": refused})
    else:
        say("\n".join(each["run_id"] for each in asked) or "No run to run again.")
    for each in refused:
        complain(f"{each['run_id']} does not run again: {each['reason']}")
    if refused:
        raise typer.Exit(1)


def request_reruns(
    postgres: psycopg.Connection[Row], names: list[str], values: Row, *, is_bulk: bool
) -> tuple[list[Row], list[Row]]:
    """Request reruns in one transaction: the accepted and the refused ones. In bulk, a refused run does not stop the
    others; otherwise the refusal is raised.
    """
    asked, refused = [], []
    with postgres.transaction():
        for name in names:
            try:
                with postgres.transaction():
                    asked += rows(postgres, "request_rerun", values | {"run_id": name})
            except psycopg.errors.CheckViolation as error:
                if not is_bulk:
                    raise
                refused.append({"run_id": name, "reason": error.diag.message_primary})
    return asked, refused


def _stop(
    kind: RequestKind, run_id: str | None, data: Data, job: str | None, note: str | None, *, wait: bool, as_json: bool
) -> None:
    _one_of(run_id, job)
    with database(data) as postgres:
        if run_id and owner_of_run(run_id):
            await_known(postgres, run_id)
        found = open_runs(postgres, run_id, job)
        request_id = request_stop(postgres, kind, run_id, job, note)
        if run_id and not found and not wait:
            _await_refusal(postgres, run_id, request_id)
        waited_for = [run_id] if run_id else [each["run_id"] for each in found]
        ended = [await_end(postgres, each, request_id) for each in waited_for] if wait else found
    if as_json:
        states = [{"run_id": each["run_id"], "state": each["state"]} for each in ended]
        show_json({"request_id": request_id, "runs": states})
    else:
        unseen = f"{run_id} is not in the database yet; if it is open, it stops." if run_id else "No run is open."
        say("\n".join(f"{each['run_id']} {each['state']}" for each in ended) or unseen)


def request_stop(
    postgres: psycopg.Connection[Row], kind: RequestKind, run_id: str | None, job: str | None, note: str | None
) -> str:
    """Request the stop of a run, or of all open runs of a job; returns the request's id."""
    request_id = secrets.token_hex(8)
    wanted = {"job_id": job, "run_id": run_id, "kind": kind.value, "note": note}
    one(postgres, "request_stop", wanted | {"request_id": request_id})
    return request_id


def open_runs(postgres: psycopg.Connection[Row], run_id: str | None, job: str | None) -> list[Row]:
    """The runs to stop that are in the database. An unwritten run can be stopped too, if its job or DAG exists."""
    owner = job or owner_of_run(run_id or "")
    if owner is None:
        raise no_run(postgres, run_id or "", of_all="; --job stops all of its open runs")
    found = rows(postgres, "open_runs", {"job_id": job, "run_id": run_id})
    if found:
        return found
    ended = one(postgres, "run", {"run_id": run_id}) if run_id else None
    if ended and RunState(ended["state"]).is_final:
        raise NotFoundError(f"run {run_id!r} has ended: it is {ended['state']}")
    owner_kind(postgres, owner)
    return []


def _await_refusal(postgres: psycopg.Connection[Row], run_id: str, request_id: str) -> None:
    """Wait a few seconds for the run or a refusal. Raises `RefusedError`."""
    deadline = time.monotonic() + APPEAR_SECONDS
    while time.monotonic() < deadline:
        check_refusal(postgres, run_id, request_id)
        if one(postgres, "run", {"run_id": run_id}):
            return
        time.sleep(POLL_SECONDS)


def _one_of(run_id: str | None, job: str | None) -> None:
    if (run_id is None) == (job is None):
        raise UsageError("give either a run or --job NAME, not both")


def _ended(postgres: psycopg.Connection[Row], job: str | None, states: list[str], since: str | None) -> list[Row]:
    values = {"job_id": job, "states": states, "codes": None, "since": since_instant(since), "limit": MAX_RERUNS}
    found = rows(postgres, "runs", values)
    return [each for each in found if runs_again(each)]


def runs_again(run: Row) -> bool:
    """False for a range of occurrences that did not run, a backfill, and a node, which runs again with its DAG run."""
    return (run["missed_count"] or 1) == 1 and run["kind"] not in {RunKind.BACKFILL.value, RunKind.NODE.value}


def _is_given_up(run: Row) -> bool:
    """A dead run of a job, or any found DAG run: a DAG run is never dead."""
    return bool(run["state"] == RunState.DEAD.value or run["kind"] == RunKind.DAG.value)
