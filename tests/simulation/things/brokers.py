"""Simulated brokers: logs with transactions, producer epochs, read_committed, compaction, retention, append times."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import Enum

from schemas.times import EPOCH, MILLISECOND
from tests.simulation.things.world import START_SECONDS, World

TRANSACTION_TIMEOUT = 10.0
"""The brokers abort a transaction that its producer leaves open for so long."""


class Stored:
    """One record in a log."""

    __slots__ = ("at", "decoded", "headers", "key", "offset", "transaction", "value")

    def __init__(
        self,
        offset: int,
        key: str,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...],
        at: datetime,
        transaction: Transaction | None,
    ) -> None:
        self.offset, self.key, self.value, self.headers, self.at = offset, key, value, headers, at
        self.transaction = transaction
        self.decoded: object = None
        """What a reader has decoded from it, so that each record is decoded once."""


class Fate(Enum):
    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


class Transaction:
    """Its records are visible once it is committed and its markers are written."""

    __slots__ = ("fate", "logs", "producer")

    def __init__(self, producer: str) -> None:
        self.producer, self.fate = producer, Fate.OPEN
        self.logs: list[Log] = []


class Log:
    """One partition of a topic."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic, self.partition = topic, partition
        self.records: list[Stored] = []
        self.offsets: list[int] = []
        self.end = 0
        """The high watermark."""
        self.first = 0
        self.undecided: dict[Transaction, int] = {}
        """Transactions without a marker in this log, with their first offsets here."""
        self.unmarked: dict[str, list[Transaction]] = {}
        """By producer: decided transactions whose marker was lost. The producer's next marker decides them too."""

    def append(
        self,
        key: str,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...],
        at: datetime,
        transaction: Transaction | None = None,
    ) -> Stored:
        stored = Stored(self.end, key, value, headers, at, transaction)
        if transaction is not None and self not in transaction.logs:
            transaction.logs.append(self)
            self.undecided[transaction] = self.end
        self.records.append(stored)
        self.offsets.append(self.end)
        self.end += 1
        return stored

    def mark(self, transaction: Transaction) -> None:
        """Write the marker: it takes an offset of its own."""
        self.end += 1
        for each in (transaction, *self.unmarked.pop(transaction.producer, ())):
            self.undecided.pop(each, None)

    def stable_end(self) -> int:
        """The read_committed end: nothing before it is undecided."""
        return min(self.undecided.values()) if self.undecided else self.end

    def read(self, start: int, end: int, limit: int = 1_000_000) -> list[Stored]:
        """The visible records in [start, end)."""
        found: list[Stored] = []
        for index in range(bisect_left(self.offsets, start), len(self.records)):
            stored = self.records[index]
            if stored.offset >= end or len(found) == limit:
                break
            if stored.transaction is None or stored.transaction.fate is Fate.COMMITTED:
                found.append(stored)
        return found

    def compact(self, keep_from: datetime) -> None:
        """Keep the last record of each key, before the first record that is undecided or younger than `keep_from`."""
        end = self.stable_end()
        latest = {each.key: each.offset for each in self.read(self.first, end)}
        limit = next((each.offset for each in self.records if each.offset >= end or each.at >= keep_from), end)
        self._keep(
            each
            for each in self.records
            if each.offset >= limit or (latest.get(each.key) == each.offset and each.value is not None)
        )

    def delete_before(self, at: datetime) -> None:
        """Retention by age: the start of the log moves."""
        index = 0
        while index < len(self.records) and self.records[index].at < at and self.offsets[index] < self.stable_end():
            index += 1
        if index:
            self.first = self.offsets[index - 1] + 1
            self._keep(self.records[index:])

    def _keep(self, records: Iterable[Stored]) -> None:
        self.records = list(records)
        self.offsets = [each.offset for each in self.records]


class Brokers:
    """All topics. `skews` are how far the clock of each broker is ahead of true time, in seconds."""

    def __init__(self, world: World, brokers: int) -> None:
        self.world, self.skews = world, [0.0] * brokers
        self.down_until = 0.0
        self.logs: dict[tuple[str, int], Log] = {}
        self.topic_generation: dict[str, int] = defaultdict(int)
        self.epochs: dict[str, int] = defaultdict(int)
        self.open: dict[str, Transaction] = {}
        """By producer: its open transaction."""
        self.lose_markers = 0
        """So many of the next commits get no marker in `state`."""
        self.listeners: dict[str, list[Callable[[Log], None]]] = defaultdict(list)
        """By topic: called after something has become visible, perhaps."""

    @property
    def are_down(self) -> bool:
        return self.down_until > self.world.now

    def log(self, topic: str, partition: int) -> Log:
        where = topic, partition
        found = self.logs.get(where)
        if found is None:
            found = self.logs[where] = Log(topic, partition)
        return found

    def topic_id(self, topic: str) -> str:
        return f"{topic}-{self.topic_generation[topic]}"

    def leader(self, partition: int) -> int:
        return partition % len(self.skews)

    def append_time(self, partition: int) -> datetime:
        """By the clock of the partition's leader, in milliseconds."""
        seconds = START_SECONDS + self.world.now + self.skews[self.leader(partition)]
        return EPOCH + int(seconds * 1000) * MILLISECOND

    def append(
        self, topic: str, partition: int, key: str, value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> Stored:
        """A record of a plain producer."""
        log = self.log(topic, partition)
        stored = log.append(key, value, headers, self.append_time(partition))
        self.tell(log)
        return stored

    def tell(self, log: Log) -> None:
        for listener in self.listeners[log.topic]:
            listener(log)

    # Transactions

    def fence(self, producer: str) -> int:
        """`init_transactions`: returns the new epoch; the open transaction of the earlier one is aborted."""
        self.epochs[producer] += 1
        self._abort(producer)
        return self.epochs[producer]

    def begin(self, producer: str, epoch: int) -> Transaction | None:
        """None: a later epoch has fenced this producer."""
        if self.epochs[producer] != epoch:
            return None
        transaction = self.open[producer] = Transaction(producer)
        self.world.after(TRANSACTION_TIMEOUT, self._time_out, transaction)
        return transaction

    def end(self, transaction: Transaction, epoch: int) -> bool:
        """Commit. False: it was aborted meanwhile, because it was fenced or took too long."""
        producer = transaction.producer
        if self.epochs[producer] != epoch or transaction.fate is not Fate.OPEN:
            return False
        del self.open[producer]
        transaction.fate = Fate.COMMITTED
        loses, self.lose_markers = self.lose_markers > 0, max(0, self.lose_markers - 1)
        for log in transaction.logs:
            if loses:
                log.unmarked.setdefault(producer, []).append(transaction)
            else:
                log.mark(transaction)
        for log in transaction.logs:
            self.tell(log)
        return True

    def _time_out(self, transaction: Transaction) -> None:
        if transaction.fate is Fate.OPEN:
            self.epochs[transaction.producer] += 1
            self._abort(transaction.producer)

    def _abort(self, producer: str) -> None:
        transaction = self.open.pop(producer, None)
        if transaction is not None:
            transaction.fate = Fate.ABORTED
            for log in transaction.logs:
                log.mark(transaction)
                self.tell(log)

    # Housekeeping

    def compact(self, topic: str, keep: timedelta) -> None:
        for (name, partition), log in self.logs.items():
            if name == topic:
                log.compact(self.append_time(partition) - keep)

    def delete_old(self, topic: str, keep: timedelta) -> None:
        for (name, partition), log in self.logs.items():
            if name == topic:
                log.delete_before(self.append_time(partition) - keep)

    def recreate(self, topic: str, partitions: int) -> None:
        """Somebody deletes a topic and makes it again, with another id."""
        self.topic_generation[topic] += 1
        for partition in range(partitions):
            self.logs[topic, partition] = Log(topic, partition)
