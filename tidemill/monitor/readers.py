"""The loop that counts the records that wait for each reader; the judge learns from it how far the sink is behind."""

from __future__ import annotations

from datetime import datetime, timedelta

from observe.catalogue.monitor import WAITING, WAITING_OLDEST
from tidemill.lag import SINK, Waiting, waiting_records
from tidemill.monitor.deployment import Deployment
from tidemill.monitor.judge import SinkPosition
from tidemill.monitor.shown import Shown

PERIOD = timedelta(seconds=15)


class Readers:
    def __init__(self, deployment: Deployment, sink: SinkPosition, shown: Shown) -> None:
        self._deployment, self._sink, self._shown = deployment, sink, shown

    def round(self) -> None:
        """Raises what `waiting_records` raises."""
        now = self._deployment.brokers_now()
        found = waiting_records(self._deployment.target(), self._deployment.admin())
        ages = {name: _age(each, now) for name, each in found.items()}
        self._sink.note(ages[SINK])
        self._shown.show(WAITING, {(name,): each.records for name, each in found.items()})
        self._shown.show(WAITING_OLDEST, {(name,): age.total_seconds() for name, age in ages.items()})

    def is_away(self) -> None:
        self._shown.forget(WAITING, WAITING_OLDEST)


def _age(waiting: Waiting, now: datetime) -> timedelta:
    return timedelta(0) if waiting.since is None else max(now - waiting.since, timedelta(0))
