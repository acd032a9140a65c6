"""Who asked for what happened to a run: facts of an explanation, from the audit log."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import psycopg

from tidemill.changes import asker
from tidemill.explain.telling import Explanation, Fact, newest_first
from tidemill.queries import rows
from tidemill.target import Row

_DID = {
    "run": "asked for it",
    "cancel": "asked to cancel it",
    "terminate": "asked to terminate it",
    "rerun": "asked to run it again",
    "mark": "marked it",
    "backfill": "asked for this backfill",
}


def with_askers(
    postgres: psycopg.Connection[Row], told: Explanation, owner: str, request_ids: Iterable[str | None]
) -> Explanation:
    values = {"owner": owner, "run_id": told.about, "request_ids": [each for each in request_ids if each]}
    asked = [_fact(each) for each in rows(postgres, "explain_askers", values)]
    return msgspec.structs.replace(told, facts=newest_first([*told.facts, *asked])) if asked else told


def _fact(row: Row) -> Fact:
    did = _DID.get(row["kind"], "asked for a change")
    return Fact(
        name="asked",
        sentence=f"{asker(row)} {did}, by {row['door']}, with request {row['request_id']}",
        at=row["at"],
        data={name: row[name] for name in ("login", "actor", "door", "request_id", "kind")},
    )
