"""The loop that counts the executors and their slots, and the partitions without a stream worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from observe.catalogue.monitor import CLASS_EXECUTORS, CLASS_SLOTS, UNOWNED
from schemas.classes import parse_classes
from schemas.heartbeat import ExecutorState
from tidemill.doctor.check_groups import BETWEEN
from tidemill.heartbeats import executors
from tidemill.members import workers
from tidemill.monitor.deployment import Deployment
from tidemill.monitor.shown import Figures, Shown

PERIOD = timedelta(seconds=15)


class Fleet:
    def __init__(self, deployment: Deployment, shown: Shown) -> None:
        self._deployment, self._shown = deployment, shown

    def round(self) -> None:
        """Raises `BrokersError` and what the brokers' client raises."""
        target = self._deployment.target()
        classes = [each.name for each in parse_classes(target.timeout_classes)]
        found = executors(target, self._deployment.brokers_now())
        self._shown.show(CLASS_EXECUTORS, executors_of(classes, found))
        self._shown.show(CLASS_SLOTS, slots_of(classes, found))
        group = workers(target)
        if group.state not in BETWEEN:
            self._shown.show(UNOWNED, target.partitions - len(group.held))

    def is_away(self) -> None:
        self._shown.forget(CLASS_EXECUTORS, CLASS_SLOTS, UNOWNED)


def executors_of(classes: Iterable[str], found: Iterable[Mapping[str, Any]]) -> Figures:
    """The executors that claim, by class; a class without one has 0."""
    claiming = [each for each in found if _claims(each)]
    return {(name,): sum(name in each["classes"] for each in claiming) for name in classes}


def slots_of(classes: Iterable[str], found: Iterable[Mapping[str, Any]]) -> Figures:
    """The busy and the free slots of the executors that claim, by class."""
    claiming = [each["classes"] for each in found if _claims(each)]
    figures: dict[tuple[str, ...], float] = {}
    for name in classes:
        slots = [each[name] for each in claiming if name in each]
        free = sum(each["free"] for each in slots)
        figures[name, "free"] = free
        figures[name, "busy"] = sum(each["slots"] for each in slots) - free
    return figures


def _claims(executor: Mapping[str, Any]) -> bool:
    return bool(executor["state"] == ExecutorState.RUNNING.value)
