"""`tidemill cancel`, `terminate` and `rerun`: requests about runs that are there already."""

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
from tidemill.place import DEFAULT_DATA, AsJson, Data, NotFoundError, Row, UsageError, database
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

RERUNS_ALL = "; --job runs all of its dead ones again"
MAX_RERUNS = 10_000
"""In one command: they are one transaction."""

RunOrNone = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="A run's id, as `tidemill runs` shows it.", autocompletion=run_names),
]
JobOption = Annotated[
    str | None, typer.Option("--job", help="Instead of one run: all of this job or DAG.", autocompletion=owner_names)
]
Note = Annotated[str | None, typer.Option(help="Why; it becomes the reason that the runs show.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until they have ended.")]


def cancel(
    run_id: RunOrNone = None,
    data: Data = DEFAULT_DATA,
    job: JobOption = None,
    note: Note = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Stop a run, or all open runs of a job or DAG: TERM, the job's cancel_grace, KILL; what waits never starts."""
    _stop(RequestKind.CANCEL, run_id, data, job, note, wait=wait, as_json=as_json)


def terminate(
    run_id: RunOrNone = None,
    data: Data = DEFAULT_DATA,
    job: JobOption = None,
    note: Note = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Stop a run, or all open runs of a job or DAG, with KILL and no grace."""
    _stop(RequestKind.TERMINATE, run_id, data, job, note, wait=wait, as_json=as_json)


def rerun(  # noqa: PLR0917 - in the order in which they are shown
    run_id: RunOrNone = None,
    data: Data = DEFAULT_DATA,
    job: JobOption = None,
    state: Annotated[list[RunState] | None, typer.Option(help="With --job: in this state; repeat it for more.")] = None,
    since: Since = None,
    note: Note = None,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Of a DAG: with what depends on it, also where that succeeded.")
    ] = False,
    payload: Annotated[
        str | None,
        typer.Option(help="JSON for standard input, instead of what the run had; 'null' for the job's or each node's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run again what has ended, under its own id: one run, or those of a job (the dead ones, if no state is given).

    What waits for its next attempt has it now. What is refused of a job's is named, the others run; it ends with 1.
    Of a DAG run the nodes that failed and what waited for them; of a job that is a DAG the DAG runs that failed.
    """
    _one_of(run_id, job)
    check_json("--payload", payload)
    states = [each.value for each in state or [RunState.DEAD, RunState.FAILED]]
    if set(states) & {each.value for each in OPEN_STATES - {RunState.RETRY_WAIT}}:
        raise UsageError(f"--state {', '.join(states)}: only what has ended, or is retry_wait, can run again")
    with database(data) as postgres:
        found = [run_row(postgres, run_id, RERUNS_ALL)] if run_id else _ended(postgres, job, states, since)
        names = [each["run_id"] for each in found if run_id or state or _is_given_up(each)]
        values = {"downstream": downstream, "note": note, "payload": payload}
        asked, refused = _asked(postgres, names, values, is_bulk=run_id is None)
    if as_json:
        again = {"runs": [each["run_id"] for each in asked], "requests": [each["request_id"] for each in asked]}
        show_json(again | {"refused": refused})
    else:
        say("\n".join(each["run_id"] for each in asked) or "Nothing to run again.")
    for each in refused:
        complain(f"{each['run_id']} does not run again: {each['reason']}")
    if refused:
        raise typer.Exit(1)


def _asked(
    postgres: psycopg.Connection[Row], names: list[str], values: Row, *, is_bulk: bool
) -> tuple[list[Row], list[Row]]:
    """What runs again, and what of many was refused: one that cannot be asked for keeps no other from running."""
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
    wanted = {"job_id": job, "run_id": run_id}
    with database(data) as postgres:
        found = _open(postgres, run_id, job)
        request_id = secrets.token_hex(8)
        one(postgres, "request_stop", wanted | {"request_id": request_id, "kind": kind.value, "note": note})
        if run_id and not found and not wait:
            _await_refusal(postgres, run_id, request_id)
        waited_for = [run_id] if run_id else [each["run_id"] for each in found]
        ended = [await_end(postgres, each, request_id) for each in waited_for] if wait else found
    if as_json:
        states = [{"run_id": each["run_id"], "state": each["state"]} for each in ended]
        show_json({"request_id": request_id, "runs": states})
    else:
        unseen = f"{run_id} is not written yet; if it is open, it stops." if run_id else "Nothing is open."
        say("\n".join(f"{each['run_id']} {each['state']}" for each in ended) or unseen)


def _open(postgres: psycopg.Connection[Row], run_id: str | None, job: str | None) -> list[Row]:
    """What is to stop, as far as it is written. One that is not can be stopped as well, if its job or DAG is there."""
    owner = job or owner_of_run(run_id or "")
    if owner is None:
        raise no_run(postgres, run_id or "", of_all="; --job stops all of its open runs")
    if run_id:
        await_known(postgres, run_id)
    found = rows(postgres, "open_runs", {"job_id": job, "run_id": run_id})
    if found:
        return found
    ended = one(postgres, "run", {"run_id": run_id}) if run_id else None
    if ended and RunState(ended["state"]).is_final:
        raise NotFoundError(f"run {run_id!r} has ended: it is {ended['state']}")
    owner_kind(postgres, owner)
    return []


def _await_refusal(postgres: psycopg.Connection[Row], run_id: str, request_id: str) -> None:
    """A while, as of a run that is not there. Raises `RefusedError`."""
    deadline = time.monotonic() + APPEAR_SECONDS
    while time.monotonic() < deadline:
        check_refusal(postgres, run_id, request_id)
        if one(postgres, "run", {"run_id": run_id}):
            return
        time.sleep(POLL_SECONDS)


def _one_of(run_id: str | None, job: str | None) -> None:
    if (run_id is None) == (job is None):
        raise UsageError("either a run or --job NAME is needed, and not both")


def _ended(postgres: psycopg.Connection[Row], job: str | None, states: list[str], since: str | None) -> list[Row]:
    values = {"job_id": job, "states": states, "codes": None, "since": since_instant(since), "limit": MAX_RERUNS}
    found = rows(postgres, "runs", values)
    # A range of occurrences that did not run is no run, a backfill only stands for its runs, a DAG run for its nodes.
    left_out = {RunKind.BACKFILL.value, RunKind.NODE.value}
    return [each for each in found if (each["missed_count"] or 1) == 1 and each["kind"] not in left_out]


def _is_given_up(run: Row) -> bool:
    """Of a job what is dead; a DAG run is never dead."""
    return bool(run["state"] == RunState.DEAD.value or run["kind"] == RunKind.DAG.value)
