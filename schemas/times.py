"""Instants as text: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LATEST = datetime(2200, 1, 1, tzinfo=UTC) - MILLISECOND
"""Every part of the pipeline can represent instants from `EPOCH` to this one, also rounded up to a millisecond.
`tidemill.is_writable` has the same limits."""


@lru_cache(maxsize=4096)
def rfc3339(instant: datetime) -> str:
    """`2026-11-21T03:00:00.000Z`. Cached: the records of one transaction share most of their instants."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def run_id_time(instant: datetime) -> str:
    """The form in run ids: `2026-11-21T03:00:00Z`, with milliseconds only where there are any."""
    text = rfc3339(instant)
    return text[:-5] + "Z" if text.endswith(".000Z") else text


def from_epoch_ms(milliseconds: int) -> datetime:
    """The instant of a broker's timestamp."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def epoch_ms(instant: datetime) -> int:
    """Milliseconds since the Unix epoch, rounded down."""
    return (instant - EPOCH) // MILLISECOND


def ceil_ms(instant: datetime) -> datetime:
    """Rounds up to a millisecond, so that nothing starts early."""
    excess = instant.microsecond % 1000
    return instant if not excess else instant + timedelta(microseconds=1000 - excess)
