"""Reads `status` from the saved offsets on, folds it, and saves what it knows now and then."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import structlog
from confluent_kafka import KafkaException

from connectors.backoff import Backoff
from connectors.inbox import Inbox, open_inbox
from connectors.metrics.exposition import Exposition
from connectors.metrics.fold import Fold, Partition, fold, forget_runs, skip_batch
from connectors.metrics.snapshot import load_snapshot, names_of, restore, save, snapshot_of
from connectors.offsets import NoOffsetsError
from connectors.record import PartitionId, Record
from connectors.stopping import Stop
from connectors.topics import KafkaRefusedError, topic_ids
from observe.health import Health
from schemas.settings import Connections
from schemas.topics import STATUS
from schemas.unreadable import BatchUnknownError

GROUP = "metrics"
BATCH_RECORDS = 1_000
LOOP_LIMIT = timedelta(minutes=5)
"""Longer than a batch, a save of a million open runs, the longest pause, and a search for the end of a silent batch,
which waits for the brokers up to forty times for 5 s."""
SAVE_SECONDS = 30.0
_SAVE_SHARE = 100
"""Between two saves is at least so many times the length of the last one: saving costs at most 1 % of a core."""
_FIRST_WAIT = timedelta(milliseconds=200)
_LONGEST_WAIT = timedelta(seconds=5)

log = structlog.get_logger()


def run(connections: Connections, reader: Reader, health: Health, stop: Stop) -> None:
    """Count until `stop` is requested; try again while Kafka is unreachable."""
    backoff, loop = Backoff(first=_FIRST_WAIT, longest=_LONGEST_WAIT), health.loop("status", LOOP_LIMIT)
    while not stop.requested:
        loop.turn()
        try:
            with open_inbox(connections, GROUP) as inbox:
                reader.open(inbox)
                while not stop.requested:
                    loop.turn()
                    if reader.turn(inbox):
                        health.ready()
                    backoff = backoff.succeeded()
        except (KafkaException, KafkaRefusedError, NoOffsetsError, BatchUnknownError) as error:
            backoff = backoff.failed()
            health.not_ready(str(error))
            log.warning("metrics_interrupted", reason=str(error), again_in_seconds=backoff.delay.total_seconds())
            stop.wait(backoff.delay)
    health.leave()
    reader.save()


class Reader:
    """The fold, the topic that it reads, and the folder in which it is saved."""

    def __init__(self, connections: Connections, state: Fold, exposition: Exposition, folder: Path | None) -> None:
        self._connections, self._state, self._exposition, self._folder = connections, state, exposition, folder
        self._topic = connections.topic(STATUS)
        self._topic_id: str | None = None
        self._ends: dict[PartitionId, int] = {}
        """The ends of the partitions when the inbox was opened, as far as they are not reached."""
        self._names = names_of(state)
        self._next_save = time.monotonic() + SAVE_SECONDS
        self._saved_at: dict[int, int] = {}

    def open(self, inbox: Inbox) -> None:
        """Read on from what is known; at first, from what was saved."""
        topic_id = topic_ids(self._connections, [self._topic])[self._topic]
        partitions = inbox.partitions([self._topic])
        ranges = {each: inbox.offset_range(each) for each in partitions}
        with self._exposition.lock:
            if self._topic_id is None:
                self._load(topic_id)
            elif self._topic_id != topic_id:
                self._forget_topic()
            self._topic_id = topic_id
            for (_, number), (begin, end) in ranges.items():
                self._place(number, begin, end)
        self._ends = {each: end for each, (_, end) in ranges.items()}
        inbox.read_from({each: self._state.partitions[each[1]].next_offset for each in partitions})
        known = sum(len(each.runs) for each in self._state.partitions.values())
        log.info("metrics_started", partitions=len(partitions), open_runs=known)

    def turn(self, inbox: Inbox) -> bool:
        """Fold the next records. True: all records are folded that there were when the inbox was opened."""
        records = inbox.take(BATCH_RECORDS)
        with self._exposition.lock:
            self._fold(records)
            self._save_new_names()
            self._ends = {each: end for each, end in self._ends.items() if inbox.reached(each) < end}
            self._exposition.lag = inbox.lag()
        is_complete = not self._ends
        if time.monotonic() >= self._next_save or (is_complete and not self._exposition.is_complete):
            self.save()  # also before the first figures are shown: a kill soon after the first start loses nothing
        self._exposition.is_complete |= is_complete
        return is_complete

    def save(self) -> None:
        """Only this thread changes the fold, so scrapes go on meanwhile."""
        offsets = {number: each.next_offset for number, each in self._state.partitions.items()}
        if self._folder is None or self._topic_id is None or offsets == self._saved_at:
            self._next_save = time.monotonic() + SAVE_SECONDS
            return
        began = time.monotonic()
        try:
            save(self._folder, snapshot_of(self._state, self._topic_id))
            self._saved_at = offsets
        except OSError as error:
            log.warning("metrics_not_saved", reason=f"{self._folder}: {error}: the next save tries again")
        ended = time.monotonic()
        self._next_save = ended + max(SAVE_SECONDS, _SAVE_SHARE * (ended - began))

    def _fold(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.unreadable is not None:
                log.warning("records_unreadable", reason=record.unreadable.said_of(STATUS))
                skip_batch(self._state, record.partition, record.offset)
            else:
                fold(self._state, record.partition, record.offset, record.key, record.value)

    def _load(self, topic_id: str) -> None:
        saved = load_snapshot(self._folder) if self._folder else None
        if saved:
            restore(self._state, saved, topic_id)

    def _forget_topic(self) -> None:
        log.warning("topic_replaced", reason="the topic `status` was made anew: counting goes on from now")
        for partition in self._state.partitions.values():
            forget_runs(self._state, partition)
        self._state.partitions.clear()

    def _place(self, number: int, begin: int, end: int) -> None:
        """Where to read on. A partition that is new here, or is shorter than before, is read for its open runs only."""
        partition = self._state.partitions.get(number)
        if partition is not None and partition.next_offset <= end:
            partition.next_offset = max(partition.next_offset, begin)
            return
        if partition is not None:
            log.warning("records_lost", reason=f"partition {number} of `status` ends before what was counted")
            forget_runs(self._state, partition)
        self._state.partitions[number] = Partition(next_offset=begin, counts_from=end)

    def _save_new_names(self) -> None:
        """Before a figure with a new name is shown."""
        if (len(self._state.tenants), len(self._state.jobs)) == (len(self._names.tenants), len(self._names.jobs)):
            return
        self._names = names_of(self._state)
        if self._folder is not None:
            try:
                save(self._folder, self._names)
            except OSError as error:
                log.warning("metrics_not_saved", reason=f"{self._folder}: {error}")
