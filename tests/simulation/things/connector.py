"""The Debezium connector: it copies rows to `cdc` at least once, in order, and can send a snapshot."""

from __future__ import annotations

from schemas.partition import partition_of
from schemas.topics import CDC
from tests.simulation.things.brokers import Brokers
from tests.simulation.things.database import Database, DefinitionRow
from tests.simulation.things.world import Process, World

POLL_SECONDS = 0.3


class Connector(Process):
    def __init__(self, world: World, database: Database, brokers: Brokers, partitions: int) -> None:
        super().__init__(world, "connector")
        self._database, self._brokers, self._partitions = database, brokers, partitions
        self._position = 0
        """The next row to send."""
        self.appended: dict[int, float] = {}
        """Version -> when it was first in `cdc`."""

    def go_back(self, rows: int) -> None:
        """A restart: the last rows whose offset was not stored are sent again."""
        self.world.note(self.name, f"sends its last {rows} rows again")
        self._position = max(0, self._position - rows)
        self.notice()

    def snapshot(self) -> None:
        """The slot is lost: first all definitions, then all requests, are sent again."""
        self.world.note(self.name, "sends a new snapshot")
        rows = self._database.captured[: self._position]
        for each in sorted(rows, key=lambda row: not isinstance(row[2], DefinitionRow)):
            self._send(each)

    def notice(self) -> None:
        """A row was committed."""
        self.after(POLL_SECONDS * (0.2 + self.world.random.random()), self._poll)

    def _poll(self) -> None:
        if self._brokers.are_down or self.is_cut_off:
            self.after(1.0, self._poll)
            return
        while self._position < len(self._database.captured):
            self._send(self._database.captured[self._position])
            self._position += 1

    def _send(self, row: tuple[str, bytes, object]) -> None:
        owner, value, known = row
        if isinstance(known, DefinitionRow):
            self.appended.setdefault(known.version, self.world.now)
        self._brokers.append(CDC, partition_of(owner, self._partitions), owner, value)
