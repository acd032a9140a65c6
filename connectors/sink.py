"""Writes `status` and `deadletter` into Postgres, each record's effect exactly once: `python -m connectors.sink`."""

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
_REST_SHARE = 2
"""After a write the sink rests so many times as long as it took: on a busy machine records gather, and of a run that is
over by then only the last is written."""
_LONGEST_REST = timedelta(milliseconds=100)

FAILED, REFUSED = 1, 2
"""Refused: a variable cannot be used."""

_LATER = (StaleOffsetsError, BatchUnknownError)

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
        log.error("sink_failed", error=str(error))  # noqa: TRY400 - the sentence says it, a traceback would not
        return REFUSED if isinstance(error, InvalidSettingsError) else FAILED
    warn_of_newer_release(connections.postgres_dsn)
    _run_all(connections, settings, retention)
    return 0


def _run_all(connections: Connections, settings: SinkSettings, retention: RetentionSettings) -> None:
    stop = stop_on_signals()
    with ThreadPoolExecutor(2, "beside") as beside:
        others = [
            beside.submit(_until_stopped, lambda: apply_ttls(connections, retention, stop), stop),
            beside.submit(_until_stopped, lambda: watch_restores(connections, stop), stop),
        ]
        try:
            run(connections, settings, stop)
        finally:
            stop.request()
    for each in others:
        each.result()


def _until_stopped(chore: Callable[[], None], stop: Stop) -> None:
    """A bug there ends the sink, and is raised by it."""
    try:
        chore()
    finally:
        stop.request()


def run(connections: Connections, settings: SinkSettings, stop: Stop) -> None:
    """Until `stop` is requested. Postgres or Kafka away, or another sink ahead, is no reason to end."""
    backoff = Backoff(first=_FIRST_WAIT, longest=_LONGEST_WAIT)
    sink = Sink(connections, settings)
    while not stop.requested:
        sink.has_written = False
        try:
            sink.run(stop)
        except (psycopg.OperationalError, *SUSPICIONS, KafkaException, KafkaRefusedError, *_LATER) as error:
            backoff = (backoff.succeeded() if sink.has_written else backoff).failed()
            log.warning("sink_interrupted", reason=str(error).strip(), again_in_seconds=backoff.delay.total_seconds())
            stop.wait(backoff.delay)


class Sink:
    """Each `run` is one connection to each side; whatever interrupts it, the next one reads the offsets anew."""

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
        with open_ledger(self._connections.postgres_dsn, ids) as ledger, open_inbox(self._connections) as inbox:
            offsets = ledger.load_offsets(inbox.partitions(self._topics))
            inbox.read_from(offsets)
            log.info("sink_started", partitions=len(offsets), read_before=sum(offsets.values()))
            while not stop.requested:
                stop.wait(self._turn(ledger, inbox, ids))

    def _turn(self, ledger: Ledger, inbox: Inbox, ids: dict[str, str]) -> timedelta:
        """Returns how long to rest; a full batch means that more is there."""
        most = self._writer.most(self._settings.sink_batch_records)
        records = inbox.take(most)
        began = time.monotonic()
        if records:
            self._writer.write(ledger, records, ids)
            self.has_written = True
        took = timedelta(seconds=time.monotonic() - began)
        is_full = len(records) == most
        return timedelta(0) if is_full else min(_REST_SHARE * took, _LONGEST_REST)


if __name__ == "__main__":
    sys.exit(main())
