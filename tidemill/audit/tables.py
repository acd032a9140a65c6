"""Reads what an audit needs from Postgres: one job or DAG after the other, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import msgspec
import psycopg
from psycopg.rows import tuple_row

from tidemill.audit.calendar import Terms
from tidemill.audit.expected import Version
from tidemill.audit.findings import Again, Finding, Found, Lateness, Tally
from tidemill.audit.matching import Record, Span, match
from tidemill.queries import rows, text
from tidemill.target import Row

MOST = 1_000
"""So many findings of each kind are listed; more are not read."""
CHUNK = 5_000
TOLERANCE = timedelta(milliseconds=100)
"""Times of an attempt come from an executor, others from an owner: their cluster clocks differ by less."""
_SERIAL = frozenset({"skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other"})


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit looks at."""

    span: Span
    owner: str | None = None
    tenant: str | None = None

    @property
    def values(self) -> dict[str, Any]:
        return {"begin": self.span.after, "end": self.span.until, "owner": self.owner, "tenant": self.tenant}


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    versions: list[Version]
    records: list[Record]


def horizon(postgres: psycopg.Connection[Row]) -> tuple[datetime, datetime]:
    """From when on all rows and versions are kept, and the time of Postgres."""
    (row,) = rows(postgres, "audit_horizon")
    return row["earliest"], row["now"]


def occurrences(
    postgres: psycopg.Connection[Row], scope: Scope, tally: Tally, turn: Callable[[int], object]
) -> Iterator[Found]:
    """Match all occurrences; `turn` is called with the number of records that were read for each owner."""
    serial: list[str] = []
    for each in _owners(postgres, scope):
        tally.owners += 1
        if each.versions and all(version.serial for version in each.versions):
            serial.append(each.name)
        yield from match(each.name, each.versions, scope.span, each.records, tally)
        turn(len(each.records))
    yield from _overlaps(postgres, scope, serial)


def versions(postgres: psycopg.Connection[Row], scope: Scope) -> Iterator[tuple[str, list[Version]]]:
    """The versions of each job and DAG of the scope, the oldest first."""
    with postgres.transaction():
        for name, found in groupby(_stream(postgres, "audit_versions", scope), key=lambda row: str(row[0])):
            mine = [_version(row) for row in found]
            if _is_in(scope, mine):
                yield name, [version for version, _ in mine]


def others(postgres: psycopg.Connection[Row], scope: Scope) -> Iterator[Found]:
    """Requests without a run, nodes without a run, and histories that contradict themselves."""
    values = scope.values | {"most": MOST, "tolerance": TOLERANCE}
    for row in rows(postgres, "audit_requests", values):
        sentence = f"the request {row['request_id']} has neither a run nor a problem"
        yield Found(finding=Finding.MISSING, owner=row["owner"], first=row["created_at"], sentence=sentence)
    for row in rows(postgres, "audit_nodes", values):
        sentence = f"{row['run_id']} ended, and its node {row['node_id']} has neither a run nor a reason"
        yield Found(
            finding=Finding.MISSING,
            owner=row["owner"],
            run_id=f"{row['run_id']}/{row['node_id']}",
            first=row["nominal_time"],
            versions=(row["version"],),
            sentence=sentence,
        )
    for row in rows(postgres, "audit_stories", values):
        yield Found(
            finding=Finding(row["finding"]),
            owner=row["owner"],
            run_id=row["run_id"],
            first=row["nominal_time"],
            sentence=f"{row['run_id']}: {row['sentence']}",
        )


def again(postgres: psycopg.Connection[Row], scope: Scope) -> list[Again]:
    """What was executed again after a lost lease."""
    return [msgspec.convert(row, Again) for row in rows(postgres, "audit_again", scope.values | {"most": MOST})]


def count(postgres: psycopg.Connection[Row], scope: Scope, tally: Tally) -> Lateness | None:
    """How late occurrences started; None: none did. Adds the other counts to the tally."""
    (row,) = rows(postgres, "audit_counts", scope.values)
    tally.nodes, tally.requests, tally.attempts = row["nodes"], row["requests"], int(row["attempts"] or 0)
    if row["p50"] is None:
        return None
    return Lateness(p50=row["p50"], p95=row["p95"], p99=row["p99"], max=row["max"])


def _overlaps(postgres: psycopg.Connection[Row], scope: Scope, serial: list[str]) -> Iterator[Found]:
    values = scope.values | {"owners": serial, "most": MOST, "tolerance": TOLERANCE}
    for row in rows(postgres, "audit_overlaps", values) if serial else ():
        yield Found(
            finding=Finding.OVERLAPPING,
            owner=row["owner"],
            run_id=row["run_id"],
            first=row["nominal_time"],
            sentence=f"{row['run_id']} started at {row['started_at']:%H:%M:%S.%f}, and a run before it ran "
            f"until {row['busy_until']:%H:%M:%S.%f}; the one that started last before it is {row['other']}",
        )


def _owners(postgres: psycopg.Connection[Row], scope: Scope) -> Iterator[Owner]:
    """Merges two streams in the order of owners. An owner may be in one of them alone."""
    with postgres.transaction():
        versions = groupby(_stream(postgres, "audit_versions", scope), key=lambda row: str(row[0]))
        records = groupby(_stream(postgres, "audit_occurrences", scope), key=lambda row: str(row[0]))
        written, recorded = next(versions, None), next(records, None)
        while written or recorded:
            name = min(each[0] for each in (written, recorded) if each)
            mine = [_version(row) for row in written[1]] if written and written[0] == name else []
            rows_of = [_record(row) for row in recorded[1]] if recorded and recorded[0] == name else []
            if _is_in(scope, mine):
                yield Owner(name=name, versions=[version for version, _ in mine], records=rows_of)
            written = next(versions, None) if mine else written
            recorded = next(records, None) if rows_of else recorded


def _is_in(scope: Scope, versions: list[tuple[Version, str | None]]) -> bool:
    """Whether the newest version that has a tenant is one of the asked tenant."""
    tenants = [tenant for _, tenant in versions if tenant is not None]
    return scope.tenant is None or (tenants[-1:] == [scope.tenant])


def _stream(postgres: psycopg.Connection[Row], query: str, scope: Scope) -> Iterator[tuple[Any, ...]]:
    with postgres.cursor(query, row_factory=tuple_row) as cursor:
        cursor.itersize = CHUNK
        cursor.execute(text(query), scope.values)
        yield from cursor


def _version(row: tuple[Any, ...]) -> tuple[Version, str | None]:
    _, number, valid_from, deleted, tenant, schedule, timezone, gap, fold, starts_at, ends_at, paused, policy, limit = (
        row
    )
    is_due = not deleted and schedule is not None
    version = Version(
        number=number,
        valid_from=valid_from,
        terms=Terms(schedule, timezone, gap, fold, starts_at, ends_at) if is_due else None,
        paused=bool(paused),
        serial=policy in _SERIAL or limit == 1,
    )
    return version, tenant


def _record(row: tuple[Any, ...]) -> Record:
    _, run_id, at, state, code, last, number, at_least = row
    return Record(
        run_id=run_id,
        at=at,
        state=state,
        reason_code=code,
        last=last,
        count=number or 1,
        at_least=bool(at_least),
    )
