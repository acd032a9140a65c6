"""The clocks of an executor: seconds of CLOCK_BOOTTIME, and the cluster clock, which several threads may read."""

from __future__ import annotations

import time

from confluent_kafka import Producer

from executors.process_supervisor import boot_seconds
from schemas.kept_clock import KeptClock
from schemas.settings import Connections

__all__ = ["boot_seconds", "cluster_clock"]


def host_seconds() -> float:
    """The wall clock of this host: the cluster clock uses it only as a further witness where there are few brokers."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def cluster_clock(connections: Connections) -> KeptClock:
    return KeptClock(connections, Producer, boot_seconds, host_seconds)
