"""The settings of a stream worker, read once in `main()`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import PositiveInt

from schemas.classes import parse_classes
from schemas.cluster import Cluster, agreed
from schemas.settings import AgreedSettings
from streams.core.settings import CoreSettings


class StreamSettings(AgreedSettings):
    """Environment, prefix `TIDEMILL_`. Durations are seconds or ISO 8601."""

    worker_id: str | None = None
    """The name of the worker, which is a static member of its group: it stays the same over restarts. None: the worker
    makes one from the host's name, unique on this machine."""
    stream_group: str = "tidemill-streams"
    """The consumer group, and the prefix of the transactional ids."""
    session_timeout: timedelta = timedelta(seconds=6)
    """A worker that is silent for this long loses its partitions to the others; not below the broker's minimum."""
    park_limit: timedelta = CoreSettings().park_limit
    catchup_rate_per_job: PositiveInt = CoreSettings().catchup_rate_per_job
    """The missed runs that one job may catch up per minute."""
    catchup_rate_per_partition: PositiveInt = CoreSettings().catchup_rate_per_partition
    """The same for all jobs of one partition together; a worker has this rate for each of its partitions."""
    stall_limit: timedelta = timedelta(seconds=60)
    """A worker ends itself when an assigned partition has unread input and makes no progress for this long."""
    ready_file: Path | None = None
    """Written when all assigned partitions are recovered; removed at the start and the end of the process."""

    def core(self, cluster: Cluster) -> CoreSettings:
        """Raises `DisagreementError`."""
        ours = agreed(self, cluster)
        return CoreSettings(
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
