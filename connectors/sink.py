"""Writes the records of `status` and `deadletter` into Postgres, exactly once: `python -m connectors.sink`."""

from __future__ import annotations

import os
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
from connectors.reconciler import Reconciler, watch_definitions
from connectors.retention import apply_ttls
from connectors.settings import RetentionSettings, SinkSettings, SourceSettings
from connectors.sink_metrics import SinkMetrics
from connectors.stopping import Stop, leave_when_requested, stop_on_signals
from connectors.topics import KafkaRefusedError, topic_ids
from connectors.writer import Writer
from observe.health import Health
from observe.leave import leave
from observe.process import describe_process
from observe.registry import Registry
from observe.server import PortTakenError, observed
from observe.settings import ObserveSettings
from schemas.cluster import DisagreementError, agreed
from schemas.cluster_record import settle
from schemas.logging import log_to_stderr
from schemas.own_name import take_name
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
_STUCK = timedelta(minutes=10)
"""Postgres ends each statement after two minutes, and a write has few of them."""
_CHECK_SECONDS = 2.0
"""A sink without records asks Postgres so often whether it is there."""
_COUNT_SECONDS = 1.0
"""The time between two counts of the records that wait; the client knows them without asking."""

FAILED, REFUSED = 1, 2
"""Exit codes: FAILED for any error, REFUSED for a variable with an invalid value."""

_RETRIABLE = (StaleOffsetsError, BatchUnknownError)

log = structlog.get_logger()


def main() -> int:
    log_to_stderr()
    registry, health = Registry(), Health()
    metrics = SinkMetrics(registry)
    try:
        for warning in check_variables(os.environ):
            log.warning("unknown_variable", reason=warning)
        settings, retention = read(SinkSettings), read(RetentionSettings)
        connections = read(Connections)
        describe_process(registry, health, kind="sink", name=take_name("sink", connections.kafka_bootstrap).name)
        with observed(read(ObserveSettings).observe_listen, registry, health):
            connections, cluster = settle(connections, confluent_kafka, SINK_TOPICS, with_runs=False)
            retention = agreed(retention, cluster)
            warn_of_newer_release(connections.postgres_dsn)
            reconciler = Reconciler(connections, read(SourceSettings).slot_name, metrics)
            _run_all(Sink(connections, settings, metrics, health), reconciler, connections, retention, health)
    except (InvalidSettingsError, DisagreementError, PortTakenError) as error:
        log.error("sink_failed", error=str(error))  # noqa: TRY400 - the sentence is enough
        return REFUSED if isinstance(error, InvalidSettingsError) else FAILED
    return 0


def _run_all(
    sink: Sink, reconciler: Reconciler, connections: Connections, retention: RetentionSettings, health: Health
) -> None:
    stop = stop_on_signals()
    leave_when_requested(stop, health)
    with ThreadPoolExecutor(2, "background") as threads:
        tasks = [
            threads.submit(_then_stop, lambda: apply_ttls(connections, retention, stop, health), stop),
            threads.submit(_then_stop, lambda: watch_definitions(reconciler, stop, health), stop),
        ]
        try:
            sink.run(stop)
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


class Sink:
    """Each session opens one connection to Postgres and one to Kafka; the next one loads the offsets again."""

    def __init__(self, connections: Connections, settings: SinkSettings, metrics: SinkMetrics, health: Health) -> None:
        self._connections = connections
        self._settings = settings
        self._metrics, self._health = metrics, health
        self._loop = health.loop("sink", _STUCK)
        self._names = {connections.topic(name): name for name in (STATUS, DEADLETTER)}
        self._writer = Writer(connections.topic(STATUS), metrics)
        self._has_written = False
        self._counted_at = self._answered_at = 0.0
        """When the waiting records were last counted, and when Postgres last answered: monotonic seconds."""

    def run(self, stop: Stop) -> None:
        """Write until `stop` is requested; retry while Postgres or Kafka is unreachable, or another sink is ahead."""
        backoff = Backoff(first=_FIRST_WAIT, longest=_LONGEST_WAIT)
        while not stop.requested:
            self._has_written = False
            try:
                self._session(stop)
            except (psycopg.OperationalError, *SUSPICIONS, KafkaException, KafkaRefusedError, *_RETRIABLE) as error:
                backoff = (backoff.succeeded() if self._has_written else backoff).failed()
                reason, seconds = str(error).strip(), backoff.delay.total_seconds()
                log.warning("sink_interrupted", reason=reason, again_in_seconds=seconds)
                self._metrics.interrupted()
                self._health.not_ready(f"it cannot write: {' '.join(reason.split())}")
                self._loop.turn()
                stop.wait(backoff.delay)

    def _session(self, stop: Stop) -> None:
        ids = topic_ids(self._connections, [*self._names])
        with open_ledger(self._connections.postgres_dsn, ids) as ledger, open_inbox(self._connections, "sink") as inbox:
            offsets = ledger.load_offsets(inbox.partitions([*self._names]))
            inbox.read_from(offsets)
            log.info("sink_started", partitions=len(offsets), read_before=sum(offsets.values()))
            while not stop.requested:
                rest = self._write_batch(ledger, inbox, ids)
                self._report(inbox)
                stop.wait(rest)

    def _write_batch(self, ledger: Ledger, inbox: Inbox, ids: dict[str, str]) -> timedelta:
        """Returns how long to rest: after a full batch not at all, because there are more records."""
        limit = self._writer.batch_size(self._settings.sink_batch_records)
        records = inbox.take(limit)
        began = time.monotonic()
        if records:
            self._metrics.taken(records)
            self._writer.write(ledger, records, ids)
            self._has_written = True
        elif began - self._answered_at > _CHECK_SECONDS:
            ledger.check()
        else:
            return timedelta(0)
        self._answered_at = time.monotonic()
        is_full = len(records) == limit
        took = timedelta(seconds=self._answered_at - began)
        return timedelta(0) if is_full else min(_REST_FACTOR * took, _LONGEST_REST)

    def _report(self, inbox: Inbox) -> None:
        """The last turn succeeded: what was taken is written, or nothing came and Postgres answers."""
        self._loop.turn()
        if inbox.is_cut_off:
            self._metrics.stands()
            self._health.not_ready("no broker of Kafka answers")
            return
        self._health.ready()
        now = time.monotonic()
        if now - self._counted_at > _COUNT_SECONDS:
            self._counted_at = now
            self._metrics.waiting({self._names[topic]: lag for topic, lag in inbox.lags().items()})


if __name__ == "__main__":
    leave(main())
