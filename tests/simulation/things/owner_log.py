"""The log of one owner: what `streams/owner_log.py` does with Kafka, over simulated brokers."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.ids import RunId
from schemas.times import epoch_ms
from schemas.topics import CONTROL, DEADLETTER, EXECUTORS, STATE, STATUS, runs_topic
from streams.forward import MARK
from streams.owner.records import Forwarding, InRecord, Transaction
from streams.owner.replay import Entry
from streams.owner.session_calls import Chunk, LogFailedError, Read
from tests.simulation.things import brokers as b
from tests.simulation.things.clock import SimulatedClock
from tests.simulation.things.executor_group import ExecutorGroup
from tests.simulation.things.releases import as_written
from tests.simulation.things.world import Process

SETTLED_KEY = "settled"
NOT_SETTLED = "topic {} still has an open transaction"


class OwnerLog:
    """One per owner: a failure makes a new one."""

    def __init__(
        self,
        worker: Process,
        partition: int,
        partitions: int,
        brokers: b.Brokers,
        groups: Mapping[str, ExecutorGroup],
        clock: SimulatedClock,
        release: str,
    ) -> None:
        self._worker, self._partition, self._partitions = worker, partition, partitions
        self._brokers, self._groups, self._clock, self._release = brokers, groups, clock, release
        self._producer = f"owner-{partition}"
        self._epoch = 0

    def check_reachable(self) -> None:
        if self._brokers.are_down or self._worker.is_cut_off:
            raise LogFailedError("no broker answers")

    def prepare(self) -> None:
        if not self._clock.wait_until_known(0):
            raise LogFailedError("the time is not known")

    def fence(self) -> None:
        self._epoch = self._brokers.fence(self._producer)

    def settle(self) -> None:
        topics = [*map(runs_topic, self._groups), CONTROL, DEADLETTER, STATUS, STATE]
        transaction = self._begin()
        for topic in topics:
            self._log(topic).append(SETTLED_KEY, None, (), self._now(), transaction)
        self._end(transaction)
        for topic in topics:
            if self._log(topic).undecided:
                raise LogFailedError(NOT_SETTLED.format(topic))

    def read_state(self, after: int) -> list[Entry]:
        log = self._log(STATE)
        return [(each.offset, each.key, each.value) for each in log.read(after + 1, log.stable_end())]

    def unclaimed(self) -> dict[RunId, tuple[int, int]]:
        found: dict[RunId, tuple[int, int]] = {}
        for name, below in self.claimed_below().items():
            log = self._log(runs_topic(name))
            for stored in log.read(below, log.stable_end()):
                if stored.headers:
                    found[RunId(stored.key)] = (int(stored.headers[0][1]), stored.offset)
        return found

    def claimed_below(self) -> dict[str, int]:
        return {
            name: max(self._log(runs_topic(name)).first, group.committed[self._partition])
            for name, group in self._groups.items()
        }

    def ends_of_executors(self) -> dict[int, int]:
        return {each: self._brokers.log(EXECUTORS, each).stable_end() for each in range(self._partitions)}

    def read(self, wanted: Read) -> Chunk:
        log = self._log(wanted.topic)
        end = self.end_of(log)
        end = end if wanted.until is None else min(wanted.until, end)
        found = log.read(max(wanted.after + 1, log.first), end, wanted.records)
        through = found[-1].offset if len(found) == wanted.records else end - 1
        records = tuple(in_record(wanted.topic, each) for each in found)
        return Chunk(records=records, first=log.first, through=through, end=end)

    def end_of(self, log: b.Log) -> int:
        return log.stable_end()

    def begin_commit(self, transaction: Transaction) -> tuple[b.Transaction, dict[RunId, tuple[int, int]]]:
        """Send the records; nobody sees them before `end_commit`."""
        begun, at = self._begin(), self._now()
        dispatches: dict[RunId, tuple[int, int]] = {}
        for record in transaction.records:
            headers = record.headers
            if record.dispatch:
                headers = (("token", str(record.dispatch[1]).encode()), *headers)
            value = as_written(record.value, self._release)
            stored = self._log(record.topic).append(record.key, value, headers, at, begun)
            if record.dispatch:
                dispatches[record.dispatch[0]] = record.dispatch[1], stored.offset
        return begun, dispatches

    def end_commit(self, begun: b.Transaction, sent: float) -> None:
        self._end(begun)
        appended_ms = epoch_ms(self._now())
        self._clock.observe(sent=sent, acknowledged=self._worker.world.boot(), appended_ms=appended_ms)

    def forward(self, records: tuple[Forwarding, ...]) -> None:
        for each in records:
            header = (MARK, each.found_at.encode())
            self._brokers.append(each.topic, each.partition, each.key, each.value, (header,))

    def _begin(self) -> b.Transaction:
        begun = self._brokers.begin(self._producer, self._epoch)
        if begun is None:
            raise LogFailedError("a later owner has fenced this one")
        return begun

    def _end(self, begun: b.Transaction) -> None:
        if not self._brokers.end(begun, self._epoch):
            raise LogFailedError("a later owner has fenced this one")

    def _log(self, topic: str) -> b.Log:
        return self._brokers.log(topic, self._partition)

    def _now(self):
        return self._brokers.append_time(self._partition)


def in_record(topic: str, stored: b.Stored) -> InRecord:
    is_forwarded = any(name == MARK for name, _ in stored.headers)
    return InRecord(
        topic=topic,
        offset=stored.offset,
        key=stored.key.encode(),
        value=stored.value,
        appended_at=stored.at,
        is_forwarded=is_forwarded,
    )
