"""The life of an attempt on an executor, as a table: claimed → fetching → started → running → ended."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    CLAIMED = "claimed"
    """Its offset is committed; whether its executable is cached is being looked up."""
    ANNOUNCED = "announced"
    """CLAIMED is sent, because the executable must be fetched."""
    FETCHING = "fetching"
    STARTED = "started"
    """STARTED is sent."""
    SPAWNING = "spawning"
    """STARTED is acknowledged and the supervisor has the order."""
    RUNNING = "running"
    ENDED = "ended"


class Fact(Enum):
    """What happens to an attempt."""

    CACHED = "cached"
    """The executable is at hand."""
    ABSENT = "absent"
    """The executable must be fetched, or S3 did not say in time whether it must be."""
    ACKNOWLEDGED = "acknowledged"
    """The event that was sent last is in the log."""
    LATE = "late"
    """The same, but the claim is void by now (protocol D4)."""
    FAILED = "failed"
    """The attempt cannot be run; there is a sentence that says why."""
    SPAWNED = "spawned"
    EXITED = "exited"
    """The process is gone, or the supervisor did not start it because its claim was void."""
    CONDEMNED = "condemned"
    """It must end: its owner says so, or the executor ends and does not wait any longer."""


class Act(Enum):
    """What the executor does about it."""

    ANNOUNCE = "announce"
    FETCH = "fetch"
    START = "start"
    SPAWN = "spawn"
    NOTE = "note"
    """Remember when the process really started."""
    KILL = "kill"
    REPORT = "report"
    """Send ENDED with what the supervisor said."""
    GIVE_UP = "give up"
    """Send ENDED for an attempt that will never be started."""
    REJECT = "reject"
    FORGET = "forget"
    """Say nothing: the owner judges the silence."""


MOVES: dict[tuple[Phase, Fact], tuple[Phase, Act]] = {
    (Phase.CLAIMED, Fact.CACHED): (Phase.STARTED, Act.START),
    (Phase.CLAIMED, Fact.ABSENT): (Phase.ANNOUNCED, Act.ANNOUNCE),
    (Phase.CLAIMED, Fact.LATE): (Phase.ENDED, Act.FORGET),
    (Phase.CLAIMED, Fact.FAILED): (Phase.ENDED, Act.REJECT),
    (Phase.CLAIMED, Fact.CONDEMNED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.ANNOUNCED, Fact.ACKNOWLEDGED): (Phase.FETCHING, Act.FETCH),
    (Phase.ANNOUNCED, Fact.LATE): (Phase.ENDED, Act.GIVE_UP),
    (Phase.ANNOUNCED, Fact.CONDEMNED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.FETCHING, Fact.CACHED): (Phase.STARTED, Act.START),
    (Phase.FETCHING, Fact.FAILED): (Phase.ENDED, Act.REJECT),
    (Phase.FETCHING, Fact.CONDEMNED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.STARTED, Fact.ACKNOWLEDGED): (Phase.SPAWNING, Act.SPAWN),
    (Phase.STARTED, Fact.LATE): (Phase.ENDED, Act.GIVE_UP),
    (Phase.STARTED, Fact.FAILED): (Phase.ENDED, Act.REJECT),
    (Phase.STARTED, Fact.CONDEMNED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.SPAWNING, Fact.SPAWNED): (Phase.RUNNING, Act.NOTE),
    (Phase.SPAWNING, Fact.EXITED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.SPAWNING, Fact.FAILED): (Phase.ENDED, Act.REJECT),
    (Phase.SPAWNING, Fact.CONDEMNED): (Phase.SPAWNING, Act.KILL),
    (Phase.RUNNING, Fact.EXITED): (Phase.ENDED, Act.REPORT),
    (Phase.RUNNING, Fact.CONDEMNED): (Phase.RUNNING, Act.KILL),
}


def advance(phase: Phase, fact: Fact) -> tuple[Phase, Act | None]:
    """A fact that the table does not know in this phase comes late, and changes nothing."""
    return MOVES.get((phase, fact), (phase, None))
