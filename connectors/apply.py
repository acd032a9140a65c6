"""Compares the connector with the settings and carries out the actions of `plan` until the connector runs."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import assert_never

import psycopg

from connectors import connect_api
from connectors.connect_api import ConnectUnavailableError
from connectors.owned import Config
from connectors.plan import (
    Action,
    Actual,
    Create,
    DropLostSlot,
    RestartConnector,
    RestartTask,
    Update,
    describe,
    plan,
)
from connectors.primary import find_primary
from connectors.rights import check_may_capture
from connectors.settings import SourceSettings
from connectors.source import source_config
from connectors.statements import sql
from schemas.errors import TidemillError
from schemas.settings import Connections, read

POSTGRES_SECONDS = 5
_POLL_SECONDS = 0.25
_RESTART_SECONDS = 3.0
"""The pause between two restarts of a failed task: while Postgres is not ready yet, a task fails at once."""


class ConnectorNotRunningError(TidemillError):
    """The connector did not reach the state RUNNING in time."""


def apply_connector(connections: Connections, settings: SourceSettings | None = None) -> list[Action]:
    """Configure the connector as the settings say and wait until it and its task run; returns the actions.

    Raises `MissingRightsError` at once, and after `connect_timeout` `ConnectorNotRunningError` with the task's error.
    """
    settings = settings or read(SourceSettings)
    with suppress(psycopg.OperationalError):  # Connect may reach Postgres although this host does not
        check_may_capture(connections.postgres_dsn)
    source_config(connections, settings)  # refuse unusable addresses at once
    deadline = time.monotonic() + settings.connect_timeout.total_seconds()
    done: list[Action] = []
    problem = "the timeout ended before the first check"
    while time.monotonic() < deadline:
        desired = source_config(connections, settings, find_primary(connections.postgres_dsn) or 0)
        try:
            actual = observe(connections, desired)
            actions = plan(desired, actual)
            for action in actions:
                carry_out(action, connections, desired)
            done += actions
        except ConnectUnavailableError as error:
            problem = str(error)
            time.sleep(_POLL_SECONDS)
            continue
        if actual is not None and actual.runs and not actions:
            return done
        problem = describe(actual)
        time.sleep(_RESTART_SECONDS if actions and actual is not None else _POLL_SECONDS)
    raise ConnectorNotRunningError(
        f"connector {settings.connector_name} did not run within {settings.connect_timeout.total_seconds():g} s: "
        f"{problem}"
    )


def observe(connections: Connections, desired: Config) -> Actual | None:
    """The connector's configuration and state; None if it does not exist. Raises `ConnectUnavailableError`."""
    name = desired["name"]
    config = connect_api.get_config(connections.connect_url, name)
    if config is None:
        return None
    status = connect_api.get_state(connections.connect_url, name)
    state, trace, tasks = status or ("UNASSIGNED", "", ())
    slot_status = _slot_status(connections.postgres_dsn, desired["slot.name"])
    return Actual(config=config, state=state, trace=trace, tasks=tasks, slot_status=slot_status)


def carry_out(action: Action, connections: Connections, desired: Config) -> None:
    url, name = connections.connect_url, desired["name"]
    match action:
        case Create(config=config) | Update(config=config):
            connect_api.put_config(url, name, config)
        case RestartConnector():
            connect_api.restart_connector(url, name)
        case RestartTask(number=number):
            connect_api.restart_task(url, name, number)
        case DropLostSlot(slot_name=slot_name):
            _drop_lost_slot(connections.postgres_dsn, slot_name)
        case _:
            assert_never(action)


def _slot_status(dsn: str, slot_name: str) -> str | None:
    try:
        return _ask(dsn, "slot_status", slot_name)
    except psycopg.OperationalError:
        return None


def _drop_lost_slot(dsn: str, slot_name: str) -> None:
    try:
        _ask(dsn, "drop_lost_slot", slot_name)
    except psycopg.Error as error:
        raise ConnectUnavailableError(f"the lost slot {slot_name} could not be dropped: {error}") from error


def _ask(dsn: str, statement: str, slot_name: str) -> str | None:
    with psycopg.connect(dsn, connect_timeout=POSTGRES_SECONDS) as connection:
        row = connection.execute(sql(statement), {"slot_name": slot_name}).fetchone()
    return row[0] if row else None
