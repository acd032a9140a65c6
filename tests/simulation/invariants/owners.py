"""Owners keep their bounds, leave partitions that they do not hold, never crash, and dispatch within windows."""

from __future__ import annotations

from connectors.owner_clocks import OwnerClock
from executors.windows import MOST_AHEAD
from schemas.codec import decode
from schemas.digest import DefinitionDigest, digest_of
from schemas.dispatch import Dispatch
from schemas.reasons import ProblemCode
from schemas.topics import STATE
from tests.simulation.history import History


def check_bounds(history: History) -> list[str]:
    """No step and no transaction is above its room of effects, bytes and work (protocol O6)."""
    return history.deployment.gauge.above


def check_fences(history: History) -> list[str]:
    """No worker fences an owner whose partition it does not hold (protocol O4)."""
    return [
        f"{worker} fences partition {partition} at {at:.1f} s, but another worker has held it for some time"
        for at, partition, worker, is_foreign in history.deployment.witness.fences
        if is_foreign
    ]


def check_definitions(history: History) -> list[str]:
    """In the end, the digests of all owners are that of the newest versions in the database (protocol I11)."""
    clocks = {
        commit.partition: record.value
        for commit in history.deployment.witness.commits
        for record in commit.transaction.records
        if record.topic == STATE and record.key == "clock" and record.value is not None
    }
    held = DefinitionDigest()
    for value in clocks.values():
        held = held.joined(decode(value, OwnerClock).digest or DefinitionDigest())
    newest = {row.owner: row for row in history.deployment.database.definitions}
    wanted = digest_of(row.version for row in newest.values() if row.spec is not None)
    return [] if held == wanted else [f"the owners hold {held.count} definitions, the database has {wanted.count}"]


def check_crashes(history: History) -> list[str]:
    broken = [
        f"{status.run_id}: {attempt.reason}"
        for status in history.last.values()
        for attempt in status.attempts
        if attempt.reason and "error in the executor" in attempt.reason
    ]
    return broken + [
        f"{worker} ended with an error: {type(error).__name__}: {error}"
        for worker, error in history.deployment.witness.crashes
    ]


def check_windows(history: History) -> list[str]:
    """Unfinished dispatches stay within the largest windows that executors can announce (protocol D1).

    Twice as many, because what a former holder or a dead executor has does not count against a window.
    """
    problems: list[str] = []
    deployment = history.deployment
    for partition, dispatches in enumerate(history.dispatches):
        ends = {
            (status.run_id, attempt.token): at
            for at, status in history.by_partition[partition]
            for attempt in status.attempts
            if attempt.end is not None
        }
        for name, slots in deployment.slots.items():
            most = 2 * MOST_AHEAD * slots * len(deployment.executors) + deployment.core.probe_window
            problems += _too_many([each for each in dispatches if each[1].timeout_class == name], ends, most)
    return problems


def _too_many(dispatches: list[tuple[float, Dispatch]], ends: dict[tuple[str, int], float], most: int) -> list[str]:
    unfinished: list[float] = []
    for at, dispatch in dispatches:
        unfinished = [end for end in unfinished if end > at]
        unfinished.append(ends.get((dispatch.run_id, dispatch.token), float("inf")))
        if len(unfinished) > most:
            return [f"{len(unfinished)} dispatches were unfinished at {at:.1f} s, at most {most} may be"]
    return []


def check_defects(history: History) -> list[str]:
    """The core fails on no record and no job, but on those that are made to fail."""
    bad = (ProblemCode.RECORD_FAILED, ProblemCode.QUARANTINED, ProblemCode.INPUT_LOST)
    codes = {each.encode() for each in bad}
    return [
        f"a problem at {at:.1f} s: {headers['reason'].decode()}"
        for at, record in history.deployment.witness.problems()
        if (headers := dict(record.headers))["code"] in codes and b"landmine" not in headers["reason"]
    ]
