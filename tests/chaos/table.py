"""The table of faults: how often each was injected, what is promised, and what was measured. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

import msgspec

from tests.chaos.log import Happened

BEGIN, END = "<!-- the table of faults: make chaos -->", "<!-- end of the table of faults -->"
PAGE = Path("docs/reliability.md")
WORKER_SECONDS, LOST_SECONDS, LEADER_SECONDS = 7.0, 15.0, 10.0
"""The next dispatch after a worker's death; lost runs again (a lease of 12 s, and 3 s); the gap without a leader."""
PROMISED = {
    "workers: kill": f"the next dispatch within {WORKER_SECONDS:g} s",
    "executors: kill": f"lost runs run again within {LOST_SECONDS:g} s",
    "brokers: kill": f"no run is called lost, and no gap is longer than {LEADER_SECONDS:g} s",
}
LIMITS = {"workers: kill": WORKER_SECONDS, "executors: kill": LOST_SECONDS, "brokers: kill": LEADER_SECONDS}
ALWAYS = "nothing is lost, early or twice"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a fault without others caused."""

    fault: Happened
    seconds: float
    """Until the next dispatch, or until lost runs ran again, or of the longest gap."""
    lost: int = 0
    """Attempts that were called lost."""

    @property
    def holds(self) -> bool:
        return self.seconds <= LIMITS[self.fault.fault] and not self.lost


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of a whole run."""

    seed: int
    minutes: float
    counts: dict[str, int]
    """Violations by kind, as the judge counts them."""
    explained: int
    """Executions after a lost lease."""
    looked_at: str
    """One sentence of the judge."""
    audited: str
    happened: Sequence[Happened]
    measured: Sequence[Measured]

    @property
    def broken(self) -> int:
        return sum(self.counts.values())


def table(outcome: Outcome) -> str:
    return "\n".join(_lines(outcome))


def write(outcome: Outcome, page: Path = PAGE) -> None:
    """Between the two markers."""
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{table(outcome)}\n{END}{rest.split(END)[1]}")


def _lines(outcome: Outcome) -> Iterator[str]:
    yield f"{outcome.minutes:g} minutes with seed {outcome.seed}. {outcome.looked_at}"
    yield ""
    yield "| fault | times | promised | measured |"
    yield "|---|---|---|---|"
    for fault, happened in sorted(_by_fault(outcome.happened).items()):
        mine = [each for each in outcome.measured if each.fault.fault == fault]
        yield f"| {fault} | {len(happened)} | {PROMISED.get(fault, ALWAYS)} | {_measured(happened, mine)} |"
    yield ""
    counts = ", ".join(f"{kind} {count}" for kind, count in outcome.counts.items())
    yield f"The judge counts: {counts}; {outcome.explained} DOUBLE that a lost lease explains. {outcome.audited}"


def _by_fault(happened: Iterable[Happened]) -> dict[str, list[Happened]]:
    found: dict[str, list[Happened]] = defaultdict(list)
    for each in happened:
        if each.left_out is None:
            found[each.fault].append(each)
    return found


def _measured(happened: Sequence[Happened], mine: Sequence[Measured]) -> str:
    if mine:
        seconds = ", ".join(f"{each.seconds:.1f} s" for each in mine)
        lost = sum(each.lost for each in mine)
        called = f"; {lost} called lost" if mine[0].fault.fault == "brokers: kill" else ""
        late = "" if all(each.holds for each in mine) else " (longer than promised)"
        return f"alone: {seconds}{called}{late}"
    lasted = [(each.until - each.at).total_seconds() for each in happened]
    return f"healed, and its target back, after {median(lasted):.0f} s (median)"
