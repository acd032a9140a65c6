"""Reads `status` in a group of its own, and sends the trace of each run that has ended; at least once.

Ids of spans are computed (`schemas.trace_ids`), so a trace that is sent twice is the same trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog
from confluent_kafka import KafkaException
from prometheus_client import Counter, Gauge

from connectors.backoff import Backoff
from connectors.inbox import Inbox, open_inbox
from connectors.record import PartitionId, Record
from connectors.settings import TracesSettings
from connectors.stopping import Stop
from connectors.topics import KafkaRefusedError
from connectors.traces.otlp import CollectorUnavailableError, SpansRefusedError, encode, post
from connectors.traces.sampling import is_sampled
from connectors.traces.spans import spans
from observe.health import Health
from schemas.codec import decode_foreign
from schemas.errors import TidemillError, UndecodableError
from schemas.settings import Connections
from schemas.status import RunStatus
from schemas.topics import STATUS
from schemas.trace_ids import TRACEPARENT
from schemas.unreadable import BatchUnknownError

GROUP = "traces"
BATCH_RECORDS = 200
"""The most runs in one POST."""
LOOP_LIMIT = timedelta(minutes=5)
"""Longer than one POST, the longest pause before the next, and a search for the end of a silent batch, which waits for
the brokers up to forty times for 5 s."""
_FIRST_WAIT = timedelta(milliseconds=200)
_LONGEST_WAIT = timedelta(seconds=30)

log = structlog.get_logger()


class HeadersFileError(TidemillError):
    """TIDEMILL_TRACES_HEADERS_FILE cannot be read."""


class Exporter:
    """Sends runs; waits while the collector is unavailable, and leaves out what it refuses."""

    def __init__(self, endpoint: str, settings: TracesSettings, traces: Counter, stop: Stop) -> None:
        self._endpoint, self._settings, self._traces, self._stop = endpoint, settings, traces, stop

    def send(self, records: Sequence[Record], health: Health, turn: Callable[[], None]) -> bool:
        """Calls `turn` before each POST. False: a stop was requested before the collector has taken them."""
        ended = [each for record in records if (each := _ended(record)) is not None]
        wanted = [each for each in ended if is_sampled(each, self._settings.traces_sample)]
        self._traces.labels("sampled_out").inc(len(ended) - len(wanted))
        return not wanted or self._until_taken(wanted, health, turn)

    def _until_taken(self, runs: Sequence[RunStatus], health: Health, turn: Callable[[], None]) -> bool:
        backoff = Backoff(first=_FIRST_WAIT, longest=_LONGEST_WAIT)
        while True:
            try:
                self._post(runs, turn)
            except (CollectorUnavailableError, HeadersFileError) as error:
                backoff = backoff.failed()
                asked = error.after if isinstance(error, CollectorUnavailableError) else None
                pause = min(max(backoff.delay, asked or backoff.delay), _LONGEST_WAIT)
                health.not_ready(str(error))
                log.warning("collector_unavailable", reason=str(error), again_in_seconds=pause.total_seconds())
            else:
                health.ready()
                return True
            self._stop.wait(pause)
            if self._stop.requested:
                return False

    def _post(self, runs: Sequence[RunStatus], turn: Callable[[], None]) -> None:
        """Halve what the collector refuses, until one run is alone; that one is left out."""
        turn()
        try:
            body = encode(span for each in runs for span in spans(each))
            left_out = post(self._endpoint, body, read_headers(self._settings.traces_headers_file))
        except SpansRefusedError as error:
            if len(runs) == 1:
                log.warning("trace_refused", run_id=runs[0].run_id, reason=str(error))
                self._traces.labels("refused").inc()
                return
            half = len(runs) // 2
            self._post(runs[:half], turn)
            self._post(runs[half:], turn)
        else:
            if left_out:
                log.warning("spans_left_out", reason=left_out)
            self._traces.labels("sent").inc(len(runs))


def run(connections: Connections, exporter: Exporter, health: Health, lag: Gauge, stop: Stop) -> None:
    """Send until `stop` is requested; try again while Kafka is unreachable."""
    backoff, loop = Backoff(first=_FIRST_WAIT, longest=_LONGEST_WAIT), health.loop("traces", LOOP_LIMIT)
    while not stop.requested:
        loop.turn()
        try:
            with open_inbox(connections, GROUP) as inbox:
                offsets = inbox.committed(inbox.partitions([connections.topic(STATUS)]))
                inbox.commit(offsets)  # the first start: traces of what ends from now on
                inbox.read_from(offsets)
                health.ready()
                log.info("traces_started", partitions=len(offsets))

                def turn() -> None:
                    loop.turn()
                    lag.set(inbox.lag())

                while not stop.requested:
                    turn()
                    _send_batch(inbox, exporter, health, turn)
                    backoff = backoff.succeeded()
        except (KafkaException, KafkaRefusedError, BatchUnknownError) as error:
            backoff = backoff.failed()
            health.not_ready(str(error))
            log.warning("traces_interrupted", reason=str(error), again_in_seconds=backoff.delay.total_seconds())
            stop.wait(backoff.delay)
    health.leave()


def _send_batch(inbox: Inbox, exporter: Exporter, health: Health, turn: Callable[[], None]) -> None:
    records = inbox.take(BATCH_RECORDS)
    if records and exporter.send(records, health, turn):
        inbox.commit(_next_offsets(records))


def _next_offsets(records: Sequence[Record]) -> dict[PartitionId, int]:
    found: dict[PartitionId, int] = {}
    for each in records:
        where = (each.topic, each.partition)
        found[where] = max(found.get(where, 0), each.offset + 1)
    return found


def _ended(record: Record) -> RunStatus | None:
    """The run, if it has ended; None also for a record that is none: the sink reports it."""
    if record.value is None:
        return None
    try:
        found = decode_foreign(record.value, RunStatus)
    except UndecodableError:
        return None
    if found.traceparent is not None and not TRACEPARENT.fullmatch(found.traceparent):
        found = msgspec.structs.replace(found, traceparent=None)  # another producer wrote it: the run has its own trace
    return found if found.state.is_final else None


def read_headers(file: Path | None) -> Mapping[str, str]:
    """The headers of the file. Raises `HeadersFileError`, without what the file contains: it may be a secret."""
    if file is None:
        return {}
    try:
        lines = [each for each in file.read_text(encoding="utf-8").splitlines() if each.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise HeadersFileError(f"TIDEMILL_TRACES_HEADERS_FILE {file} cannot be read: {error}") from error
    pairs = [each.partition(":") for each in lines]
    for number, (name, colon, _) in enumerate(pairs, 1):
        if not colon or not name.strip():
            raise HeadersFileError(f"TIDEMILL_TRACES_HEADERS_FILE {file}: line {number} is not `name: value`")
    return {name.strip(): value.strip() for name, _, value in pairs}
