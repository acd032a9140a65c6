"""The worker's only source of time: CLOCK_BOOTTIME and the brokers' clocks."""

from __future__ import annotations

import time

from confluent_kafka import Producer

from schemas.kept_clock import KeptClock
from schemas.settings import Connections


def boot_seconds() -> float:
    """Seconds since boot, suspension included; changes of the wall clock do not affect it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def host_seconds() -> float:
    """The wall clock of this host: used only as one more vote where there are few brokers."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def cluster_clock(connections: Connections) -> KeptClock:
    return KeptClock(connections, Producer, boot_seconds, host_seconds)
