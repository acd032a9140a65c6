"""`tidemill dag mark`: a node of a DAG run counts as succeeded or skipped from now on."""

from __future__ import annotations

import secrets
import time
from typing import Annotated

import psycopg
import typer

from schemas.ids import dag_run_of
from schemas.words import MarkAs
from tidemill.complete import run_names
from tidemill.output import complain, say, show_json
from tidemill.place import DEFAULT_DATA, AsJson, Data, Row, UsageError, database
from tidemill.queries import one
from tidemill.runs import APPEAR_SECONDS, POLL_SECONDS, await_known


def mark(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A node's run: RUN/NODE.", autocompletion=run_names)],
    mark_as: Annotated[MarkAs, typer.Argument(metavar="succeeded|skipped")],
    data: Data = DEFAULT_DATA,
    note: Annotated[str | None, typer.Option(help="Why; it becomes the reason that the node shows.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let a node count as succeeded or skipped: one that waits never starts, one that is at work is stopped first."""
    if "/" not in run_id:
        raise UsageError(f"{run_id!r} is no node's run: name it as RUN/NODE, such as 'etl#r1/load'")
    request_id = secrets.token_hex(8)
    with database(data) as postgres:
        await_known(postgres, dag_run_of(run_id))
        values = {"request_id": request_id, "run_id": run_id, "mark_as": mark_as.value, "note": note}
        asked = one(postgres, "request_mark", values)
        said = f"marked {mark_as.value}"
        reason = f"{said}: {note}" if note else f"{said} by request {request_id}"
        found = _await_mark(postgres, values | {"reason": reason, "owner": asked and asked["owner"]})
    if found and found["refused"]:
        complain(found["refused"])
        raise typer.Exit(1)
    state = found["state"] if found else None
    if as_json:
        show_json({"request_id": request_id, "run_id": run_id, "state": state})
    else:
        say(f"{run_id} {state or 'will be ' + said}")


def _await_mark(postgres: psycopg.Connection[Row], values: dict[str, object]) -> Row | None:
    """Until it is shown: another mark of the DAG run that knows nothing of it would be refused. None: not yet."""
    deadline = time.monotonic() + APPEAR_SECONDS
    while (found := one(postgres, "mark", values)) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found
