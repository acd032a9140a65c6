"""What owners tell executors: the topic `control`, read by a thread of its own from a little before the start."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

import structlog
from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from executors.clock import boot_seconds
from executors.passing import Passing, SetAside
from executors.trouble import Trouble
from schemas.codec import decode
from schemas.control import LOOK_BACK, Kill
from schemas.ends import reaches
from schemas.errors import UndecodableError
from schemas.settings import Connections
from schemas.silent import Place, Silence, fetched_end
from schemas.times import epoch_ms, from_epoch_ms
from schemas.topics import CONTROL, control_group

_LOG = structlog.get_logger()
_POLL_SECONDS = 0.2
"""The longest that a stop goes unnoticed."""
_CHUNK = 1_000
_ASK_SECONDS = 5.0
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    kill: Kill
    appended_at: datetime


class Control:
    """All partitions, without a group: what owners say is for every executor."""

    def __init__(
        self,
        connections: Connections,
        *,
        client_id: str,
        on_orders: Callable[[list[Order]], None],
        on_caught_up: Callable[[], None],
        on_unreadable: SetAside,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._on_orders, self._on_caught_up, self._on_crash = on_orders, on_caught_up, on_crash
        self._trouble = Trouble("control")
        options = connections.kafka(**_OPTIONS, group_id=control_group(connections.topic_prefix), client_id=client_id)
        self._passing = Passing(options, on_unreadable)
        self._consumer = Consumer({**options, "error_cb": self._trouble.note, "log_level": 2})
        self._topic, self._numbers = connections.topic(CONTROL), range(connections.partitions)
        self._behind: dict[int | None, int] = {}
        """The partitions that were not read yet up to where they ended at the start, with these ends."""
        self._silence = Silence({}, 0.0)
        self._stopping = threading.Event()

    def start(self, now: datetime) -> None:
        """`on_caught_up` is called once, after all orders that were given before."""
        threading.Thread(target=self._run, args=(now - LOOK_BACK,), name="control", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self, since: datetime) -> None:
        try:
            while not self._stopping.is_set() and not self._begin(since):
                self._stopping.wait(_RETRY_SECONDS)
            while not self._stopping.is_set():
                self._hear(self._consumer.consume(1, _POLL_SECONDS) + self._consumer.consume(_CHUNK, 0))
            self._consumer.close()
        except BaseException as error:  # noqa: BLE001 - nobody joins a thread that should never end: the process does
            self._on_crash(error)

    def _begin(self, since: datetime) -> bool:
        """The ends are asked for first: what is written meanwhile lies behind them, and is read."""
        try:
            ends, found = self._offsets(OFFSET_END), self._offsets(epoch_ms(since))
        except KafkaException as error:
            self._trouble.note(error.args[0])
            return False
        # Where nothing is that young, there is no offset.
        starts = {number: min(found[number], end) if found[number] >= 0 else end for number, end in ends.items()}
        self._silence = Silence({(self._topic, number): start for number, start in starts.items()}, boot_seconds())
        self._consumer.assign([TopicPartition(self._topic, number, start) for number, start in starts.items()])
        self._behind = {number: ends[number] for number, start in starts.items() if start < ends[number]}
        if not self._behind:
            self._on_caught_up()
        return True

    def _offsets(self, time_ms: int) -> dict[int, int]:
        """By partition: where the records from then on begin."""
        asked = [TopicPartition(self._topic, number, time_ms) for number in self._numbers]
        found = self._consumer.offsets_for_times(asked, _ASK_SECONDS)
        for each in found:
            if each.error:
                raise KafkaException(each.error)
        return {each.partition: each.offset for each in found}

    def _hear(self, messages: Collection[Message]) -> None:
        orders = [order for each in messages if each.error() is None and (order := _order(each))]
        if orders:
            self._on_orders(orders)
        self._passing.begin()
        for message in messages:
            self._note(message)
        self._silence.note(messages, boot_seconds())
        for place, offset in self._silence.suspects(self._end, boot_seconds()):
            last = self._passing.passes_silence(self._consumer, place, offset)
            if last is not None and last + 1 >= self._behind.get(place[1], math.inf):
                self._arrive(place[1])

    def _end(self, place: Place) -> int:
        return fetched_end(self._consumer, TopicPartition(*place))

    def _note(self, message: Message) -> None:
        error, end = message.error(), self._behind.get(message.partition(), math.inf)
        last = self._passing.passes(self._consumer, message)
        if last is not None:
            if last + 1 >= end:
                self._arrive(message.partition())
        elif reaches(message, end):
            self._arrive(message.partition())
        elif error and error.fatal():
            raise KafkaException(error)
        elif error:
            self._trouble.note(error)

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
    if value is None:  # it only closes its owner's transactions (docs/decisions/0006)
        return None
    try:
        kill = decode(value, Kill)
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
