"""Each occurrence is decided exactly once: a second, simpler reading of the definitions says which ones there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.dag import DagSpec
from schemas.job import JobSpec
from schemas.status import RunStatus
from schemas.times import run_id_time
from schemas.words import RunKind
from tests.simulation.faults.defects import LANDMINE
from tests.simulation.history import History
from tests.simulation.plan import is_due
from tests.simulation.things.database import DefinitionRow

UNTIL_READ = timedelta(seconds=100)
"""A change in `cdc` is applied after this time at the latest, if its owner was there without a break: the owner reads
its inputs to their ends each minute, whatever is delivered. Until then the version before may decide."""
MINUTE = timedelta(minutes=1)


class Version(NamedTuple):
    row: DefinitionRow
    until: datetime
    """When the next version was written."""
    read_by: datetime
    """Until then, the version before may have decided."""

    @property
    def spec(self) -> JobSpec | DagSpec | None:
        return self.row.spec


def check(history: History) -> list[str]:
    rows: dict[str, list[DefinitionRow]] = defaultdict(list)
    for row in history.deployment.database.definitions:
        rows[row.owner].append(row)
    problems: list[str] = []
    for owner, versions in rows.items():
        if owner != LANDMINE:
            problems += _check_owner(history, owner, _with_ends(history, versions))
    return problems


def _with_ends(history: History, rows: list[DefinitionRow]) -> list[Version]:
    ends = [*(each.valid_from for each in rows[1:]), history.end]
    found = []
    for row, until in zip(rows, ends, strict=True):
        appended = history.deployment.connector.appended.get(row.version)
        read_by = history.at(appended) + UNTIL_READ if appended is not None else history.end
        found.append(Version(row, until, read_by))
    return found


def _check_owner(history: History, owner: str, versions: list[Version]) -> list[str]:
    decided, backfilled = _decided(history, owner), _backfilled(history, owner)
    problems: list[str] = []
    for at in _minutes(versions[0].row.valid_from, history.end - history.slack):
        count, first = decided.get(at, (0, None))
        what = f"occurrence {owner}@{run_id_time(at)}"
        if count > 1:
            problems.append(f"{what} was decided {count} times")
        current = next((each for each in reversed(versions) if each.row.valid_from < at), None)
        if current is None or any(each.row.valid_from < at <= each.read_by for each in versions):
            continue
        problems += _check_one(what, at, current, versions, first, is_decided=bool(count) or at in backfilled)
    return problems


def _check_one(
    what: str, at: datetime, current: Version, versions: list[Version], first: datetime | None, *, is_decided: bool
) -> list[str]:
    spec = current.spec
    if not _is_due(spec, at):
        return [f"{what} was decided, but version {current.row.version} does not have it"] if first else []
    assert spec is not None
    if not spec.paused:
        return [] if is_decided else [f"{what} was never decided, version {current.row.version} has it"]
    resumed = _resumed(current, versions)
    if first is not None and (resumed is None or first < resumed.row.valid_from):
        return [f"{what} was decided at {first:%H:%M:%S}, although the job was paused"]
    if resumed is not None and not is_decided and _is_due(resumed.spec, at):
        return [f"{what} lies in a pause that has ended, and was never decided"]
    return []


def _resumed(current: Version, versions: list[Version]) -> Version | None:
    """The version that ended the pause of `current`, or deleted the job or changed its schedule."""
    for each in versions[versions.index(current) + 1 :]:
        if each.spec is None or not each.spec.paused or each.spec.schedule != current.spec.schedule:
            return each
    return None


def _decided(history: History, owner: str) -> dict[datetime, tuple[int, datetime]]:
    """By nominal time: how often it was decided, and when first. Backfills decide nothing: they run it again."""
    found: dict[datetime, tuple[int, datetime]] = {}
    known: set[tuple[str, int]] = set()
    for status in history.of_owner(owner):
        creation = status.run_id, status.transitions[0].version
        is_scheduled = status.kind in (RunKind.SCHEDULED, RunKind.DAG) and "#" not in status.run_id
        if status.rerun_id is None and is_scheduled and creation not in known:
            known.add(creation)
            for at in _times(status, history):
                count, first = found.get(at, (0, status.transitions[0].at))
                found[at] = count + 1, min(first, status.transitions[0].at)
    return found


def _backfilled(history: History, owner: str) -> set[datetime]:
    """Occurrences of a pause that a backfill has run: the end of the pause does not run them again."""
    return {each.nominal_time for each in history.of_owner(owner) if each.kind is RunKind.BACKFILLED}


def _times(status: RunStatus, history: History) -> Iterator[datetime]:
    if status.missed is None:
        yield status.nominal_time
        return
    spec = history.spec_at(status.job_id, status.missed.first)
    for at in _minutes(status.missed.first - MINUTE, status.missed.last):
        if spec is None or _is_due(spec, at):
            yield at


def _minutes(after: datetime, until: datetime) -> Iterator[datetime]:
    at = after.replace(second=0, microsecond=0) + MINUTE
    while at <= until:
        yield at
        at += MINUTE


def _is_due(spec: JobSpec | DagSpec | None, at: datetime) -> bool:
    return spec is not None and is_due(spec.schedule, at)
