"""What the holder of a partition does next: take over, fail, give up, as one table (protocol O3, O4, O5)."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    PREPARING = "preparing"
    """Read `state` ahead, while its owner may still decide: after the fencing only the rest of it is read."""
    ASKING = "asking"
    """Is the partition ours? Asked right before fencing, so that a thawed worker fences nobody (protocol O4)."""
    RECOVERING = "recovering"
    """`init_transactions`, read `state` to its end."""
    RUNNING = "running"
    """Steps and commits, through rebalances too: authority is the producer's epoch, not the group (protocol O5)."""
    BACKING_OFF = "backing_off"
    GONE = "gone"


class Happening(Enum):
    PREPARED = "prepared"
    HELD = "held"
    NOT_HELD = "not_held"
    UNDECIDED = "undecided"
    """The group is between two assignments."""
    RECOVERED = "recovered"
    FAILED = "failed"
    """Any error of the log, a fencing and an unknown outcome included: memory is thrown away (protocol O3)."""
    WAITED = "waited"
    UNASSIGNED = "unassigned"


_NEXT: dict[tuple[Phase, Happening], Phase] = {
    (Phase.PREPARING, Happening.PREPARED): Phase.ASKING,
    (Phase.PREPARING, Happening.FAILED): Phase.BACKING_OFF,
    (Phase.ASKING, Happening.HELD): Phase.RECOVERING,
    (Phase.ASKING, Happening.NOT_HELD): Phase.GONE,
    (Phase.ASKING, Happening.UNDECIDED): Phase.BACKING_OFF,
    (Phase.ASKING, Happening.FAILED): Phase.BACKING_OFF,
    (Phase.RECOVERING, Happening.RECOVERED): Phase.RUNNING,
    (Phase.RECOVERING, Happening.FAILED): Phase.BACKING_OFF,
    (Phase.RUNNING, Happening.FAILED): Phase.BACKING_OFF,
    (Phase.BACKING_OFF, Happening.WAITED): Phase.PREPARING,
}


def next_phase(phase: Phase, happening: Happening) -> Phase:
    """Being unassigned ends every phase; any other pair that is not in the table is a bug."""
    return Phase.GONE if happening is Happening.UNASSIGNED else _NEXT[phase, happening]
