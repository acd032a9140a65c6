"""How simulated processes go: as recorded ones went, drawn by a seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec
import psycopg

from schemas.dispatch import Dispatch
from schemas.ids import node_of_run
from schemas.words import AttemptEnd
from streams.core.schedule.jitter import share
from tidemill.queries import rows
from tidemill.simulate.forecast import Draw, Ending
from tidemill.target import Row

MOST_RECORDED = 10_000
"""So many attempts are read at most, the newest runs first."""
ASSUMED = Ending(takes=timedelta(seconds=1))
"""Without a recorded attempt."""

Recorded = Mapping[str | None, list[Ending]]
"""By node; None: of a job."""


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """What the draws come from."""

    recorded: Recorded
    takes: timedelta | None = None
    """Every process takes so long and succeeds; None: as recorded."""

    @property
    def count(self) -> int:
        return sum(len(each) for each in self.recorded.values())


def recorded(postgres: psycopg.Connection[Row], owner: str) -> Recorded:
    """The attempts whose processes ended by themselves or reached their limit."""
    found = defaultdict[str | None, list[Ending]](list)
    for row in rows(postgres, "recorded_attempts", {"owner": owner, "most": MOST_RECORDED}):
        is_cut = row["ended_as"] == AttemptEnd.TIMED_OUT.value
        takes = None if is_cut else max(row["takes"], timedelta(0))
        found[row["node_id"]].append(Ending(takes=takes, exit_code=row["exit_code"] or 0))
    return found


def draws(durations: Durations, seed: int) -> Draw:
    """The same run, attempt and seed draw the same, whatever the definition says, so that two forecasts compare."""

    def draw(dispatch: Dispatch) -> Ending:
        if durations.takes is not None:
            return Ending(takes=durations.takes)
        known = durations.recorded.get(node_of_run(dispatch.run_id))
        if not known:
            return ASSUMED
        return known[int(len(known) * share(str(seed), dispatch.run_id, str(dispatch.attempt)))]

    return draw


def seconds_of(endings: Iterable[Ending]) -> list[float]:
    """How long those took that ended by themselves, ascending."""
    return sorted(each.takes.total_seconds() for each in endings if each.takes is not None)
