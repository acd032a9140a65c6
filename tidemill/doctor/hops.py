"""The way of a run as hops between instants that were seen, and which of them is slow or broken: pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from tidemill.doctor.finding import Finding, bad, ok, warn

SLOW = timedelta(seconds=1)
"""A hop takes milliseconds; one that takes longer waits for something."""


class Mark(Enum):
    """What was seen of the probe run, in the order of its way; the instants are of the brokers' clock."""

    ACCEPTED = "the row in requests"
    CAPTURED = "the request in cdc"
    DISPATCHED = "the dispatch in runs"
    CLAIMED = "`claimed` in events"
    STARTED = "`started` in events"
    ENDED = "`ended` in events"
    JUDGED = "the end in status"
    SHOWN = "the end in the table runs"


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    who: str
    since: Mark
    until: Mark
    remedy: str


HOPS = (
    Hop(
        name="capture",
        who="Postgres, Debezium and Connect",
        since=Mark.ACCEPTED,
        until=Mark.CAPTURED,
        remedy="see the findings about the slot, the publication and the connector; "
        "is `python -m connectors.supervisor` running? It restarts what failed",
    ),
    Hop(
        name="decide",
        who="the stream worker",
        since=Mark.CAPTURED,
        until=Mark.DISPATCHED,
        remedy="does a stream worker hold the partition, and does its log say why it decides nothing? "
        "Without an executor for the class nothing is dispatched either",
    ),
    Hop(
        name="claim",
        who="an executor",
        since=Mark.DISPATCHED,
        until=Mark.CLAIMED,
        remedy="is an executor running that serves the class, has it free slots, and may it commit offsets?",
    ),
    Hop(
        name="fetch",
        who="S3 and the executor",
        since=Mark.CLAIMED,
        until=Mark.STARTED,
        remedy="can the machines of the executors reach S3, with keys that may read the bucket?",
    ),
    Hop(
        name="run",
        who="the process",
        since=Mark.STARTED,
        until=Mark.ENDED,
        remedy="the executor's log says what became of the process; may it write to its work_dir, and run files there?",
    ),
    Hop(
        name="judge",
        who="the stream worker",
        since=Mark.ENDED,
        until=Mark.JUDGED,
        remedy="does the stream worker read events? Its log says",
    ),
    Hop(
        name="show",
        who="the sink and Postgres",
        since=Mark.JUDGED,
        until=Mark.SHOWN,
        remedy="is `python -m connectors.sink` running, and can it write? Its log says",
    ),
)


class HopState(Enum):
    OK = "ok"
    SLOW = "slow"
    BROKEN = "broken"
    NOT_REACHED = "not reached"


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """A hop as the probe run went through it."""

    hop: str
    who: str
    since: str
    until: str
    took: timedelta | None
    state: HopState


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one probe run."""

    run_id: str
    marks: Mapping[Mark, datetime]
    succeeded: bool
    said: str | None = None
    """What the owner or the executor said last, if it was not success."""
    limit: timedelta
    """So long each hop was waited for."""


def timed(journey: Journey) -> list[Timed]:
    """Each hop once. After the broken one nothing is reached; what was passed unseen took no time."""
    marks = _seen(journey.marks)
    reached = max((list(Mark).index(each) for each in marks), default=-1)
    return [_timed(hop, marks, reached) for hop in HOPS]


def _seen(marks: Mapping[Mark, datetime]) -> dict[Mark, datetime]:
    """With the marks that were not left behind: CLAIMED is said only if the executable must be fetched."""
    seen: dict[Mark, datetime] = {}
    later: datetime | None = None
    for mark in reversed(Mark):
        later = marks.get(mark, later)
        if later is not None:
            seen[mark] = later
    return seen


def _timed(hop: Hop, marks: Mapping[Mark, datetime], reached: int) -> Timed:
    took, state = None, HopState.NOT_REACHED
    if hop.until in marks:
        # Clocks of two machines agree to some milliseconds only.
        took = max(marks[hop.until] - marks[hop.since], timedelta(0))
        state = HopState.SLOW if took > SLOW else HopState.OK
    elif list(Mark).index(hop.since) == reached:
        state = HopState.BROKEN
    return Timed(hop=hop.name, who=hop.who, since=hop.since.value, until=hop.until.value, took=took, state=state)


def findings(journey: Journey) -> list[Finding]:
    """The broken hop, or the slow ones; else that all of it works."""
    hops = timed(journey)
    found = [_finding(hop, each, journey) for hop, each in zip(HOPS, hops, strict=True)]
    worse = [each for each in found if each is not None]
    if worse:
        return worse
    if not journey.succeeded:
        said = journey.said or "without a reason"
        return [bad("probe.result", f"the probe run {journey.run_id} did not succeed: {said}", HOPS[4].remedy)]
    total = journey.marks[Mark.SHOWN] - journey.marks[Mark.ACCEPTED]
    return [ok("probe.result", f"a run went all the way in {total.total_seconds():.3f} s")]


def _finding(hop: Hop, timed: Timed, journey: Journey) -> Finding | None:
    name = f"hop.{hop.name}"
    match timed.state:
        case HopState.BROKEN:
            why = journey.said or f"{hop.until.value} did not come within {journey.limit.total_seconds():g} s"
            return bad(name, f"the way breaks off at {hop.who}: {why}", hop.remedy)
        case HopState.SLOW:
            assert timed.took is not None
            return warn(
                name,
                f"{hop.who} took {timed.took.total_seconds():.1f} s until {hop.until.value}; milliseconds are usual",
                hop.remedy,
            )
        case HopState.OK | HopState.NOT_REACHED:
            return None
