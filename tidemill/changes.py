"""`tidemill changes`: who changed which job, DAG or member, and who asked for what."""

from __future__ import annotations

from typing import Annotated

import typer

from tidemill.complete import owner_names
from tidemill.output import show_rows
from tidemill.queries import rows
from tidemill.runs import Limit, Since, since_instant
from tidemill.target import DEFAULT_DATA, AsJson, Data, Row, reading

COLUMNS = ("at", "who", "door", "what", "changed")
_MOST_SHOWN = 5


def changes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Only of this job, DAG or member.", autocompletion=owner_names),
    ] = None,
    data: Data = DEFAULT_DATA,
    who: Annotated[str | None, typer.Option(help="Only of this role, or of whom a door named.")] = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List who changed which job, DAG or member, and who asked for what, the newest first."""
    with reading(data) as postgres:
        values = {"owner": name, "who": who, "since": since_instant(since), "limit": limit}
        found = rows(postgres, "changes", values)
    show_rows(found if as_json else [_told(each) for each in found], COLUMNS, as_json=as_json)


def _told(row: Row) -> Row:
    whole = f"{row['owner']}/{row['node_id']}" if row["node_id"] else row["owner"]
    asked = f" {row['request_id']} for" if row["request_id"] else ""
    names = sorted({*(row["before"] or {}), *(row["after"] or {})} - {"version"})
    shown = ", ".join(names[:_MOST_SHOWN]) + (
        f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    )
    return {
        "at": row["at"],
        "who": asker(row),
        "door": row["door"],
        "what": f"{row['action']} {row['kind']}{asked} {whole}",
        "changed": shown if row["action"] == "update" else "",
    }


def asker(row: Row) -> str:
    """Whom the door named, and the role that logged in."""
    return f"{row['actor']} ({row['login']})" if row["actor"] else str(row["login"])
