"""Detects that Postgres was restored from a backup: its next version is not above the applied ones (protocol I10)."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from connectors.owner_clocks import Seen
from connectors.statements import sql


def note_restore(postgres: psycopg.Connection, clocks: Mapping[int, Seen]) -> bool:
    """Whether this call detects a restore. Read the clocks first: Postgres gave the versions applied there before."""
    applied = max((each.clock.newest_version for each in clocks.values()), default=0)
    row = postgres.execute(sql("note_restore"), {"applied": applied}).fetchone()
    return bool(row and row[0])
