"""The metrics of the connector's supervisor: whether the connector runs, what was done to it, and its slot's WAL."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import timedelta

import msgspec
import psycopg

from connectors.plan import Action, Actual, Create, DropLostSlot, RestartConnector, RestartTask, Update
from connectors.statements import sql
from observe.catalogue import connector as catalogue
from observe.registry import Registry

SLOT_INTERVAL = timedelta(seconds=10)
SLOT_SECONDS = 3
"""How long Postgres may take to answer: the supervisor's round waits for it."""
_NAMES: dict[type[Action], str] = {
    Create: "create",
    Update: "update",
    RestartConnector: "restart_connector",
    RestartTask: "restart_task",
    DropLostSlot: "drop_lost_slot",
}


class SlotWal(msgspec.Struct, frozen=True, kw_only=True):
    lag_bytes: float = 0
    """WAL that the connector has not confirmed."""
    kept_bytes: float = 0
    """WAL that Postgres keeps for the slot."""
    is_lost: float = 0


UNKNOWN = SlotWal(lag_bytes=math.nan, kept_bytes=math.nan, is_lost=math.nan)


class ConnectorMetrics:
    __slots__ = ("_actions", "_ask_at", "_clock", "_kept", "_lag", "_lost", "_running")

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ask_at = clock()
        self._running = registry.gauge(catalogue.RUNNING)
        self._actions = registry.counter(catalogue.ACTIONS)
        self._lag = registry.gauge(catalogue.SLOT_LAG)
        self._kept = registry.gauge(catalogue.SLOT_KEPT)
        self._lost = registry.gauge(catalogue.SLOT_LOST)

    def seen(self, actual: Actual | None) -> None:
        """None: there is no connector, or Connect does not answer."""
        self._running.set(actual is not None and actual.runs)

    def did(self, action: Action) -> None:
        self._actions.labels(_NAMES[type(action)]).inc()

    def ask_for_slot(self, dsn: str, slot_name: str) -> None:
        """Ask Postgres, at most every `SLOT_INTERVAL`; if it does not answer, the figures are unknown (NaN)."""
        if self._clock() < self._ask_at:
            return
        found = slot_wal(dsn, slot_name)
        self._ask_at = self._clock() + SLOT_INTERVAL.total_seconds()
        self._lag.set(found.lag_bytes)
        self._kept.set(found.kept_bytes)
        self._lost.set(found.is_lost)


def slot_wal(dsn: str, slot_name: str) -> SlotWal:
    """All 0: there is no such slot. `UNKNOWN`: Postgres did not answer within `SLOT_SECONDS`."""
    try:
        with psycopg.connect(
            dsn,
            connect_timeout=SLOT_SECONDS,
            options=f"-c statement_timeout={SLOT_SECONDS}s",
            tcp_user_timeout=SLOT_SECONDS * 1000,
            application_name="tidemill-connect-supervisor",
        ) as connection:
            row = connection.execute(sql("slot_wal"), {"slot_name": slot_name}).fetchone()
    except psycopg.Error:
        return UNKNOWN
    return SlotWal(lag_bytes=row[0], kept_bytes=row[1], is_lost=row[2]) if row else SlotWal()
