"""What every process shows of itself: its kind, its name and its version, and whether it is ready."""

from __future__ import annotations

from importlib import metadata

from observe.catalogue.process import INFO, READY
from observe.health import Health
from observe.registry import Registry


def describe_process(registry: Registry, health: Health, *, kind: str, name: str) -> None:
    """Call it once, when the name is known. `kind`: what runs here, such as `streams`; `name`: which one of them."""
    registry.gauge(INFO).labels(kind, name, metadata.version("tidemill")).set(1)
    registry.gauge(READY).set_function(lambda: float(health.why_not_ready is None))
