"""Chooses which of the polled records an executor claims next (protocol D2, D3, D7, D8)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from schemas.confinement import Capabilities, unmet
from schemas.dispatch import Dispatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    partition: int
    offset: int
    appended_at: datetime
    dispatch: Dispatch | None
    """None if the record cannot be decoded: no executor can run it."""
    read: float
    """When it was polled (CLOCK_BOOTTIME)."""
    commit_sent: float | None = None
    """When its commit was first sent (CLOCK_BOOTTIME): a commit of unknown outcome may have succeeded."""


class ClaimDecision(Enum):
    RUN = "run"
    EXPIRED = "expired"
    UNMET = "unmet"
    """It asks for more than this executor can give: its partition has moved here since its owner sent it."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    polled: Polled
    decision: ClaimDecision
    unmet: str | None = None
    """For `UNMET`: what the executor cannot give."""


def judge(polled: Polled, now: datetime, given: Capabilities) -> Chosen:
    dispatch = polled.dispatch
    if dispatch is None:
        return Chosen(polled=polled, decision=ClaimDecision.UNREADABLE)
    if polled.appended_at + dispatch.valid_for < now:
        return Chosen(polled=polled, decision=ClaimDecision.EXPIRED)
    if dispatch.confinement and (why := unmet(dispatch.confinement, given)):
        return Chosen(polled=polled, decision=ClaimDecision.UNMET, unmet=why)
    return Chosen(polled=polled, decision=ClaimDecision.RUN)


class PolledRecords:
    """The records that a class's consumer has polled and not claimed, in the order in which it polled them."""

    def __init__(self, given: Capabilities) -> None:
        """`given`: what this executor can give to attempts."""
        self._given = given
        self._records: deque[Polled] = deque()
        self._latest: dict[int, int] = {}
        """By partition: the highest token polled since it was assigned. Tokens only grow (protocol L5)."""

    def __len__(self) -> int:
        return len(self._records)

    def add(self, polled: Polled) -> bool:
        """False: the client has returned it before, and it may be claimed already (protocol D8)."""
        if polled.dispatch is not None:
            if polled.dispatch.token <= self._latest.get(polled.partition, -1):
                return False
            self._latest[polled.partition] = polled.dispatch.token
        self._records.append(polled)
        return True

    def keep_only(self, partitions: Collection[int]) -> None:
        """Drop the records of all other partitions: this executor may no longer claim them."""
        self._records = deque(each for each in self._records if each.partition in partitions)
        self._latest = {each: token for each, token in self._latest.items() if each in partitions}

    def below(self, committed: Mapping[int, int]) -> list[Polled]:
        """The records below the committed offsets: they are claimed (protocol D8)."""
        return [each for each in self._records if each.offset < committed.get(each.partition, 0)]

    def drop(self, records: Collection[Polled]) -> None:
        gone = {(each.partition, each.offset) for each in records}
        self._records = deque(each for each in self._records if (each.partition, each.offset) not in gone)

    def choose(self, free_slots: int, now: datetime) -> list[Chosen]:
        """The next records to claim: at most `free_slots` of them to run. They stay here until `settle`."""
        chosen: list[Chosen] = []
        for polled in self._records:
            judged = judge(polled, now, self._given)
            if judged.decision is ClaimDecision.RUN:
                if free_slots == 0:
                    break
                free_slots -= 1
            chosen.append(judged)
        return chosen

    def settle(self, chosen: Collection[Chosen], committed: Collection[int], sent: float) -> list[Chosen]:
        """After a commit: remove and return the claimed records, i.e. those of the committed partitions.

        The others stay here. They keep `sent`, the time of this commit, because this commit may have succeeded: a later
        commit that succeeds claims them from `sent` on (protocol D4).
        """
        dated = deque(_with_sent(self._records.popleft(), sent) for _ in chosen)
        claimed = [
            replace(each, polled=polled)
            for each, polled in zip(chosen, dated, strict=True)
            if polled.partition in committed
        ]
        self._records.extendleft(reversed([polled for polled in dated if polled.partition not in committed]))
        return claimed


def offsets_after(chosen: Collection[Chosen]) -> Mapping[int, int]:
    """The offsets to commit: for each partition the offset after its last record."""
    return {each.polled.partition: each.polled.offset + 1 for each in chosen}


def _with_sent(polled: Polled, sent: float) -> Polled:
    return polled if polled.commit_sent is not None else replace(polled, commit_sent=sent)
