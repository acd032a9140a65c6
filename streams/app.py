"""The Faust app: group membership, delivery, start and stop of the worker, and nothing else (docs/decisions/0001)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Any, cast

import aiokafka
import faust
from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

from observe.health import Loop
from schemas.own_name import OwnName, stamped
from schemas.settings import Connections
from schemas.times import from_epoch_ms
from schemas.topics import CDC, REQUESTS
from streams.faust_bypass import MAX_CDC_FETCH_RECORDS, MAX_FETCH_RECORDS, Bypass
from streams.forward import is_marked
from streams.metrics import EVENT_LOOP_LIMIT
from streams.owner.intake import INPUT_TOPICS
from streams.owner.records import InRecord
from streams.owner.session_calls import Resync
from streams.rate_limiter import RateLimiter
from streams.security import credentials
from streams.settings import StreamSettings
from streams.skip_unreadable import is_skip_mark, skip_unreadable_batches
from streams.worker import Worker

MAX_UNACKED = 20_000
"""Unacknowledged deliveries of one topic partition. Beyond this, the oldest is acknowledged early. No record is lost:
a partition thread that starts, or is kept in a rebalance, reads from the applied offsets in `state`."""
FETCH_PERIOD_SECONDS = 0.015
"""The average time between two fetches with records under load: a fetch costs Faust far more than a record."""
FETCH_BURST = 4
"""Enough for two nodes of a chain: each one sends an event when it starts and one when it ends."""
FETCH_WAIT_MS = 500
"""If a broker becomes the leader of a partition, the fetch that already waits there does not include it. Faust's 1.5 s
would delay such a partition twice."""
REQUEST_MARGIN_SECONDS = 3.0
"""Added to the rebalance timeout, the longest time that a request may need. Faust's timeout of 90 s would be the gap
after the machine of a broker is gone."""
HEARTBEATS = 8
"""How many heartbeats a worker sends during a session timeout. With its next one a survivor learns that another worker
is gone, so the interval is a part of the gap after a death."""
BYPASS_CHECK_SECONDS = 0.05
"""How often a worker checks the ends of bypassing partitions: a check with new records makes a thread read once."""
TURN_SECONDS = 1.0
"""How often an event loop shows that it turns."""
CDC_CHECK_SECONDS = 0.2
"""The same for `cdc`. More checks would mean many reads of few records; a read and a commit cost more than those."""


class _ReadCommittedThread(AIOKafkaConsumerThread):
    """Without transactions of its own, Faust reads uncommitted records; our producers and others use transactions."""

    _turning: Loop | None = None
    """None: its event loop has not started."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        skip_unreadable_batches()
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - Faust has no setting for it
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - as above
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        worker = cast(_ReadCommittedTransport, self.transport).worker
        worker.membership.watch(self._consumer)
        self._turning = worker.health.loop("consumer", EVENT_LOOP_LIMIT)
        self._turn(self._turning)

    def _turn(self, turning: Loop) -> None:
        """Show that the event loop of the consumer turns, which keeps the worker in its group."""
        turning.turn()
        asyncio.get_running_loop().call_later(TURN_SECONDS, self._turn, turning)

    async def on_thread_stop(self) -> None:
        """Leave the group at once on a planned exit; a static member would stay until its timeout (protocol O5)."""
        if self._turning is not None:
            cast(_ReadCommittedTransport, self.transport).worker.health.end(self._turning)
        if self._consumer is not None:
            self._consumer._coordinator._group_instance_id = None  # noqa: SLF001 - as above
        await super().on_thread_stop()


class _ReadCommittedConsumer(Consumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetch_limiter = RateLimiter(FETCH_BURST)
        self._next_check_seconds = self._next_cdc_check_seconds = 0.0

    @property
    def _delivery(self) -> Delivery:
        return cast(_ReadCommittedTransport, self.transport).delivery

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        """Fetch occasional records at once; under load, pause between fetches so that each returns more records."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(self._fetch_limiter.next_turn_seconds - loop.time(), 0.0))
        bypass = self._delivery.bypass
        if skipped := self._delivery.take_skipped():
            await self._commit_offsets(skipped)
        if bypass.ends:
            timeout = min(timeout, BYPASS_CHECK_SECONDS)
            await self._check_bypass(loop.time())
        fetching = {each for each in active_partitions if each not in bypass.ends}
        if not fetching:  # an empty set means all partitions to aiokafka
            await asyncio.sleep(timeout)
            return {}
        records = await super()._getmany(fetching, timeout)
        if records:
            self._fetch_limiter.note_turn(loop.time(), FETCH_PERIOD_SECONDS)
        started: set[TP] = set()
        for is_cdc, limit in ((True, MAX_CDC_FETCH_RECORDS), (False, MAX_FETCH_RECORDS)):
            selected = [each for each in records if (self._delivery.names[each.topic] == CDC) is is_cdc]
            started |= bypass.start({each: [record.offset for record in records[each]] for each in selected}, limit)
        self._request_reads(started)
        return {partition: found for partition, found in records.items() if partition not in started}

    async def _check_bypass(self, loop_seconds: float) -> None:
        """Skip the new records of bypassing partitions: aiokafka seeks past them, and the threads read them."""
        if loop_seconds < self._next_check_seconds:
            return
        self._next_check_seconds = loop_seconds + BYPASS_CHECK_SECONDS
        includes_cdc = loop_seconds >= self._next_cdc_check_seconds
        if includes_cdc:
            self._next_cdc_check_seconds = loop_seconds + CDC_CHECK_SECONDS
        bypass, names = self._delivery.bypass, self._delivery.names
        client = self._thread._ensure_consumer()  # noqa: SLF001 - Faust hides it
        try:
            held = client.assignment()
            is_checked = {each: includes_cdc or names[each.topic] != CDC for each in held}
            moved = bypass.check({each: client.last_stable_offset(each) if is_checked[each] else None for each in held})
            self._request_reads(moved)
            if moved:
                await self.seek_wait(moved)
        except (AssertionError, IllegalStateError):  # a partition was revoked meanwhile; a new assignment follows
            return

    def _request_reads(self, partitions: Collection[TP]) -> None:
        """Make the partition threads read what Faust does not deliver."""
        for each in partitions:
            resync = Resync(topic=self._delivery.names[each.topic])
            cast(_ReadCommittedTransport, self.transport).worker.deliver(each.partition, resync)


class _ReadCommittedTransport(Transport):
    Consumer = _ReadCommittedConsumer

    def __init__(self, *args: Any, worker: Worker, delivery: Delivery) -> None:
        super().__init__(*args)
        self.worker, self.delivery = worker, delivery


class Delivery:
    """Passes Faust's events to the partition threads, and acknowledges them to Faust in order."""

    def __init__(self, connections: Connections) -> None:
        self.names = {connections.topic(name): name for name in INPUT_TOPICS}
        self._full_names = {name: full for full, name in self.names.items()}
        self._unacked: dict[tuple[str, int], deque[Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bypass: Bypass[TP] = Bypass()
        self._skipped: dict[TP, int] = {}

    async def take(self, worker: Worker, stream: Any) -> None:
        self._loop = asyncio.get_running_loop()
        async for event in stream.noack().events():
            message = event.message
            topic = self.names[message.topic]
            unacked = self._unacked.setdefault((topic, message.partition), deque())
            unacked.append(event)
            if len(unacked) > MAX_UNACKED:
                unacked.popleft().ack()
            if is_skip_mark(message.headers):
                worker.deliver(message.partition, Resync(topic=topic))
                continue
            record = InRecord(
                topic=topic,
                offset=message.offset,
                key=message.key,
                value=message.value,
                appended_at=from_epoch_ms(int(message.timestamp * 1000)),
                is_forwarded=topic == REQUESTS and is_marked(message.headers),
            )
            worker.deliver(message.partition, record)

    def committed(self, partition: int, applied: dict[str, int]) -> None:
        """Called by a partition thread after its commit; acknowledges to Faust in Faust's loop."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ack, partition, applied)

    def clear(self) -> None:
        """After a rebalance Faust delivers every uncommitted record again."""
        self._unacked.clear()
        self._skipped.clear()
        self.bypass.clear()

    def take_skipped(self) -> dict[TP, int]:
        """The next offset by partition, up to which Faust may commit records that it did not deliver."""
        skipped, self._skipped = self._skipped, {}
        return skipped

    def _ack(self, partition: int, applied: dict[str, int]) -> None:
        for topic, offset in applied.items():
            full = TP(self._full_names[topic], partition)
            if self.bypass.note_applied(full, offset):
                self._skipped[full] = offset + 1
            events = self._unacked.get((topic, partition), ())
            while events and events[0].message.offset <= offset:
                events.popleft().ack()


def make_app(
    connections: Connections, settings: StreamSettings, own: OwnName, worker: Worker, delivery: Delivery, folder: str
) -> faust.App:
    """Faust requires a `folder` and keeps nothing of value there."""
    app = faust.App(
        settings.stream_group,
        broker=[f"kafka://{server}" for server in connections.kafka_bootstrap.split(",")],
        broker_credentials=credentials(connections.kafka_options),
        broker_client_id=stamped(own),
        consumer_group_instance_id=own.name,
        broker_session_timeout=settings.session_timeout.total_seconds(),
        broker_heartbeat_interval=settings.session_timeout.total_seconds() / HEARTBEATS,
        broker_rebalance_timeout=settings.session_timeout.total_seconds() * 2,
        broker_request_timeout=settings.session_timeout.total_seconds() * 2 + REQUEST_MARGIN_SECONDS,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        datadir=folder,
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    app.transport = _ReadCommittedTransport(app.conf.broker_consumer, app, worker=worker, delivery=delivery)
    _subscribe(app, connections, worker, delivery)
    return app


def _subscribe(app: faust.App, connections: Connections, worker: Worker, delivery: Delivery) -> None:
    """Pass records and group assignments from Faust to the worker."""
    topics = app.topic(
        *(connections.topic(name) for name in INPUT_TOPICS),
        key_serializer="raw",
        value_serializer="raw",
        key_type=bytes,
        value_type=bytes,
    )

    async def deliver(stream: Any) -> None:
        await delivery.take(worker, stream)

    async def assigned(_app: Any, assigned: set[Any], **_: Any) -> None:
        delivery.clear()
        worker.assign({each.partition for each in assigned})

    async def revoked(*_: Any, **__: Any) -> None:
        worker.stop_delivery()

    app.agent(topics, concurrency=1)(deliver)
    app.on_partitions_assigned.connect(cast(Any, assigned), weak=False)
    app.on_partitions_revoked.connect(cast(Any, revoked), weak=False)
