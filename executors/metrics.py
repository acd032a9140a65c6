"""The figures of an executor. Its parts count here; /metrics shows them (observe/catalogue/executors.py)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from enum import Enum
from functools import partial

from executors.attempt import Phase
from executors.slots import Slots
from observe.catalogue.executors import (
    CACHE,
    CLAIM_SECONDS,
    ENDS,
    FETCH_SECONDS,
    HEARTBEAT_AGE,
    OUTPUT_BYTES,
    OUTPUT_DROPPED,
    SLOTS,
    SPAWN_SECONDS,
    STARTED_SECONDS,
)
from observe.registry import Registry
from schemas.event import EndCause


class NoProcess(Enum):
    """Why an attempt ended without an ENDED event."""

    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"


class Dropped(Enum):
    """Why output was not kept."""

    LIMIT = "limit"
    STORAGE = "storage"


class Metrics:
    """Thread-safe: the claimers count in their threads, the other parts in the event loop.

    Each series is looked up once, here: a lookup by label costs more than the observation itself.
    """

    def __init__(self, registry: Registry, timeout_classes: Collection[str]) -> None:
        self._registry, self._classes = registry, timeout_classes
        claim = registry.histogram(CLAIM_SECONDS, **{"class": timeout_classes})
        self._claim = {name: claim.labels(name) for name in timeout_classes}
        self._in_phase = {
            Phase.FETCHING: registry.histogram(FETCH_SECONDS),
            Phase.STARTED: registry.histogram(STARTED_SECONDS),
            Phase.SPAWNING: registry.histogram(SPAWN_SECONDS),
        }
        cache, ends, dropped = registry.counter(CACHE), registry.counter(ENDS), registry.counter(OUTPUT_DROPPED)
        self._hits, self._misses = cache.labels("hit"), cache.labels("miss")
        self._ends = {each: ends.labels(each.value) for each in (*EndCause, *NoProcess)}
        self._output = registry.counter(OUTPUT_BYTES)
        self._dropped = {each: dropped.labels(each.value) for each in Dropped}

    def watch(self, slots: Slots, heartbeat_age: Callable[[], float]) -> None:
        """Call it once: a scrape asks these for the present state."""
        shown = self._registry.gauge(SLOTS, **{"class": self._classes})
        for name in self._classes:
            shown.labels(name, "busy").set_function(partial(slots.busy, name))
            shown.labels(name, "free").set_function(partial(slots.free, name))
        self._registry.gauge(HEARTBEAT_AGE).set_function(heartbeat_age)

    def claimed(self, timeout_class: str, after: timedelta) -> None:
        """A commit claimed a dispatch so long after its append, in cluster time."""
        self._claim[timeout_class].observe(max(after.total_seconds(), 0.0))

    def left(self, phase: Phase, seconds: float) -> None:
        """An attempt was in this phase for so long."""
        if timed := self._in_phase.get(phase):
            timed.observe(seconds)

    def hit(self) -> None:
        self._hits.inc()

    def missed(self) -> None:
        self._misses.inc()

    def ended(self, cause: EndCause | NoProcess) -> None:
        self._ends[cause].inc()

    def wrote(self, count: int) -> None:
        """Processes wrote so many bytes of output."""
        self._output.inc(count)

    def dropped(self, why: Dropped, count: int) -> None:
        self._dropped[why].inc(count)
