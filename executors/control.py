"""Reads the kill orders of owners from the topic `control`, in its own thread, from `LOOK_BACK` before the start."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from executors.clock import boot_seconds
from executors.kafka_errors import KafkaErrorLog
from executors.skip_unreadable import OnUnreadable, SourcePartition, UnreadableSkipper
from observe.health import Health
from schemas.codec import decode_foreign
from schemas.control import LOOK_BACK, Kill
from schemas.ends import reaches
from schemas.errors import UndecodableError
from schemas.settings import Connections
from schemas.silent import Silence, fetched_end
from schemas.times import epoch_ms, from_epoch_ms
from schemas.topics import CONTROL, control_group

_LOG = structlog.get_logger()
_POLL_SECONDS = 0.2
"""The longest delay until the thread notices `stop`."""
_CHUNK = 1_000
_ASK_SECONDS = 5.0
_RETRY_SECONDS = 0.2
_LIMIT = timedelta(minutes=5)
"""Without brokers it turns every 10 s. To find the extent of an unreadable batch, it may ask them twenty times and
more, each time for up to 5 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    kill: Kill
    appended_at: datetime


class Control:
    """Reads all partitions, without a consumer group: every executor gets every order."""

    def __init__(
        self,
        connections: Connections,
        *,
        client_id: str,
        health: Health,
        on_orders: Callable[[list[Order]], None],
        on_caught_up: Callable[[], None],
        on_unreadable: OnUnreadable,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._on_orders, self._on_caught_up, self._on_crash = on_orders, on_caught_up, on_crash
        self._health = health
        self._errors = KafkaErrorLog("control")
        options = connections.kafka(**_OPTIONS, group_id=control_group(connections.topic_prefix), client_id=client_id)
        self._skipper = UnreadableSkipper(options, on_unreadable)
        self._consumer = Consumer({**options, "error_cb": self._errors.log, "log_level": 2})
        self._topic, self._numbers = connections.topic(CONTROL), range(connections.partitions)
        self._behind: dict[int | None, int] = {}
        """Partitions not yet read up to their end at the start, with this end."""
        self._silence = Silence({}, 0.0)
        self._stopping = threading.Event()

    def start(self, now: datetime) -> None:
        """Call `on_caught_up` once, after `on_orders` has got all orders written before the start."""
        threading.Thread(target=self._run, args=(now - LOOK_BACK,), name="control", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self, since: datetime) -> None:
        loop = self._health.loop("control", _LIMIT)
        try:
            while not self._stopping.is_set() and not self._assign(since):
                loop.turn()
                self._stopping.wait(_RETRY_SECONDS)
            while not self._stopping.is_set():
                loop.turn()
                self._handle(self._consumer.consume(1, _POLL_SECONDS) + self._consumer.consume(_CHUNK, 0))
            self._health.end(loop)
            self._consumer.close()
        except BaseException as error:  # noqa: BLE001 - no code joins this thread: its error must end the process
            self._on_crash(error)

    def _assign(self, since: datetime) -> bool:
        """Read the end offsets before the start offsets: records written meanwhile then lie after the ends."""
        try:
            ends, found = self._offsets(OFFSET_END), self._offsets(epoch_ms(since))
        except KafkaException as error:
            self._errors.log(error.args[0])
            return False
        # If a partition has no record since then, its offset is -1: start at the end.
        starts = {number: min(found[number], end) if found[number] >= 0 else end for number, end in ends.items()}
        self._silence = Silence({(self._topic, number): start for number, start in starts.items()}, boot_seconds())
        self._consumer.assign([TopicPartition(self._topic, number, start) for number, start in starts.items()])
        self._behind = {number: ends[number] for number, start in starts.items() if start < ends[number]}
        if not self._behind:
            self._on_caught_up()
        return True

    def _offsets(self, time_ms: int) -> dict[int, int]:
        """By partition: the offset of the first record with this timestamp or a later one."""
        asked = [TopicPartition(self._topic, number, time_ms) for number in self._numbers]
        found = self._consumer.offsets_for_times(asked, _ASK_SECONDS)
        for each in found:
            if each.error:
                raise KafkaException(each.error)
        return {each.partition: each.offset for each in found}

    def _handle(self, messages: Collection[Message]) -> None:
        orders = [order for each in messages if each.error() is None and (order := _order(each))]
        if orders:
            self._on_orders(orders)
        self._skipper.start_list()
        for message in messages:
            self._note(message)
        self._silence.note(messages, boot_seconds())
        for source, offset in self._silence.suspects(self._end, boot_seconds()):
            last = self._skipper.skip_silent(self._consumer, source, offset)
            if last is not None and last + 1 >= self._behind.get(source[1], math.inf):
                self._arrive(source[1])

    def _end(self, source: SourcePartition) -> int:
        return fetched_end(self._consumer, TopicPartition(*source))

    def _note(self, message: Message) -> None:
        error, end = message.error(), self._behind.get(message.partition(), math.inf)
        last = self._skipper.skip(self._consumer, message)
        if last is not None:
            if last + 1 >= end:
                self._arrive(message.partition())
        elif reaches(message, end):
            self._arrive(message.partition())
        elif error and error.fatal():
            raise KafkaException(error)
        elif error:
            self._errors.log(error)

    def _arrive(self, number: int | None) -> None:
        if number in self._behind:
            del self._behind[number]
            if not self._behind:
                self._on_caught_up()


_OPTIONS = {
    "isolation_level": "read_committed",
    "enable_auto_commit": False,
    "enable_partition_eof": True,
    "auto_offset_reset": "earliest",
    "fetch_error_backoff_ms": 100,
    "reconnect_backoff_ms": 50,
    "socket_keepalive_enable": True,
}


def _order(message: Message) -> Order | None:
    value = message.value()
    if value is None:  # an owner writes it only to close its transactions (docs/decisions/0006)
        return None
    try:
        kill = decode_foreign(value, Kill)
    except UndecodableError as error:
        _LOG.error(
            "order unreadable",
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            reason=str(error),
        )
        return None
    return Order(kill=kill, appended_at=from_epoch_ms(message.timestamp()[1]))
