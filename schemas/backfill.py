"""What a request of kind `backfill` asks for, under the names of its columns in `tidemill.requests`."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.words import Reprocess

MAX_OCCURRENCES = 10_000
"""Of one backfill; the table says the same of what has run (tables/0011_backfills.sql)."""
MAX_ACTIVE_RUNS = 1_000


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """The occurrences with backfill_from <= nominal time < backfill_to."""

    backfill_from: datetime
    backfill_to: datetime
    reprocess: Reprocess
    max_active_runs: int
    run_backwards: bool
    """The newest first."""
    dry_run: bool
    ran: dict[str, int | None]
    """What the read model knows of occurrences that are open or have had an attempt, by their time as in a run id: how
    many attempts one that runs again has had; None: it is left alone.
    """
