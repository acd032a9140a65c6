"""Sinks: the real batches and the real ledger, over simulated brokers and a simulated Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connectors.batch import Batch, collect
from connectors.ledger import Ledger, StaleOffsetsError
from connectors.record import PartitionId, Record
from schemas.topics import DEADLETTER, STATUS
from tests.simulation.things.brokers import Log
from tests.simulation.things.postgres import Postgres
from tests.simulation.things.world import Process

if TYPE_CHECKING:
    from tests.simulation.things.deployment import Deployment

TOPICS = (STATUS, DEADLETTER)
BATCH = 60
WRITE_SECONDS = 0.05
REST_SECONDS = 2.0


class Sink(Process):
    """One session after another. A batch is written some time after it was read, so a frozen sink writes late."""

    def __init__(self, deployment: Deployment, name: str) -> None:
        super().__init__(deployment.world, name)
        self._deployment = deployment
        self._positions: dict[PartitionId, int] = {}
        self._is_busy = False
        self.freezes_at_write = 0.0
        """It is frozen for so many seconds right before its next write, and another sink starts."""
        self._ledger: Ledger | None = None
        self._ids: dict[str, str] = {}

    def start(self) -> None:
        """Open a session: load the offsets."""
        brokers, partitions = self._deployment.brokers, self._deployment.partitions
        self._ids = {topic: brokers.topic_id(topic) for topic in TOPICS}
        connection: Any = self._deployment.sinks.postgres.connect()
        self._ledger = Ledger(connection, self._ids)
        where = [(topic, number) for topic in TOPICS for number in range(partitions)]
        self._positions = self._ledger.load_offsets(where)
        self._is_busy = False
        self.notice()

    def notice(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self.after(REST_SECONDS, self._read)

    def _read(self) -> None:
        if self.is_cut_off or self._deployment.brokers.are_down:
            self.after(1.0, self._read)
            return
        records = self._take()
        if not records:
            self._is_busy = False
            return
        self.after(WRITE_SECONDS, self._write, collect(records, STATUS, self._ids))
        if self.freezes_at_write:
            self.freeze(self.freezes_at_write)
            self.freezes_at_write = 0.0
            self.world.after(2.0, self._deployment.sinks.start_another)

    def _take(self) -> list[Record]:
        found: list[Record] = []
        for (topic, number), start in self._positions.items():
            log = self._deployment.brokers.log(topic, number)
            for each in log.read(start, log.stable_end(), BATCH):
                headers = dict(each.headers)
                key = each.key.encode()
                found.append(
                    Record(
                        topic=topic,
                        partition=number,
                        offset=each.offset,
                        at=each.at,
                        key=key,
                        value=each.value,
                        headers=headers,
                    )
                )
        return found

    def _write(self, batch: Batch) -> None:
        assert self._ledger is not None
        try:
            self._ledger.write(batch)
        except StaleOffsetsError:
            self.world.note(self.name, "is a zombie: another sink has moved the offsets")
            self.world.coverage["sink", "stale offsets"] += 1
            self.after(1.0, self.start)
            return
        self.world.coverage["sink", "batch written"] += 1
        self._positions |= batch.ends
        self._is_busy = False
        self.notice()


class Sinks:
    """The sinks of a deployment; normally one."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.postgres = Postgres()
        self.running: list[Sink] = []

    def start(self) -> None:
        for topic in TOPICS:
            self._deployment.brokers.listeners[topic].append(self._notice)
        self.start_another()

    def start_another(self) -> None:
        """A new process. The old one may be dead, or frozen and wake up later."""
        sink = Sink(self._deployment, f"sink-{len(self.running)}")
        self.running.append(sink)
        sink.start()

    def _notice(self, _: Log) -> None:
        for each in self.running:
            if each.is_alive:
                each.notice()
