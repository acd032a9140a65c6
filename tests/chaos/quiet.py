"""Waits until a stack is whole again and nothing is open any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import orjson
import psycopg

from infra import stack
from schemas.errors import TidemillError
from tests.chaos.judge.read import unsettled
from tests.chaos.site import Site
from tidemill.connector import connector_state
from tidemill.lag import lags

WHOLE_SECONDS = 180
QUIET_SECONDS = 240
LOOK_SECONDS = 1.0
OPEN = """
select run_id, state, reason from runs where state in ('queued', 'running', 'retry_wait', 'cancelling') order by run_id
"""


class NotQuietError(Exception):
    """After its faults have ended, the stack does not come to rest."""


def await_whole(site: Site) -> None:
    """Every process is ready, and the connector runs."""
    _await(lambda: _what_is_missing(site), WHOLE_SECONDS)


def await_quiet(site: Site, journals: Path) -> None:
    """Nothing waits to be read, no run is open, and each request of the load has a run or an answer."""
    _await(lambda: _what_waits(site, journals), QUIET_SECONDS)


def _await(look: Callable[[], str | None], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while missing := look():
        if time.monotonic() > deadline:
            raise NotQuietError(f"After {seconds} s: {missing}")
        time.sleep(LOOK_SECONDS)


def _what_is_missing(site: Site) -> str | None:
    found = stack.status(site.data)
    if found is None:
        return "the stack is gone"
    late = [each["name"] for each in found.processes if each["state"] != "running"]
    if late:
        return f"{', '.join(late)} not running"
    state = connector_state(site.client.connections)
    return None if state == "RUNNING" else f"the connector is {state}"


def _what_waits(site: Site, journals: Path) -> str | None:
    try:
        waiting = {name: each for name, each in lags(site.client.connections).items() if each}
        opened = [*site.client.rows(OPEN), *unsettled(site.client, journals)]
    except (TidemillError, psycopg.Error) as error:
        return str(error)
    if waiting:
        return f"unread: {orjson.dumps(waiting, default=str).decode()}"
    return f"{len(opened)} runs or requests are open, such as {opened[0]}" if opened else None
