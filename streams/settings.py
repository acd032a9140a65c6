"""The settings of a stream worker, read once in `main()`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import PositiveInt

from schemas.classes import parse_classes
from schemas.cluster import Cluster, agreed
from schemas.settings import AgreedSettings
from streams.core.policy.rules import Rules


class StreamSettings(AgreedSettings):
    """Environment, prefix `TIDEMILL_`. Durations are seconds or ISO 8601."""

    worker_id: str | None = None
    """Stable over restarts: the worker is a static member of its group under this name. None: one is made of the host's
    name, unique on this machine."""
    stream_group: str = "tidemill-streams"
    """Consumer group and prefix of the transactional ids."""
    session_timeout: timedelta = timedelta(seconds=6)
    """After so long a silence a worker's partitions go to the others; not below the broker's minimum."""
    park_limit: timedelta = Rules().park_limit
    catchup_rate_per_job: PositiveInt = Rules().catchup_rate_per_job
    """Runs a minute in which one job catches up with what it missed."""
    catchup_rate_per_partition: PositiveInt = Rules().catchup_rate_per_partition
    """Runs a minute in which all jobs of a partition do; a worker has this rate times the partitions that it holds."""
    stall_limit: timedelta = timedelta(seconds=60)
    """A worker ends itself when an assigned partition has unread input for so long."""
    ready_file: Path | None = None
    """Written when every assigned partition has been recovered; removed at the start and at the end of the process."""

    def rules(self, cluster: Cluster) -> Rules:
        """Raises `DisagreementError`."""
        ours = agreed(self, cluster)
        return Rules(
            classes=parse_classes(cluster.timeout_classes),
            cluster_version=cluster.version,
            dispatch_valid_for=ours.dispatch_valid_for,
            claim_grace=ours.claim_grace,
            lease=ours.lease,
            request_ttl=ours.request_ttl,
            park_limit=ours.park_limit,
            catchup_rate_per_job=ours.catchup_rate_per_job,
            catchup_rate_per_partition=ours.catchup_rate_per_partition,
        )
