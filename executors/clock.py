"""The clocks of an executor: seconds of CLOCK_BOOTTIME, and cluster now, which several threads may ask."""

from __future__ import annotations

import time

from confluent_kafka import Producer

from executors.supervisor import boot_seconds
from schemas.kept_clock import KeptClock
from schemas.settings import Connections

__all__ = ["boot_seconds", "cluster_clock"]


def host_seconds() -> float:
    """The wall clock of this host: a witness of the time where there are few brokers, and nothing else."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def cluster_clock(connections: Connections) -> KeptClock:
    return KeptClock(connections, Producer, boot_seconds, host_seconds)
