"""`tidemill cluster`: shows and changes the settings that all processes of a deployment share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaException
from pydantic import TypeAdapter, ValidationError

from connectors.cluster import change, look, open_to_jobs
from connectors.owner_clocks import latest_clocks
from infra.progress import progress
from schemas.cluster import Cluster, check_margins, in_words
from schemas.cluster_record import Found, of_deployment
from schemas.settings import Connections
from tidemill.heartbeats import heartbeats
from tidemill.instants import duration_in
from tidemill.lag import unavailable
from tidemill.members import behind, margins_of, workers
from tidemill.output import say, show_rows
from tidemill.target import DEFAULT_DATA, AsJson, Data, NotFoundError, UsageError, connections, wall_clock

app = typer.Typer(no_args_is_help=True, help="Show or change the settings that all processes of a deployment share.")
COLUMNS = ("name", "value")
_NO_FIXED_LENGTH = re.compile(r"[+-]?P[^T]*[MY]", re.IGNORECASE)
_DURATION: TypeAdapter[timedelta] = TypeAdapter(timedelta)


@app.command("show")
def show(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show the settings that all processes share, and the number of partitions."""
    target, cluster = found_at(connections(data))
    values = {"partitions": target.partitions, **cluster.values, "version": cluster.version}
    show_rows([{"name": name, "value": in_words(each)} for name, each in values.items()], COLUMNS, as_json=as_json)


@app.command("set")
def set_values(
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE…", help="Such as timeout_classes=10s,1m,1h,6h")],
    data: Data = DEFAULT_DATA,
) -> None:
    """Change settings for all processes, and name the processes that must be restarted. Safe to repeat."""
    asked = parse(values)
    target, _ = found_at(connections(data))
    with progress("Changing the settings"):
        before, after = change(target, asked, lambda new: _check_members(target, new))
    changed = [name for name in after.values if before.values[name] != after.values[name]]
    say(f"Settings: {', '.join(f'{name}={in_words(after.values[name])}' for name in changed) or 'as they were'}.")
    for line in open_classes(target, after):
        say(line)


def open_classes(target: Connections, cluster: Cluster) -> list[str]:
    """Allow jobs to name the classes once every stream worker knows them. Returns what is left to do, as sentences."""
    unread = _behind(target, cluster)
    if not unread:
        open_to_jobs(target, cluster)
        return []
    names = ", ".join(sorted(set(unread.values())))
    said = (
        f"The stream workers {names} use older settings: restart the executors one after the other, then the workers,"
    )
    return [f"{said} and repeat this command; until then, jobs cannot name a new class."]


def parse(values: Sequence[str]) -> dict[str, Any]:
    """Raises `UsageError`."""
    return dict(map(_parse, values))


def found_at(target: Connections) -> tuple[Connections, Cluster]:
    """Raises `NotFoundError` before `tidemill migrate`, `KafkaRefusedError`."""
    found: Found = look(target)
    if found.cluster is None:
        raise NotFoundError(f"{target.kafka_bootstrap} holds no settings of a deployment: run `tidemill migrate` first")
    return of_deployment(target, found), found.cluster


def _check_members(target: Connections, cluster: Cluster) -> None:
    """Raises `DisagreementError` if a running executor's margins do not fit the settings."""
    check_margins(cluster, map(margins_of, heartbeats(target, wall_clock())))


def _parse(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    known = Cluster().values
    if not equals:
        raise UsageError(f"{text!r} is not of the form NAME=VALUE; names are {', '.join(known)}")
    if name == "partitions":
        raise UsageError("the number of partitions cannot be changed after the topics are made")
    if name not in known:
        near = get_close_matches(name, known, 1)
        remedy = f"did you mean {near[0]}?" if near else f"names are {', '.join(known)}"
        raise UsageError(f"there is no setting {name}; {remedy}")
    return (name, _duration(name, value)) if isinstance(known[name], timedelta) else (name, value)


def _duration(name: str, value: str) -> timedelta:
    """Parse seconds, a form such as 5m, or ISO 8601; refuse months and years, which have no fixed length."""
    found = timedelta(seconds=int(value)) if value.isdecimal() else duration_in(value.replace(" ", ""))
    if found is None and not _NO_FIXED_LENGTH.match(value):
        with suppress(ValidationError):
            found = _DURATION.validate_python(value)
    if found is None:
        raise UsageError(f"{name} is {value!r}: it must be a duration, such as 90s, 5m or PT90S")
    return found


def _behind(target: Connections, cluster: Cluster) -> dict[int, str]:
    try:
        return behind(cluster.version, workers(target).held, latest_clocks(target))
    except (KafkaException, TimeoutError) as error:
        raise unavailable(target, error) from error
