"""The state machine of an attempt on an executor, as a table: claimed → fetching → started → running → ended."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    CLAIMED = "claimed"
    """The dispatch's offset is committed; the executor checks whether the executable is cached."""
    ANNOUNCED = "announced"
    """CLAIMED is sent, because something must be fetched first."""
    FETCHING = "fetching"
    STARTED = "started"
    """STARTED is sent."""
    SPAWNING = "spawning"
    """STARTED is acknowledged and the supervisor has the order to spawn."""
    RUNNING = "running"
    ENDED = "ended"


class Fact(Enum):
    """An input of the state machine."""

    CACHED = "cached"
    """The executable is in the cache, and everything else that the attempt needs is fetched."""
    ABSENT = "absent"
    """Something must be fetched, or S3 did not answer in time whether the cached executable is current."""
    ACKNOWLEDGED = "acknowledged"
    """Kafka acknowledged the last event."""
    LATE = "late"
    """The claim is void by now (protocol D4)."""
    FAILED = "failed"
    """The attempt cannot run; `Attempt.reason` says why."""
    SPAWNED = "spawned"
    EXITED = "exited"
    """The process ended, or the supervisor did not start it because its claim was void."""
    STOP_REQUESTED = "stop requested"
    """The attempt must end: its owner sent a kill, its lease expired, or the executor stops."""


class Act(Enum):
    """An action of the executor."""

    ANNOUNCE = "announce"
    FETCH = "fetch"
    START = "start"
    SPAWN = "spawn"
    NOTE = "note"
    """Log that the process started."""
    KILL = "kill"
    REPORT = "report"
    """Send ENDED with the exit that the supervisor reported."""
    GIVE_UP = "give up"
    """Send ENDED for an attempt that never starts."""
    REJECT = "reject"
    """Send REJECTED."""
    FORGET = "forget"
    """Send nothing: the owner counts the attempt as lost when its claim grace is over."""


TRANSITIONS: dict[tuple[Phase, Fact], tuple[Phase, Act]] = {
    (Phase.CLAIMED, Fact.CACHED): (Phase.STARTED, Act.START),
    (Phase.CLAIMED, Fact.ABSENT): (Phase.ANNOUNCED, Act.ANNOUNCE),
    (Phase.CLAIMED, Fact.LATE): (Phase.ENDED, Act.FORGET),
    (Phase.CLAIMED, Fact.FAILED): (Phase.ENDED, Act.REJECT),
    (Phase.CLAIMED, Fact.STOP_REQUESTED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.ANNOUNCED, Fact.ACKNOWLEDGED): (Phase.FETCHING, Act.FETCH),
    (Phase.ANNOUNCED, Fact.LATE): (Phase.ENDED, Act.GIVE_UP),
    (Phase.ANNOUNCED, Fact.STOP_REQUESTED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.FETCHING, Fact.CACHED): (Phase.STARTED, Act.START),
    (Phase.FETCHING, Fact.FAILED): (Phase.ENDED, Act.REJECT),
    (Phase.FETCHING, Fact.STOP_REQUESTED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.STARTED, Fact.ACKNOWLEDGED): (Phase.SPAWNING, Act.SPAWN),
    (Phase.STARTED, Fact.LATE): (Phase.ENDED, Act.GIVE_UP),
    (Phase.STARTED, Fact.FAILED): (Phase.ENDED, Act.REJECT),
    (Phase.STARTED, Fact.STOP_REQUESTED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.SPAWNING, Fact.SPAWNED): (Phase.RUNNING, Act.NOTE),
    (Phase.SPAWNING, Fact.EXITED): (Phase.ENDED, Act.GIVE_UP),
    (Phase.SPAWNING, Fact.FAILED): (Phase.ENDED, Act.REJECT),
    (Phase.SPAWNING, Fact.STOP_REQUESTED): (Phase.SPAWNING, Act.KILL),
    (Phase.RUNNING, Fact.EXITED): (Phase.ENDED, Act.REPORT),
    (Phase.RUNNING, Fact.FAILED): (Phase.ENDED, Act.REJECT),
    (Phase.RUNNING, Fact.STOP_REQUESTED): (Phase.RUNNING, Act.KILL),
}


def advance(phase: Phase, fact: Fact) -> tuple[Phase, Act | None]:
    """A fact that has no transition in this phase came too late: the phase stays, without an act."""
    return TRANSITIONS.get((phase, fact), (phase, None))
