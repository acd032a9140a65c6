"""The settings of a stream worker, read once in `main()`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.classes import parse_classes
from schemas.control import LOOK_BACK
from schemas.settings import Connections
from streams.core.rules import Rules


class StreamSettings(BaseSettings):
    """Environment, prefix `TIDEMILL_`. Durations are seconds or ISO 8601."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    worker_id: str = "stream-0"
    """Stable over restarts: the worker is a static member of its group under this name."""
    stream_group: str = "tidemill-streams"
    """Consumer group and prefix of the transactional ids."""
    session_timeout: timedelta = timedelta(seconds=6)
    """After so long a silence a worker's partitions go to the others; not below the broker's minimum."""
    dispatch_valid_for: timedelta = Field(default=Rules().dispatch_valid_for, le=LOOK_BACK / 2)
    claim_grace: timedelta = Field(default=Rules().claim_grace, le=LOOK_BACK / 2)
    lease: timedelta = Rules().lease
    request_ttl: timedelta = Rules().request_ttl
    park_limit: timedelta = Rules().park_limit
    catchup_rate_per_job: PositiveInt = Rules().catchup_rate_per_job
    """Runs a minute in which one job catches up with what it missed."""
    catchup_rate_per_partition: PositiveInt = Rules().catchup_rate_per_partition
    """Runs a minute in which all jobs of a partition do; a worker has this rate times the partitions that it holds."""
    stall_limit: timedelta = timedelta(seconds=60)
    """A worker ends itself when an assigned partition has unread input for so long."""
    ready_file: Path | None = None
    """Touched when every assigned partition has been recovered."""

    def rules(self, connections: Connections) -> Rules:
        return Rules(
            classes=parse_classes(connections.timeout_classes),
            dispatch_valid_for=self.dispatch_valid_for,
            claim_grace=self.claim_grace,
            lease=self.lease,
            request_ttl=self.request_ttl,
            park_limit=self.park_limit,
            catchup_rate_per_job=self.catchup_rate_per_job,
            catchup_rate_per_partition=self.catchup_rate_per_partition,
        )
