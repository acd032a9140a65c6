"""The Faust app: membership, delivery and worker life, and no more than that (docs/decisions/0001)."""

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

from schemas.own_name import OwnName, stamped
from schemas.settings import Connections
from schemas.times import from_epoch_ms
from schemas.topics import CDC, REQUESTS
from streams.faust_bypass import MAX_CDC_FETCH_RECORDS, MAX_FETCH_RECORDS, Bypass
from streams.forward import is_marked
from streams.owner.intake import INPUT_TOPICS
from streams.owner.records import InRecord
from streams.owner.session_calls import Resync
from streams.rate_limiter import RateLimiter
from streams.security import credentials
from streams.settings import StreamSettings
from streams.skip_unreadable import is_skip_mark, skip_unreadable_batches
from streams.worker import Worker

MAX_UNACKED = 20_000
"""Deliveries of one partition of a topic that wait to be acknowledged. Beyond, the oldest is acknowledged: the
applied offsets in `state` are what counts, and a holder that begins, or is kept, reads from there."""
FETCH_PERIOD_SECONDS = 0.015
"""From a fetch that brought records to the next, under load: to Faust a fetch is far more work than a record."""
FETCHES_AT_ONCE = 4
"""As many as a node of a chain needs: that it started, that it ended, and the same of the next one."""
FETCH_WAIT_MS = 500
"""A partition that a broker leads from now on is in the fetch after the one that waits there: Faust's 1.5 s would delay
it for so long, twice."""
REQUEST_SPARE_SECONDS = 3.0
"""A request waits so much longer than the longest of them, which waits for a rebalance. Faust's 90 s would be the gap
when the machine of a broker is gone."""
BYPASS_CHECK_SECONDS = 0.05
"""So often a worker looks at the ends of what goes around Faust: each look makes a holder read once."""
CDC_CHECK_SECONDS = 0.2
"""The same of `cdc`. Few come from each of many reads otherwise, and a read and a commit cost more than those few."""


class _ReadCommittedThread(AIOKafkaConsumerThread):
    """Faust reads uncommitted records unless it writes transactions itself; other producers may use them."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        skip_unreadable_batches()
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - Faust has no setting for it
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - as above
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        cast(_ReadCommittedTransport, self.transport).worker.membership.watch(self._consumer)

    async def on_thread_stop(self) -> None:
        """A planned exit leaves the group at once, which a static member never does by itself (protocol O5)."""
        if self._consumer is not None:
            self._consumer._coordinator._group_instance_id = None  # noqa: SLF001 - as above
        await super().on_thread_stop()


class _ReadCommittedConsumer(Consumer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetch_limiter = RateLimiter(FETCHES_AT_ONCE)
        self._next_look = self._next_bulk = 0.0

    @property
    def _delivery(self) -> Delivery:
        return cast(_ReadCommittedTransport, self.transport).delivery

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109 - Faust says so
        """Records that come now and then are there at once; under load those that follow closely come together."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(self._fetch_limiter.next_turn_at - loop.time(), 0.0))
        bypass = self._delivery.bypass
        if passed := self._delivery.take_passed():
            await self._commit_offsets(passed)
        if bypass.ends:
            timeout = min(timeout, BYPASS_CHECK_SECONDS)
            await self._check_bypass(loop.time())
        asked = {each for each in active_partitions if each not in bypass.ends}
        if not asked:  # to aiokafka that would mean all
            await asyncio.sleep(timeout)
            return {}
        records = await super()._getmany(asked, timeout)
        if records:
            self._fetch_limiter.note_turn(loop.time(), FETCH_PERIOD_SECONDS)
        begun: set[TP] = set()
        for is_cdc, most in ((True, MAX_CDC_FETCH_RECORDS), (False, MAX_FETCH_RECORDS)):
            of_these = [each for each in records if (self._delivery.names[each.topic] == CDC) is is_cdc]
            begun |= bypass.start({each: [record.offset for record in records[each]] for each in of_these}, most)
        self._send_around(begun)
        return {place: found for place, found in records.items() if place not in begun}

    async def _check_bypass(self, now: float) -> None:
        """What has come is not fetched: aiokafka goes on behind it, and the holder reads it."""
        if now < self._next_look:
            return
        self._next_look = now + BYPASS_CHECK_SECONDS
        is_for_all = now >= self._next_bulk
        if is_for_all:
            self._next_bulk = now + CDC_CHECK_SECONDS
        bypass, names = self._delivery.bypass, self._delivery.names
        client = self._thread._ensure_consumer()  # noqa: SLF001 - Faust hides it
        try:
            held = client.assignment()
            seen = {each: is_for_all or names[each.topic] != CDC for each in held}
            moved = bypass.check({each: client.last_stable_offset(each) if seen[each] else None for each in held})
            self._send_around(moved)
            if moved:
                await self.seek_wait(moved)
        except (AssertionError, IllegalStateError):  # one was revoked meanwhile, and all is assigned anew
            return

    def _send_around(self, places: Collection[TP]) -> None:
        """Their holders read for themselves what Faust does not deliver."""
        for place in places:
            resync = Resync(topic=self._delivery.names[place.topic])
            cast(_ReadCommittedTransport, self.transport).worker.deliver(place.partition, resync)


class _ReadCommittedTransport(Transport):
    Consumer = _ReadCommittedConsumer

    def __init__(self, *args: Any, worker: Worker, delivery: Delivery) -> None:
        super().__init__(*args)
        self.worker, self.delivery = worker, delivery


class Delivery:
    """Faust's events on their way to the holders, and their acknowledgements on the way back, in order."""

    def __init__(self, connections: Connections) -> None:
        self.names = {connections.topic(name): name for name in INPUT_TOPICS}
        self._full_names = {name: full for full, name in self.names.items()}
        self._unacked: dict[tuple[str, int], deque[Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.bypass: Bypass[TP] = Bypass()
        self._passed: dict[TP, int] = {}

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
        """Called by a holder's thread after its commit; Faust is told in its own loop."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ack, partition, applied)

    def forget(self) -> None:
        """After a rebalance Faust delivers anew whatever it has not committed."""
        self._unacked.clear()
        self._passed.clear()
        self.bypass.clear()

    def take_passed(self) -> dict[TP, int]:
        """What Faust may commit without having delivered it: the next offset by partition."""
        passed, self._passed = self._passed, {}
        return passed

    def _ack(self, partition: int, applied: dict[str, int]) -> None:
        for topic, offset in applied.items():
            place = TP(self._full_names[topic], partition)
            if self.bypass.note_applied(place, offset):
                self._passed[place] = offset + 1
            events = self._unacked.get((topic, partition), ())
            while events and events[0].message.offset <= offset:
                events.popleft().ack()


def make_app(
    connections: Connections, settings: StreamSettings, own: OwnName, worker: Worker, delivery: Delivery, folder: str
) -> faust.App:
    """Faust wants a `folder`; nothing of value is in it."""
    app = faust.App(
        settings.stream_group,
        broker=[f"kafka://{server}" for server in connections.kafka_bootstrap.split(",")],
        broker_credentials=credentials(connections.kafka_options),
        broker_client_id=stamped(own),
        consumer_group_instance_id=own.name,
        broker_session_timeout=settings.session_timeout.total_seconds(),
        broker_heartbeat_interval=settings.session_timeout.total_seconds() / 4,
        broker_rebalance_timeout=settings.session_timeout.total_seconds() * 2,
        broker_request_timeout=settings.session_timeout.total_seconds() * 2 + REQUEST_SPARE_SECONDS,
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
    """What Faust hears of the group and of the topics goes to the worker."""
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
        delivery.forget()
        worker.assign({each.partition for each in assigned})

    async def revoked(*_: Any, **__: Any) -> None:
        worker.stop_delivery()

    app.agent(topics, concurrency=1)(deliver)
    app.on_partitions_assigned.connect(cast(Any, assigned), weak=False)
    app.on_partitions_revoked.connect(cast(Any, revoked), weak=False)
