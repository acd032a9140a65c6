"""The fields of a request of kind `backfill`, named as the columns of `tidemill.requests`."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.words import Reprocess

MAX_OCCURRENCES = 10_000
"""The most occurrences of one backfill; the table has the same limit for those that have run (0011_backfills.sql)."""
MAX_ACTIVE_RUNS = 1_000


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """The occurrences with backfill_from <= nominal time < backfill_to."""

    backfill_from: datetime
    backfill_to: datetime
    reprocess: Reprocess
    max_active_runs: int
    run_backwards: bool
    """True: start with the newest occurrence."""
    dry_run: bool
    ran: dict[str, int | None]
    """The occurrences that are open or have had an attempt, by their time as in a run id, with the number of attempts
    that an occurrence has had; None: it does not run again.
    """
