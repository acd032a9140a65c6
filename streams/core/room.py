"""How much one transaction may hold. Each loop over state asks here before its next item.

Work that does not fit stays queued and continues in the next transaction (protocol O6).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

EFFECTS_OF_A_RUN = 3
"""A run that is due at once has three effects: put as queued, put as dispatched, send the dispatch."""
MICROSECONDS_OF_AN_EFFECT = 40
"""To decide and encode one effect, as measured."""
MICROSECONDS_OF_A_RECORD = 30
"""To read one record, in addition to `BYTES_A_MICROSECOND`."""
BYTES_A_MICROSECOND = 100
MICROSECONDS_OF_A_DEFINITION = 50
"""To read and compare one definition, and to find its first occurrence."""
MICROSECONDS_OF_A_CHECK = 2
"""To check an item that needs no work, such as a stale heap entry."""
MICROSECONDS_OF_A_SEARCH = 10
"""To find one occurrence of a schedule with a cached calendar."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one transaction. They are checked before an item, so the last item may exceed them."""

    effects: int = EFFECTS_OF_A_RUN * 1_600
    """At most 5,000 (protocol O6): enough for 1,600 runs that are queued and dispatched at once."""
    nodes: int = 1_600
    """Nodes of DAG runs that it starts, stops, ends without a start, or forgets; the effects of each must fit too."""
    payload_bytes: int = 16 * 1024 * 1024
    """Bytes of payloads and results in all its dispatches; the last dispatch may exceed it. Keeps transactions short
    for executors that wait."""
    bytes: int = 32 * 1024 * 1024
    """Bytes of payloads, results, outputs and definitions that it writes."""
    work_us: int = 200_000
    """Estimated microseconds of CPU, the same on every machine. A longer step would look like a stall."""
    slice_us: int = 20_000
    """The part of `work_us` that definitions, and requests, may use before each tick, so that due work does not wait
    longer. The partitions of a worker share one CPU core, so up to eight slices may run in between."""


@dataclass(slots=True, kw_only=True)
class TransactionRoom:
    """What the current transaction has used and may still use; each transaction starts with a new one."""

    bounds: Bounds
    effects: int = 0
    """Used so far."""
    bytes: int = 0
    """Used so far."""
    work_us: int = 0
    """Used since the last `Owner.prepare` (streams/owner/owner.py), without the cost of effects."""
    payload_room: int = field(init=False)
    """Bytes of payloads and results that its dispatches may still carry."""
    nodes_room: int = field(init=False)
    """Nodes of DAG runs that it may still start, stop, pass over or forget."""
    is_waited_for: bool = False
    """An executor waits for one of its dispatches, because its window is less than half full."""

    is_for_one: bool = False
    """The current work is one item that was checked to fit, so `is_full` stays false."""

    def __post_init__(self) -> None:
        self.payload_room, self.nodes_room = self.bounds.payload_bytes, self.bounds.nodes

    @property
    def spent_us(self) -> int:
        """The cost of the work since the last `Owner.prepare` and of all effects."""
        return self.effects * MICROSECONDS_OF_AN_EFFECT + self.work_us

    @property
    def is_full(self) -> bool:
        return self._is_beyond(1) and not self.is_for_one

    @property
    def is_half_full(self) -> bool:
        """The second half is reserved for the clock."""
        return self._is_beyond(2)

    @property
    def is_used_up(self) -> bool:
        """Work may wait for the next transaction, so commit this one without waiting for more."""
        return self.is_half_full or self.payload_room <= 0 or self.nodes_room <= 0

    def fits(self, effects: int) -> bool:
        """Whether that many effects fit together. An empty transaction accepts any number."""
        return effects == 0 or self.effects == 0 or self.effects + effects <= self.bounds.effects

    def effects_limit_of_runs(self) -> int:
        """The number of effects at which a tick stops making runs, so that their dispatches fit too."""
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
