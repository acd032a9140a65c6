"""`tidemill simulate`: what a job or DAG would do, and what a change of it would change."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import psycopg
import typer

from infra.progress import progress
from schemas.classes import parse_classes
from schemas.job import Definition
from schemas.settings import Connections
from schemas.times import rfc3339
from streams.core.settings import CoreSettings
from tidemill.complete import owner_names
from tidemill.instants import duration_in, parse_instant
from tidemill.names import no_owner, owner_row
from tidemill.output import show_json
from tidemill.queries import rows
from tidemill.simulate.candidate import LOCK_WAIT, changed, current, pairs
from tidemill.simulate.compare import Play, Report, compare
from tidemill.simulate.durations import Durations, recorded
from tidemill.simulate.show import as_json_value, show
from tidemill.target import (
    DEFAULT_DATA,
    AsJson,
    Data,
    Row,
    UsageError,
    connect,
    connect_to_read,
    connections,
    wall_clock,
)

DAY = timedelta(days=1)


def simulate(  # noqa: PLR0917 - an option of a command is an argument of its function
    job: Annotated[str | None, typer.Option(help="The job.", autocompletion=owner_names)] = None,
    dag: Annotated[str | None, typer.Option(help="The DAG.", autocompletion=owner_names)] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="COLUMN=VALUE", help="Compare with this value; repeat it for more."),
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Begin at this time. Default: now.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="End before this time. Default: 24 h after --from.")
    ] = None,
    takes: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Each process takes so long, such as 90s. Default: as recorded ones."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which recorded process each simulated one follows.")] = 0,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show what a job or DAG would do, and what a change would change. Nothing is written."""
    if (job is None) == (dag is None):
        raise UsageError("give either --job or --dag")
    target = connections(data)
    report = look(target, job or dag or "", "job" if job else "dag", column or [], (begin, end), takes, seed)
    if as_json:
        show_json(as_json_value(report))
    else:
        show(report)


def look(
    target: Connections,
    name: str,
    kind: str,
    texts: list[str],
    span: tuple[str | None, str | None],
    takes: str | None = None,
    seed: int = 0,
) -> Report:
    """`kind`: `job` or `dag`. Raises `UsageError`, and the database's refusal of a value."""
    values = pairs(kind, texts)
    with connect_to_read(target) as postgres:
        owner = owner_row(postgres, name)
        if owner["kind"] != kind:
            raise no_owner(postgres, kind, name)
        play = Play(
            name=name,
            values=values,
            old=current(postgres, name),
            new=_changed(target, name, kind, values),
            begin=(from_to := _span(span, owner["timezone"]))[0],
            end=from_to[1],
            durations=Durations(recorded=recorded(postgres, name), takes=_takes(takes)),
            seed=seed,
            settings=_settings(postgres),
        )
    done = [0.0]
    with progress(f"Playing {name}", lambda: (int(done[0] * 1000), 1000)):
        return compare(play, lambda share: done.__setitem__(0, share))


def _changed(target: Connections, name: str, kind: str, values: dict[str, Any]) -> Definition | None:
    if not values:
        return None
    with connect(target.postgres_dsn, LOCK_WAIT) as postgres:
        return changed(postgres, name, kind, values)


def _span(asked: tuple[str | None, str | None], timezone: str) -> tuple[datetime, datetime]:
    now = wall_clock().replace(microsecond=0)
    begin = parse_instant("--from", asked[0], now, timezone) if asked[0] else now
    end = parse_instant("--to", asked[1], now, timezone) if asked[1] else begin + DAY
    begin, end = (each.replace(microsecond=each.microsecond // 1000 * 1000) for each in (begin, end))
    if begin >= end:
        raise UsageError(f"--from {rfc3339(begin)} is not before --to {rfc3339(end)}")
    return begin, end


def _takes(text: str | None) -> timedelta | None:
    found = None if text is None else duration_in(text.strip().lower())
    if text is not None and found is None:
        raise UsageError(f"--takes {text!r} is not a duration such as 90s or 1h30m")
    return found


def _settings(postgres: psycopg.Connection[Row]) -> CoreSettings:
    """The classes of the deployment. The other settings are in Kafka, and are those of a new deployment here."""
    names = ",".join(row["name"] for row in rows(postgres, "timeout_classes"))
    return CoreSettings(classes=parse_classes(names)) if names else CoreSettings()
