"""`tidemill backfill` and `backfills`: run past occurrences of a schedule, and show the progress."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, assert_never

import psycopg
import typer

from schemas.backfill import MAX_ACTIVE_RUNS, MAX_OCCURRENCES, Backfill
from schemas.codec import decode
from schemas.dag import DagSpec
from schemas.ids import OwnerId, RequestId, RunId, request_run_id
from schemas.job import JobSpec
from schemas.words import DefinitionKind, Reprocess, RunState
from streams.core.dag.graph import job_of_dag
from streams.core.requests.backfill import attempts_had, occurrences
from tidemill.complete import owner_names
from tidemill.instants import parse_instant, print_instant
from tidemill.names import check_owner, names_of, owner_row
from tidemill.output import say, show_json, show_rows
from tidemill.queries import now_of, one, rows
from tidemill.runs import Limit, await_end
from tidemill.target import DEFAULT_DATA, AsJson, Data, NotFoundError, Row, UsageError, database, reading, wall_clock

PLAN_COLUMNS = ("nominal_time", "runs", "attempt")
PROGRESS_COLUMNS = (
    "run_id",
    "state",
    "backfill_from",
    "backfill_to",
    "runs",
    "queued",
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "reason",
)
CLOCKS_DIFFER = timedelta(minutes=1)


def backfill(  # noqa: PLR0917 - in the order in which they are shown
    name: Annotated[str, typer.Argument(metavar="NAME", help="The id of a job or DAG.", autocompletion=owner_names)],
    begin: Annotated[
        str,
        typer.Option(
            "--from", help="The start: a time or a day in the job's time zone, or a duration ago, such as 7d."
        ),
    ],
    end: Annotated[
        str | None, typer.Option("--to", help="The end, exclusive, in the same forms. Default: now.")
    ] = None,
    data: Data = DEFAULT_DATA,
    reprocess: Annotated[
        Reprocess, typer.Option(help="Which occurrences that had an attempt run again: none, failed, or all completed.")
    ] = Reprocess.NONE,
    max_active: Annotated[int, typer.Option(min=1, max=MAX_ACTIVE_RUNS, help="The most runs at a time.")] = 1,
    backwards: Annotated[bool, typer.Option("--backwards", help="Run the newest occurrence first.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run; write nothing.")] = False,
    note: Annotated[str | None, typer.Option(help="The reason; it is stored with the request.")] = None,
    request_id: Annotated[str | None, typer.Option(help="A second request with the same id changes nothing.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait; exit with 0 only if all its runs succeeded.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the past occurrences of a job's or DAG's schedule, also while it is paused. Live runs go first."""
    values: dict[str, Any] = {
        "request_id": request_id or secrets.token_hex(8),
        "owner": name,
        "reprocess": reprocess.value,
        "max_active_runs": max_active,
        "run_backwards": backwards,
        "note": note,
    }
    with reading(data) if dry_run else database(data) as postgres:
        values |= _printed_range(postgres, name, begin, end)
        if not dry_run:
            _ask(postgres, values, wait=wait, as_json=as_json)
            return
        planned = plan(postgres, values)
    show_rows(planned, PLAN_COLUMNS, as_json=as_json)


def backfills(
    data: Data = DEFAULT_DATA,
    job: Annotated[
        str | None, typer.Option(help="Only backfills of this job or DAG.", autocompletion=owner_names)
    ] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List backfills with their progress, the newest first. `tidemill cancel RUN` stops one."""
    with reading(data) as postgres:
        found = rows(postgres, "backfills", {"job_id": job, "limit": limit})
        if not found:
            check_owner(postgres, job)
    show_rows(found, PROGRESS_COLUMNS, as_json=as_json)


def _printed_range(
    postgres: psycopg.Connection[Row], owner: str, begin: str, end: str | None
) -> dict[str, datetime | None]:
    found = asked_range(postgres, owner, begin, end)
    print_instant("--from", begin, found["backfill_from"])
    print_instant("--to", end, found["backfill_to"])
    return found


def asked_range(
    postgres: psycopg.Connection[Row], owner: str, begin: str, end: str | None
) -> dict[str, datetime | None]:
    """A time without an offset is in the owner's time zone; a duration counts back from now. Raises `UsageError`."""
    now, timezone = now_of(postgres), owner_row(postgres, owner)["timezone"]
    return {
        "backfill_from": parse_instant("--from", begin, now, timezone, ago=True),
        "backfill_to": parse_instant("--to", end, now, timezone, ago=True) if end else None,
    }


def _ask(postgres: psycopg.Connection[Row], values: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    run_id = request_backfill(postgres, values)
    ended = await_end(postgres, run_id, values["request_id"]) if wait else None
    if as_json:
        show_json(ended or {"run_id": run_id, "request_id": values["request_id"]})
    else:
        say(f"{run_id} {ended['state']}: {ended['reason']}" if ended else run_id)
    if ended and ended["state"] != RunState.SUCCEEDED.value:
        raise typer.Exit(1)


def request_backfill(postgres: psycopg.Connection[Row], values: dict[str, Any]) -> RunId:
    """Request it; returns its run id."""
    one(postgres, "request_backfill", values | names_of(postgres, values["owner"]))
    return request_run_id(OwnerId(values["owner"]), RequestId(values["request_id"]))


def plan(postgres: psycopg.Connection[Row], values: dict[str, Any]) -> list[Row]:
    """What a backfill would run, by the functions that the stream worker uses: `nominal_time`, `runs` (yes, again or
    left alone), and the number of its next attempt. Raises `UsageError` and `NotFoundError`.
    """
    begin, end = values["backfill_from"], values["backfill_to"] or wall_clock()
    if begin >= end:
        raise UsageError(f"--to {end} is not later than --from {begin}")
    if end > wall_clock() + CLOCKS_DIFFER:
        raise UsageError(f"--to {end} is later than now; what is not due yet runs by itself")
    found = one(postgres, "backfill_plan", values | {"backfill_to": end})
    if found is None:
        raise NotFoundError(f"no version of {values['owner']!r} is kept")
    job = _clock(DefinitionKind(found["kind"]), found["spec"].encode())
    if job.schedule is None:
        raise UsageError(f"{values['owner']!r} has no schedule, so nothing was ever due")
    asked = Backfill(
        backfill_from=begin.astimezone(UTC),
        backfill_to=end.astimezone(UTC),
        reprocess=Reprocess(values["reprocess"]),
        max_active_runs=values["max_active_runs"],
        run_backwards=values["run_backwards"],
        dry_run=True,
        ran=found["ran"],
    )
    return _planned(job, asked)


def _clock(kind: DefinitionKind, spec: bytes) -> JobSpec:
    match kind:
        case DefinitionKind.JOB:
            return decode(spec, JobSpec)
        case DefinitionKind.DAG:
            return job_of_dag(decode(spec, DagSpec))
        case _:
            assert_never(kind)


def _planned(job: JobSpec, asked: Backfill) -> list[Row]:
    times = occurrences(job, asked, None, MAX_OCCURRENCES + 1)
    if len(times) > MAX_OCCURRENCES:
        raise UsageError(f"these are more than {MAX_OCCURRENCES} occurrences; ask for several backfills")
    return [_row(asked, each) for each in times]


def _row(asked: Backfill, nominal_time: datetime) -> Row:
    had = attempts_had(asked, nominal_time)
    what = "left alone" if had is None else "again" if had else "yes"
    return {"nominal_time": nominal_time, "runs": what, "attempt": None if had is None else had + 1}
