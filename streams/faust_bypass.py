"""Decides which topic partitions bypass Faust under load: their partition threads read them directly.

A record costs Faust 300 µs, and a partition thread that reads it 20 µs. Faust has less delay for a few records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

P = TypeVar("P")

MAX_FETCH_RECORDS = 256
"""Faust needs 80 ms for this many, and delivers nothing else meanwhile."""
MAX_CDC_FETCH_RECORDS = 64
"""Lower for `cdc`: a bulk change arrives in fetches of up to 200, which the general limit would let pass."""
FEW_RECORDS = 20
"""A check that finds no more than this counts as quiet."""
QUIET_CHECKS = 5
"""A bypass ends at a check that finds nothing, if the last five were quiet."""


class Bypass(Generic[P]):
    """Pure. `P` is a topic partition. A large fetch starts a bypass; checks of the topic's end keep it going."""

    __slots__ = ("_quiet_checks", "_skipped", "ends")

    def __init__(self) -> None:
        self.ends: dict[P, int] = {}
        """The partitions that bypass Faust, each with the offset before which Faust skips the records."""
        self._quiet_checks: dict[P, int] = {}
        """The number of quiet checks in a row."""
        self._skipped: dict[P, int] = {}
        """The last offset that Faust skipped, until it is applied."""

    def start(self, fetched: Mapping[P, Sequence[int]], limit: int) -> set[P]:
        """Bypass Faust for the largest partitions of a fetch, until at most `limit` records are left for Faust.

        `fetched`: offsets by partition.
        """
        left = sum(map(len, fetched.values()))
        started = set()
        for partition in sorted(fetched, key=lambda each: len(fetched[each]), reverse=True):
            if left <= limit:
                break
            left -= len(fetched[partition])
            self._skip(partition, fetched[partition][-1] + 1)
            started.add(partition)
        return started

    def check(self, ends: Mapping[P, int | None]) -> dict[P, int]:
        """The bypassing partitions with new records, each with its new end. Ends the bypass of a quiet partition.

        `ends`: of all assigned partitions; None: not known yet.
        """
        found = {}
        for partition in self.ends.keys() - ends.keys():
            del self.ends[partition], self._quiet_checks[partition]
        for partition, end in ends.items():
            if partition not in self.ends or end is None:
                continue
            new = end - self.ends[partition]
            self._quiet_checks[partition] = self._quiet_checks[partition] + 1 if new <= FEW_RECORDS else 0
            if new > 0:
                self._skip(partition, end)
                found[partition] = end
            elif self._quiet_checks[partition] >= QUIET_CHECKS:
                del self.ends[partition], self._quiet_checks[partition]
        return found

    def note_applied(self, partition: P, offset: int) -> bool:
        """Whether every record that Faust skipped is applied now: then Faust may commit that offset."""
        skipped = self._skipped.get(partition)
        if skipped is None or offset < skipped:
            return False
        del self._skipped[partition]
        return True

    def clear(self) -> None:
        """After a rebalance Faust fetches every uncommitted record again."""
        self.ends.clear()
        self._quiet_checks.clear()
        self._skipped.clear()

    def _skip(self, partition: P, end: int) -> None:
        self.ends[partition], self._skipped[partition] = end, end - 1
        self._quiet_checks.setdefault(partition, 0)
