"""The loop that judges which jobs are overdue, as far as the sink has written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import psycopg

from observe.catalogue.monitor import JUDGED_JOBS, OVERDUE_JOBS, OVERDUE_OLDEST, UNJUDGED_JOBS
from schemas.settings import Connections
from tidemill.monitor.shown import Shown
from tidemill.overdue.watch import Watch
from tidemill.target import Row, connect_to_read

PERIOD = timedelta(seconds=10)
BUDGET_SECONDS = 0.1
"""A round begins no further batch after this time, its waits for Postgres included: 1 % of the period."""
STATEMENT_TIMEOUT = "-c statement_timeout=30s"


class SinkPosition:
    """How far the read model is behind. Thread-safe. What was not measured counts as behind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._measured: tuple[float, timedelta] | None = None

    def note(self, behind: timedelta) -> None:
        with self._lock:
            self._measured = self._clock(), behind

    def behind(self) -> timedelta | None:
        """None: it was never measured."""
        with self._lock:
            if self._measured is None:
                return None
            at, behind = self._measured
            return behind + timedelta(seconds=self._clock() - at)


class Judge:
    """One loop owns it."""

    def __init__(self, target: Connections, after: timedelta, sink: SinkPosition, shown: Shown) -> None:
        self._target, self._after, self._sink, self._shown = target, after, sink, shown
        self._watch: Watch | None = None
        self._postgres: psycopg.Connection[Row] | None = None

    def round(self) -> None:
        """Raises psycopg's errors."""
        behind = self._sink.behind()
        if behind is None:
            return
        if self._postgres is None or self._postgres.closed:
            self._postgres = connect_to_read(self._target, STATEMENT_TIMEOUT)
        if self._watch is None:
            watch = Watch()
            watch.load(self._postgres)
            self._watch = watch
        self._judge(self._watch, self._postgres, behind)

    def is_away(self) -> None:
        """Without Postgres, nothing is known."""
        self._shown.forget(OVERDUE_JOBS, OVERDUE_OLDEST, JUDGED_JOBS, UNJUDGED_JOBS)
        if self._postgres is not None:
            with suppress(psycopg.Error):
                self._postgres.close()
        self._postgres = None

    def _judge(self, watch: Watch, postgres: psycopg.Connection[Row], behind: timedelta) -> None:
        began = time.monotonic()
        known = watch.refresh(postgres)
        until = known.now - self._after - behind
        left = watch.judge(postgres, until, known.earliest, lambda: time.monotonic() - began < BUDGET_SECONDS)
        oldest = min(watch.overdue.values(), default=known.now)
        self._shown.show(OVERDUE_JOBS, len(watch.overdue))
        self._shown.show(OVERDUE_OLDEST, (known.now - oldest).total_seconds())
        self._shown.show(JUDGED_JOBS, len(watch) - left)
        self._shown.show(UNJUDGED_JOBS, left)
