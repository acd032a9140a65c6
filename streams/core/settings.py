"""The settings that the core uses for its decisions, the same on every worker."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from schemas.classes import TimeoutClass, parse_classes
from schemas.cluster import Cluster
from streams.core.room import Bounds

_AGREED = Cluster()


class DispatchTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The times that a dispatch carries. The executor and each owner use these, not the settings (protocol L8)."""

    valid_for: timedelta
    claim_grace: timedelta
    lease: timedelta


class CoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    classes: tuple[TimeoutClass, ...] = parse_classes(_AGREED.timeout_classes)
    """The shortest first."""
    cluster_version: int = 0
    """The version of the settings record that these values come from."""
    dispatch_valid_for: timedelta = _AGREED.dispatch_valid_for
    """Executors do not run a dispatch that is older than this (protocol D2)."""
    claim_grace: timedelta = _AGREED.claim_grace
    """The longest time from an observed claim to its event (protocol D4, D5)."""
    lease: timedelta = _AGREED.lease
    """Silence after which an attempt is lost (protocol L1)."""
    request_ttl: timedelta = _AGREED.request_ttl
    """How long a request id and a deletion are remembered (protocol I2, I5)."""
    park_limit: timedelta = timedelta(seconds=60)
    """How long a request waits for the definition of its job (protocol I4)."""
    max_parked: int = 10_000
    """How many requests of one partition may wait for their definition; they are held in memory."""
    max_parked_bytes: int = 64 * 1024 * 1024
    """Limit of their total size: 10,000 requests with the largest payloads would be 2.5 GB, read at each recovery."""
    catchup_rate_per_job: int = 600
    """How many runs per minute one job catches up."""
    catchup_rate_per_partition: int = 30_000
    """How many runs per minute all jobs of a partition catch up, so that they do not flood the executors."""
    resume_limit: int = 1_000
    """How many occurrences one definition change may run; they share one transaction."""
    probe_window: int = 2
    """How many dispatches may wait in a runs partition whose executor is unknown (protocol D1)."""
    bounds: Bounds = Bounds()
    """The limits of one transaction."""
    count_limit: int = 10_000
    """Count at most this many occurrences of a missed range, so that counting does not delay the clock."""

    @property
    def terms(self) -> DispatchTerms:
        """The terms of a dispatch that is sent now."""
        return DispatchTerms(valid_for=self.dispatch_valid_for, claim_grace=self.claim_grace, lease=self.lease)

    def class_named(self, name: str) -> TimeoutClass | None:
        for each in self.classes:
            if each.name == name:
                return each
        return None
