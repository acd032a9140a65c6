"""`tidemill up`, `down`, `status` and `migrate`: runs the local stack, and shows the status of any deployment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import psycopg
import typer
from rich.console import RenderableType

from connectors.apply import apply_connector
from connectors.cluster import establish
from connectors.migrate import LOCK_TIMEOUT, TRIES, migrations
from connectors.migrate import apply as apply_migrations
from connectors.roles import bring_roles
from connectors.settings import RoleSettings
from infra import extra, grafana_command, jars, packages, stack
from infra.brokers import COUNTS
from infra.progress import progress
from infra.settings import InfraSettings
from infra.stack import StackOptions
from infra.status import Status
from schemas.errors import TidemillError
from schemas.settings import AgreedSettings, Connections, read
from tidemill.addresses import hide_password
from tidemill.cluster import open_classes
from tidemill.connector import connector_state
from tidemill.heartbeats import executors
from tidemill.lag import lags
from tidemill.output import complain, console, say, show_json, table, visible
from tidemill.target import DEFAULT_DATA, AsJson, Data, UsageError, connections, wall_clock

STOP_SECONDS = 60.0
RUNNING = "RUNNING"
"""The state of a healthy connector."""
PROCESS_COLUMNS = ("name", "state", "pid", "port", "address")
EXECUTOR_COLUMNS = ("name", "state", "slots", "free", "gives")

Seen = TypeVar("Seen")


def up(
    data: Data = DEFAULT_DATA,
    detach: Annotated[bool, typer.Option("--detach", help="Return when every part answers.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="The number of stream workers.")] = 1,
    executors: Annotated[int, typer.Option(min=0, help="The number of executors.")] = 1,
    partitions: Annotated[int, typer.Option(min=1, help="Fixed by the first start in a data folder.")] = 8,
    brokers: Annotated[
        int, typer.Option(help="1, or 3 that hold each record three times. Fixed by the first start in a data folder.")
    ] = 1,
    observe: Annotated[
        bool, typer.Option("--observe", help="Start Prometheus too, and say how to open Grafana.")
    ] = False,
) -> None:
    """Start Postgres, Kafka, Connect, S3 and every process of Tidemill on this machine."""
    if brokers not in COUNTS:
        raise UsageError(f"--brokers is {brokers}: a stack has 1 or 3 brokers, because 2 are worse than 1")
    options = StackOptions(
        data=data, workers=workers, executors=executors, partitions=partitions, brokers=brokers, observe=observe
    )
    began = time.monotonic()
    if detach:
        show_ready(data, start_detached(options), began)
        return
    with ExitStack() as until_ready:

        def ready(status: Status) -> None:
            until_ready.close()
            show_ready(data, status, began)

        until_ready.enter_context(progress("Starting", lambda: started(data)))
        code = stack.run(options, say, ready)
    raise typer.Exit(code)


def start_detached(options: StackOptions) -> Status:
    """Download first, so that the user sees the progress."""
    extra.need()
    settings = read(InfraSettings)
    jars.class_paths(settings.cache, say)
    if options.observe:
        packages.program("prometheus", settings, say)
    with progress("Starting", lambda: started(options.data)):
        return stack.start_detached(options)


def started(data: Path) -> tuple[int, int]:
    """The number of running processes of a stack, and of all its processes."""
    found = stack.status(data)
    states = [each["state"] for each in found.processes] if found else []
    return states.count("running"), len(states)


def stop(data: Path) -> bool:
    """False if no stack ran."""
    with progress("Stopping"):
        return stack.stop(data, STOP_SECONDS)


def down(data: Data = DEFAULT_DATA) -> None:
    """Stop the stack of a data folder, and keep its data."""
    if stop(data):
        say(f"The stack in {data} is stopped; its data is kept.")
    else:
        say(f"No stack runs in {data}.")


def status(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Show addresses, processes, the connector, the lag and executors. Exit with 1 if a part does not answer."""
    target = connections(data)
    local = stack.status(data)
    said: set[str] = set()
    seen = {
        "addresses": local.addresses if local else _addresses(target),
        "processes": local.processes if local else [],
        "connector": connector_state(target),
        "lag": _or_none(lags, target, said),
        "executors": _or_none(lambda at: executors(at, wall_clock()), target, said),
    }
    if as_json:
        show_json(seen)
    else:
        if local:
            show_processes(data, local)
        for each in _status_parts(local, seen):
            console().print(each)
    if seen["connector"] != RUNNING or None in (seen["lag"], seen["executors"]):
        raise typer.Exit(1)


def migrate(
    data: Data = DEFAULT_DATA,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="Change neither topics nor the connector.")
    ] = False,
    lock_timeout: Annotated[
        float, typer.Option(min=0.001, help=f"The seconds that a migration waits for a lock; it tries {TRIES} times.")
    ] = LOCK_TIMEOUT.total_seconds(),
) -> None:
    """Bring the tables, topics and connector of a deployment up to date. Safe to repeat."""
    target = connections(data)
    with progress("Tables"):
        limit = timedelta(seconds=lock_timeout)
        applied = apply_migrations(target.postgres_dsn, migrations(), limit)
        made = bring_roles(target.postgres_dsn, read(RoleSettings).role_prefix, limit)
    say(f"Tables: {', '.join(applied) or 'up to date'}.")
    say(f"Roles: {', '.join(made) or 'up to date'}.")
    if tables_only:
        return
    with progress("Topics"):
        found = establish(target, read(AgreedSettings))
    say(f"Topics: {', '.join(found.made) or 'up to date'}.")
    for line in open_classes(found.connections, found.cluster):
        say(line)
    with progress("Connector"):
        actions = apply_connector(target)
    say(f"Connector: {', '.join(type(action).__name__ for action in actions) or 'up to date'}; running.")


def show_ready(data: Path, status: Status, began: float) -> None:
    show_processes(data, status)
    if "prometheus" in status.addresses:
        for line in grafana_command.lines(data, status.addresses):
            say(line)
    say(f"Ready after {time.monotonic() - began:.1f} s.")


def show_processes(data: Path, status: Status) -> None:
    """Print the processes with their addresses."""
    rows = [
        {**process, "address": hide_password(status.addresses.get(process["name"]))} for process in status.processes
    ]
    console().print(table(rows, PROCESS_COLUMNS))
    say(f"Logs are in {data / 'logs'}; `tidemill status --json` prints addresses with their passwords.")


def _status_parts(local: Status | None, seen: Mapping[str, Any]) -> Iterator[RenderableType]:
    if not local:
        addresses = [{"name": name, "address": hide_password(each)} for name, each in seen["addresses"].items()]
        yield table(addresses, ("name", "address"))
    executors = seen["executors"] or ()
    yield table(executors, EXECUTOR_COLUMNS)
    yield from (visible(f"{each['name']} is ill: {each['ill']}.") for each in executors if each["ill"])
    for each in executors:
        yield from (visible(f"{each['name']}: {said}.") for said in (each["capabilities"] or {}).get("lacks", ()))
    yield f"Connector: {seen['connector']}."
    lag = seen["lag"]
    yield f"Lag: {', '.join(f'{name} {waiting}' for name, waiting in lag.items()) if lag else 'unknown'}."


def _addresses(target: Connections) -> dict[str, str | None]:
    """The addresses of a deployment from the environment: without passwords, also in JSON."""
    return {
        "postgres": hide_password(target.postgres_dsn),
        "kafka": target.kafka_bootstrap,
        "connect": hide_password(target.connect_url),
        "s3": hide_password(target.s3_endpoint),
    }


def _or_none(look: Callable[[Connections], Seen], target: Connections, said: set[str]) -> Seen | None:
    """None if a part does not answer: print its error once, and continue with the other parts."""
    try:
        return look(target)
    except (TidemillError, psycopg.Error) as error:
        sentence = f"{'Postgres: ' if isinstance(error, psycopg.Error) else ''}{str(error).splitlines()[0]}"
        if sentence not in said:
            complain(sentence)
        said.add(sentence)
        return None
