"""`tidemill dag mark`: marks a node of a DAG run as succeeded or skipped."""

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
from tidemill.queries import one
from tidemill.runs import APPEAR_SECONDS, POLL_SECONDS, await_known
from tidemill.target import DEFAULT_DATA, AsJson, Data, Row, UsageError, database


def mark(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A node's run: RUN/NODE.", autocompletion=run_names)],
    mark_as: Annotated[MarkAs, typer.Argument(metavar="succeeded|skipped")],
    data: Data = DEFAULT_DATA,
    note: Annotated[str | None, typer.Option(help="The reason; the node shows it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Mark a node as succeeded or skipped. A node that waits never starts; a running node is stopped first."""
    if "/" not in run_id:
        raise UsageError(f"{run_id!r} is not the run of a node: write RUN/NODE, such as 'etl#r1/load'")
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
    """Wait until the database shows the mark: until then, another mark would be refused. None: not yet shown."""
    deadline = time.monotonic() + APPEAR_SECONDS
    while (found := one(postgres, "mark", values)) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found
