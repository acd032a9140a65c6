"""Records that are polled but not claimed yet, and which of them are claimed next (protocol D2, D3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from schemas.dispatch import Dispatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    partition: int
    offset: int
    appended_at: datetime
    dispatch: Dispatch | None
    """None for a record that could not be decoded: nobody can run it."""
    read: float
    """When it was polled (CLOCK_BOOTTIME)."""
    commit_sent: float | None = None
    """When its commit was first sent (CLOCK_BOOTTIME): a commit of unknown outcome may have succeeded."""


class ClaimDecision(Enum):
    RUN = "run"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    polled: Polled
    decision: ClaimDecision


def judge(polled: Polled, now: datetime) -> ClaimDecision:
    if polled.dispatch is None:
        return ClaimDecision.UNREADABLE
    return ClaimDecision.EXPIRED if polled.appended_at + polled.dispatch.valid_for < now else ClaimDecision.RUN


class Hand:
    """What one consumer holds of one class, in the order in which it was polled."""

    def __init__(self) -> None:
        self._records: deque[Polled] = deque()

    def __len__(self) -> int:
        return len(self._records)

    def add(self, polled: Polled) -> None:
        self._records.append(polled)

    def keep_only(self, partitions: Collection[int]) -> None:
        """What was polled from any other partition is no longer ours to claim."""
        self._records = deque(each for each in self._records if each.partition in partitions)

    def choose(self, free_slots: int, now: datetime) -> list[Chosen]:
        """The next records to claim: no more to run than there are slots. They stay in hand until `settle`."""
        chosen: list[Chosen] = []
        for polled in self._records:
            decision = judge(polled, now)
            if decision is ClaimDecision.RUN:
                if free_slots == 0:
                    break
                free_slots -= 1
            chosen.append(Chosen(polled=polled, decision=decision))
        return chosen

    def settle(self, chosen: Collection[Chosen], committed: Collection[int], sent: float) -> list[Chosen]:
        """After a commit that was sent then: returns what is claimed, i.e. what belongs to a committed partition.

        The rest stays in hand, and is claimed as of this moment if a later commit succeeds (protocol D4).
        """
        marked = deque(_mark(self._records.popleft(), sent) for _ in chosen)
        claimed = [
            replace(each, polled=polled)
            for each, polled in zip(chosen, marked, strict=True)
            if polled.partition in committed
        ]
        self._records.extendleft(reversed([polled for polled in marked if polled.partition not in committed]))
        return claimed


def offsets_after(chosen: Collection[Chosen]) -> Mapping[int, int]:
    """What to commit: per partition the offset after its last record."""
    return {each.polled.partition: each.polled.offset + 1 for each in chosen}


def _mark(polled: Polled, sent: float) -> Polled:
    return polled if polled.commit_sent is not None else replace(polled, commit_sent=sent)
