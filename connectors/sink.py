"""Writes the records of `status` and `deadletter` into Postgres, exactly once: `python -m connectors.sink`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import confluent_kafka
import psycopg
import structlog
from confluent_kafka import KafkaException

from connectors.backoff import Backoff
from connectors.inbox import Inbox, open_inbox
from connectors.ledger import SUSPICIONS, Ledger, StaleOffsetsError, open_ledger
from connectors.migrate import warn_of_newer_release
from connectors.restores import watch_restores
from connectors.retention import apply_ttls
from connectors.settings import RetentionSettings, SinkSettings
from connectors.stopping import Stop, stop_on_signals
from connectors.topics import KafkaRefusedError, topic_ids
from connectors.writer import Writer
from schemas.cluster import DisagreementError, agreed
from schemas.cluster_record import settle
from schemas.logging import log_to_stderr
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.topics import DEADLETTER, SINK_TOPICS, STATUS
from schemas.unreadable import BatchUnknownError
from schemas.variables import check_variables

_FIRST_WAIT = timedelta(milliseconds=200)
_LONGEST_WAIT = timedelta(seconds=5)
_REST_FACTOR = 2
"""Rest this many times the length of the last write: on a busy machine the next batch is then larger, and only the last
record of each run is written."""
_LONGEST_REST = timedelta(milliseconds=100)

FAILED, REFUSED = 1, 2
"""Exit codes: FAILED for any error, REFUSED for a variable with an invalid value."""

_RETRIABLE = (StaleOffsetsError, BatchUnknownError)

log = structlog.get_logger()


def main() -> int:
    log_to_stderr()
    try:
        for warning in check_variables(os.environ):
            log.warning("unknown_variable", reason=warning)
        settings, retention = read(SinkSettings), read(RetentionSettings)
        connections, cluster = settle(read(Connections), confluent_kafka, SINK_TOPICS, with_runs=False)
        retention = agreed(retention, cluster)
    except (InvalidSettingsError, DisagreementError) as error:
        log.error("sink_failed", error=str(error))  # noqa: TRY400 - the sentence is enough
        return REFUSED if isinstance(error, InvalidSettingsError) else FAILED
    warn_of_newer_release(connections.postgres_dsn)
    _run_all(connections, settings, retention)
    return 0


def _run_all(connections: Connections, settings: SinkSettings, retention: RetentionSettings) -> None:
    stop = stop_on_signals()
    with ThreadPoolExecutor(2, "background") as threads:
        tasks = [
            threads.submit(_then_stop, lambda: apply_ttls(connections, retention, stop), stop),
            threads.submit(_then_stop, lambda: watch_restores(connections, stop), stop),
        ]
        try:
            run(connections, settings, stop)
        finally:
            stop.request()
    for task in tasks:
        task.result()


def _then_stop(task: Callable[[], None], stop: Stop) -> None:
    """Run a background task; if it raises, stop the sink, which then raises the error."""
    try:
        task()
    finally:
        stop.request()


def run(connections: Connections, settings: SinkSettings, stop: Stop) -> None:
    """Write until `stop` is requested; retry while Postgres or Kafka is unreachable, or another sink is ahead."""
    backoff = Backoff(first=_FIRST_WAIT, longest=_LONGEST_WAIT)
    sink = Sink(connections, settings)
    while not stop.requested:
        sink.has_written = False
        try:
            sink.run(stop)
        except (psycopg.OperationalError, *SUSPICIONS, KafkaException, KafkaRefusedError, *_RETRIABLE) as error:
            backoff = (backoff.succeeded() if sink.has_written else backoff).failed()
            log.warning("sink_interrupted", reason=str(error).strip(), again_in_seconds=backoff.delay.total_seconds())
            stop.wait(backoff.delay)


class Sink:
    """Each `run` opens one connection to Postgres and one to Kafka; the next one loads the offsets again."""

    __slots__ = ("_connections", "_settings", "_topics", "_writer", "has_written")

    def __init__(self, connections: Connections, settings: SinkSettings) -> None:
        self._connections = connections
        self._settings = settings
        status = connections.topic(STATUS)
        self._topics = [status, connections.topic(DEADLETTER)]
        self._writer = Writer(status)
        self.has_written = False

    def run(self, stop: Stop) -> None:
        ids = topic_ids(self._connections, self._topics)
        with open_ledger(self._connections.postgres_dsn, ids) as ledger, open_inbox(self._connections, "sink") as inbox:
            offsets = ledger.load_offsets(inbox.partitions(self._topics))
            inbox.read_from(offsets)
            log.info("sink_started", partitions=len(offsets), read_before=sum(offsets.values()))
            while not stop.requested:
                stop.wait(self._write_batch(ledger, inbox, ids))

    def _write_batch(self, ledger: Ledger, inbox: Inbox, ids: dict[str, str]) -> timedelta:
        """Returns how long to rest: after a full batch not at all, because there are more records."""
        limit = self._writer.batch_size(self._settings.sink_batch_records)
        records = inbox.take(limit)
        began = time.monotonic()
        if records:
            self._writer.write(ledger, records, ids)
            self.has_written = True
        took = timedelta(seconds=time.monotonic() - began)
        is_full = len(records) == limit
        return timedelta(0) if is_full else min(_REST_FACTOR * took, _LONGEST_REST)


if __name__ == "__main__":
    sys.exit(main())
