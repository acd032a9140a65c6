"""What one transaction may hold, and what it has room for still: whatever loops over state asks here before it goes on.

What finds no room stays where it is and goes on in the next transaction (protocol O6).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

EFFECTS_OF_A_RUN = 3
"""A run that is due at once is put when it is queued and when it is dispatched, and the dispatch is sent."""
MICROSECONDS_OF_AN_EFFECT = 40
"""To decide it and to encode it, as measured."""
MICROSECONDS_OF_A_RECORD = 30
"""To read it, beside `BYTES_A_MICROSECOND`."""
BYTES_A_MICROSECOND = 100
MICROSECONDS_OF_A_DEFINITION = 50
"""To read it, to compare it and to find out when it is due first."""
MICROSECONDS_OF_A_CHECK = 2
"""At something of which nothing follows, such as the stale entry of a heap."""
MICROSECONDS_OF_A_SEARCH = 10
"""For an occurrence that a schedule is searched for, in the calendar as it was read before."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Of one transaction. Each is checked before an item, so that the last item may lie beyond it."""

    effects: int = EFFECTS_OF_A_RUN * 1_600
    """At most 5,000 (protocol O6): there is room for 1,600 runs that are queued and dispatched at once."""
    nodes: int = 1_600
    """Of DAG runs, that it starts, stops, passes over or forgets: what follows from each must fit it too."""
    handed: int = 16 * 1024 * 1024
    """Bytes of payloads and results in all its dispatches, and what the last one of them has beyond: an executor that
    waits for it is not kept waiting long."""
    bytes: int = 32 * 1024 * 1024
    """Of what is written again: payloads, results, outputs and definitions."""
    work_us: int = 200_000
    """Microseconds of CPU by a count that is the same on every machine: a step that takes longer looks like a stall."""
    slice_us: int = 20_000
    """Of that for definitions, and for requests, before the next look at the clock: what is due waits for no more of
    them. The partitions of a worker share one core, so that eight slices may come in between."""


@dataclass(slots=True, kw_only=True)
class TransactionRoom:
    """What the current transaction still has room for; each transaction begins with a new one."""

    bounds: Bounds
    effects: int = 0
    """Taken so far."""
    bytes: int = 0
    """Taken so far."""
    work_us: int = 0
    """Taken since `prepare` was called last, beside what effects cost."""
    handed_room: int = field(init=False)
    """Bytes of payloads and results that its dispatches may still carry."""
    nodes_room: int = field(init=False)
    """Nodes of DAG runs that it may still start, stop, pass over or forget."""
    is_waited_for: bool = False
    """One of its dispatches goes into a window that is less than half full: an executor waits for it."""

    is_for_one: bool = False
    """What is done now is one item: it was seen before that it fits."""

    def __post_init__(self) -> None:
        self.handed_room, self.nodes_room = self.bounds.handed, self.bounds.nodes

    @property
    def spent_us(self) -> int:
        """Work that was done since `prepare` was called last, and all effects."""
        return self.effects * MICROSECONDS_OF_AN_EFFECT + self.work_us

    @property
    def is_full(self) -> bool:
        return self._is_beyond(1) and not self.is_for_one

    @property
    def is_half_full(self) -> bool:
        """What is left is for the clock, however much others write."""
        return self._is_beyond(2)

    @property
    def is_used_up(self) -> bool:
        """Something may wait for the next transaction, so this one waits for nothing."""
        return self.is_half_full or self.handed_room <= 0 or self.nodes_room <= 0

    def fits(self, effects: int) -> bool:
        """Whether so many at once fit; in an empty transaction everything does."""
        return effects == 0 or self.effects == 0 or self.effects + effects <= self.bounds.effects

    def most_of_runs(self) -> int:
        """Effects at which a tick stops making runs, so that all that it has made can be dispatched as well."""
        return self.effects + max(1, (self.bounds.effects - self.effects) // EFFECTS_OF_A_RUN)

    def spend(self, *, effects: int = 0, bytes: int = 0, searched: int = 0, work_us: int = 0) -> None:  # noqa: A002
        self.effects += effects
        self.bytes += bytes
        self.work_us += searched * MICROSECONDS_OF_A_SEARCH + work_us

    def _is_beyond(self, share: int) -> bool:
        bounds = self.bounds
        return (
            self.effects * share >= bounds.effects
            or self.spent_us * share >= bounds.work_us
            or self.bytes * share >= bounds.bytes
        )
