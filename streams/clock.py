"""The worker's one source of time: CLOCK_BOOTTIME and what the brokers say of theirs."""

from __future__ import annotations

import time

from confluent_kafka import Producer

from schemas.kept_clock import KeptClock
from schemas.settings import Connections


def boot_seconds() -> float:
    """Seconds since boot, suspension included; no clock change moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def host_seconds() -> float:
    """The wall clock of this host: a witness of the time where there are few brokers, and nothing else."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def cluster_clock(connections: Connections) -> KeptClock:
    return KeptClock(connections, Producer, boot_seconds, host_seconds)
