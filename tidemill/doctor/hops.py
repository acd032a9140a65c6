"""Splits the path of the probe run into hops between observed instants, and finds slow and broken hops. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from tidemill.doctor.finding import Finding, bad, ok, warn

SLOW = timedelta(seconds=1)
"""A healthy hop takes milliseconds; a slower one waits for something."""


class Mark(Enum):
    """Points that the probe run passes, in order; their instants are by the brokers' clock."""

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
        "check that `python -m connectors.supervisor` runs: it restarts what failed",
    ),
    Hop(
        name="decide",
        who="the stream worker",
        since=Mark.CAPTURED,
        until=Mark.DISPATCHED,
        remedy="check that a stream worker holds the partition, and see its log; "
        "without an executor for the class, nothing is dispatched either",
    ),
    Hop(
        name="claim",
        who="an executor",
        since=Mark.DISPATCHED,
        until=Mark.CLAIMED,
        remedy="check that an executor of the class runs, has free slots, and may commit offsets",
    ),
    Hop(
        name="fetch",
        who="S3 and the executor",
        since=Mark.CLAIMED,
        until=Mark.STARTED,
        remedy="check that the executors' machines can reach S3, and that their keys may read the bucket",
    ),
    Hop(
        name="run",
        who="the process",
        since=Mark.STARTED,
        until=Mark.ENDED,
        remedy="see the executor's log; check that it may write to its work_dir and execute files there",
    ),
    Hop(
        name="judge",
        who="the stream worker",
        since=Mark.ENDED,
        until=Mark.JUDGED,
        remedy="check in the stream worker's log that it reads events",
    ),
    Hop(
        name="show",
        who="the sink and Postgres",
        since=Mark.JUDGED,
        until=Mark.SHOWN,
        remedy="check in the log of `python -m connectors.sink` that it runs and can write",
    ),
)


class HopState(Enum):
    OK = "ok"
    SLOW = "slow"
    BROKEN = "broken"
    NOT_REACHED = "not reached"


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """A hop with the time that the probe run took."""

    hop: str
    who: str
    since: str
    until: str
    took: timedelta | None
    state: HopState


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """The observations of one probe run."""

    run_id: str
    marks: Mapping[Mark, datetime]
    succeeded: bool
    said: str | None = None
    """The last error that the stream worker or the executor reported."""
    limit: timedelta
    """The longest wait for each hop."""


def timed(journey: Journey) -> list[Timed]:
    """Each hop once. Hops after the broken one are not reached; a hop with an unseen mark took no time."""
    marks = _seen(journey.marks)
    reached = max((list(Mark).index(each) for each in marks), default=-1)
    return [_timed(hop, marks, reached) for hop in HOPS]


def _seen(marks: Mapping[Mark, datetime]) -> dict[Mark, datetime]:
    """Add marks that were passed unseen: CLAIMED is reported only if the executable must be fetched."""
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
        # The clocks of two machines can differ by some milliseconds.
        took = max(marks[hop.until] - marks[hop.since], timedelta(0))
        state = HopState.SLOW if took > SLOW else HopState.OK
    elif list(Mark).index(hop.since) == reached:
        state = HopState.BROKEN
    return Timed(hop=hop.name, who=hop.who, since=hop.since.value, until=hop.until.value, took=took, state=state)


def findings(journey: Journey) -> list[Finding]:
    """The broken hop, or the slow hops; otherwise one ok finding."""
    hops = timed(journey)
    found = [_finding(hop, each, journey) for hop, each in zip(HOPS, hops, strict=True)]
    worse = [each for each in found if each is not None]
    if worse:
        return worse
    if not journey.succeeded:
        said = journey.said or "without a reason"
        return [bad("probe.result", f"the probe run {journey.run_id} did not succeed: {said}", HOPS[4].remedy)]
    total = journey.marks[Mark.SHOWN] - journey.marks[Mark.ACCEPTED]
    return [ok("probe.result", f"the probe run passed every hop in {total.total_seconds():.3f} s")]


def _finding(hop: Hop, timed: Timed, journey: Journey) -> Finding | None:
    name = f"hop.{hop.name}"
    match timed.state:
        case HopState.BROKEN:
            why = journey.said or f"{hop.until.value} did not come within {journey.limit.total_seconds():g} s"
            return bad(name, f"the probe run stopped at {hop.who}: {why}", hop.remedy)
        case HopState.SLOW:
            assert timed.took is not None
            return warn(
                name,
                f"{hop.who} took {timed.took.total_seconds():.1f} s until {hop.until.value}; normal is milliseconds",
                hop.remedy,
            )
        case HopState.OK | HopState.NOT_REACHED:
            return None
