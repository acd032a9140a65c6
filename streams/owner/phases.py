"""The phases of a session as one table: take over, run, fail, back off, end (protocol O3, O4, O5)."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    PREPARING = "preparing"
    """Read `state` ahead while the earlier owner may still decide: only the rest of it is read after the fencing."""
    CHECKING = "checking"
    """Ask right before fencing whether the partition is assigned to this worker: a thawed worker must not fence the
    rightful owner (protocol O4)."""
    RECOVERING = "recovering"
    """`init_transactions`, then read `state` to its end."""
    RUNNING = "running"
    """Step and commit, through rebalances too: authority is the producer's epoch, not the group (protocol O5)."""
    BACKING_OFF = "backing_off"
    GONE = "gone"


class Outcome(Enum):
    """How a phase ends."""

    PREPARED = "prepared"
    HELD = "held"
    NOT_HELD = "not_held"
    UNDECIDED = "undecided"
    """The group is between two assignments."""
    RECOVERED = "recovered"
    FAILED = "failed"
    """Any error of the log, a fencing and an unknown outcome included: the memory is discarded (protocol O3)."""
    WAITED = "waited"
    UNASSIGNED = "unassigned"


_NEXT: dict[tuple[Phase, Outcome], Phase] = {
    (Phase.PREPARING, Outcome.PREPARED): Phase.CHECKING,
    (Phase.PREPARING, Outcome.FAILED): Phase.BACKING_OFF,
    (Phase.CHECKING, Outcome.HELD): Phase.RECOVERING,
    (Phase.CHECKING, Outcome.NOT_HELD): Phase.GONE,
    (Phase.CHECKING, Outcome.UNDECIDED): Phase.BACKING_OFF,
    (Phase.CHECKING, Outcome.FAILED): Phase.BACKING_OFF,
    (Phase.RECOVERING, Outcome.RECOVERED): Phase.RUNNING,
    (Phase.RECOVERING, Outcome.FAILED): Phase.BACKING_OFF,
    (Phase.RUNNING, Outcome.FAILED): Phase.BACKING_OFF,
    (Phase.BACKING_OFF, Outcome.WAITED): Phase.PREPARING,
}


def next_phase(phase: Phase, outcome: Outcome) -> Phase:
    """`UNASSIGNED` ends every phase; any other pair that is not in the table is a bug."""
    return Phase.GONE if outcome is Outcome.UNASSIGNED else _NEXT[phase, outcome]
