"""Nothing runs early, and what is due is decided in time while everything is well (protocol T1)."""

from __future__ import annotations

from schemas.words import RunKind
from tests.simulation.history import History
from tests.simulation.things.world import START_SECONDS

EARLY_SECONDS = 2.5
"""Clocks agree if they differ by at most 2 s."""
CALM_SECONDS = 5.0
HANDED_OVER_SECONDS, AT_ONCE_SECONDS = 4.0, 1.0
"""So long after a planned stop, an occurrence is decided within this time."""


def check_not_early(history: History) -> list[str]:
    """A run is made at its scheduled time or later, and so is a record of missed occurrences."""
    problems: list[str] = []
    for partition in history.by_partition:
        seen: set[str] = set()
        for at, status in partition:
            if status.run_id in seen or status.rerun_id or "#" in status.run_id:
                continue
            seen.add(status.run_id)
            early = status.nominal_time.timestamp() - (START_SECONDS + at)
            if early > EARLY_SECONDS:
                problems.append(f"{status.run_id} was made {early:.0f} s before its time")
    return problems


def check_in_time(history: History) -> list[str]:
    """After everything is healed, occurrences are decided soon; during a planned stop at once (protocol O5)."""
    begin = History.at(history.deployment.healed_at)
    late: dict[str, str] = {}
    for status in history.statuses:
        took = (status.transitions[0].at - status.nominal_time).total_seconds()
        is_first = status.rerun_id is None and status.kind is RunKind.SCHEDULED
        due = status.nominal_time.timestamp() - START_SECONDS
        is_stopped = any(at <= due <= at + HANDED_OVER_SECONDS for at in history.deployment.planned_stops)
        if is_first and status.nominal_time > begin and took > (AT_ONCE_SECONDS if is_stopped else CALM_SECONDS):
            late[status.run_id] = f"{status.run_id} was made {took:.1f} s late, and nothing was wrong"
    return list(late.values())
