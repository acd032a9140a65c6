"""The settings that the core decides by: values, given once, the same on every worker."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from schemas.classes import TimeoutClass, parse_classes
from schemas.cluster import Cluster
from streams.core.room import Bounds

_AGREED = Cluster()


class Terms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the dispatch of an attempt says. Its executor goes by it, and so does each owner (protocol L8)."""

    valid_for: timedelta
    claim_grace: timedelta
    lease: timedelta


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    classes: tuple[TimeoutClass, ...] = parse_classes(_AGREED.timeout_classes)
    """The shortest first."""
    cluster_version: int = 0
    """Of the record that these values come from."""
    dispatch_valid_for: timedelta = _AGREED.dispatch_valid_for
    """D (protocol D2)."""
    claim_grace: timedelta = _AGREED.claim_grace
    """From a claim that was seen to the event that must follow it (protocol D4, D5)."""
    lease: timedelta = _AGREED.lease
    """Silence after which an attempt is lost (protocol L1)."""
    request_ttl: timedelta = _AGREED.request_ttl
    """How long a request id and a deletion are remembered (protocol I2, I5)."""
    park_limit: timedelta = timedelta(seconds=60)
    """How long a request waits for its definition (protocol I4)."""
    max_parked: int = 10_000
    """Requests of one owner partition that may wait for their definition: they are held in memory."""
    max_parked_bytes: int = 64 * 1024 * 1024
    """Of these requests together: with the largest payloads, 10,000 of them would take 2.5 GB of every recovery."""
    catchup_rate_per_job: int = 600
    """Runs a minute in which one job catches up with what it missed."""
    catchup_rate_per_partition: int = 30_000
    """Runs a minute in which all jobs of a partition catch up: live work goes first, and the fleet is not flooded."""
    resume_limit: int = 1_000
    """Occurrences of a pause that one definition change may have run: they are one transaction."""
    probe_window: int = 2
    """Dispatches into a runs partition of whose executor nothing is known (protocol D1)."""
    bounds: Bounds = Bounds()
    """Of one transaction."""
    count_limit: int = 10_000
    """Occurrences of a missed range are counted up to here: counting must not stop the clock."""

    @property
    def terms(self) -> Terms:
        """Of what is dispatched now."""
        return Terms(valid_for=self.dispatch_valid_for, claim_grace=self.claim_grace, lease=self.lease)

    def class_named(self, name: str) -> TimeoutClass | None:
        for each in self.classes:
            if each.name == name:
                return each
        return None
