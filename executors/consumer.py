"""The consumer of one timeout class, in a thread of its own: polls, claims by committing, hands the claims on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from executors.claim import Chosen, ClaimDecision, Hand, Polled, offsets_after
from executors.clock import boot_seconds
from executors.events import rest_after
from executors.passing import Passing, SetAside
from executors.slots import Slots
from executors.trouble import Trouble
from schemas.codec import decode
from schemas.dispatch import Dispatch
from schemas.errors import UndecodableError
from schemas.kept_clock import KeptClock
from schemas.settings import Connections
from schemas.times import EPOCH, from_epoch_ms
from schemas.topics import executor_group, runs_topic

_LOG = structlog.get_logger()
_POLL_SECONDS = 0.1
"""The longest that a stop or an opened gate goes unnoticed."""
_FULL_POLL_SECONDS = 0.05
"""With all slots taken, rebalances are served this often."""
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the consumer of a class works with."""

    timeout_class: str
    slots: Slots
    clock: KeptClock
    may_claim: Callable[[], bool]
    on_polled: Callable[[frozenset[str], float], None]
    """Objects whose content S3 has to tell, and since when."""
    on_claimed: Callable[[str, list[Chosen]], None]
    on_held: Callable[[str, frozenset[int]], None]
    on_unreadable: SetAside
    on_crash: Callable[[BaseException], None]
    capacity: int
    """So many records are held before more are asked for."""


class Claimer:
    def __init__(self, connections: Connections, place: Place, *, client_id: str) -> None:
        self._place = place
        self._topic = connections.topic(runs_topic(place.timeout_class))
        options = connections.kafka(
            **_OPTIONS,
            group_id=executor_group(connections.topic_prefix, place.timeout_class),
            client_id=client_id,
            queued_min_messages=place.capacity,
        )
        self._trouble = Trouble(f"claim-{place.timeout_class}")
        self._passing = Passing(options, place.on_unreadable)
        self._consumer = Consumer({**options, "error_cb": self._trouble.note, "log_level": 2})
        self._hand = Hand()
        self._held: frozenset[int] = frozenset()
        self._unknown: set[str] = set()
        """Objects of polled records about which S3 is not asked yet."""
        self._is_paused = False
        self._rested_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"claim-{place.timeout_class}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more and leave the group, soon."""
        self._stopping.set()

    @property
    def is_alive(self) -> bool:
        """False once the group is left."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            while not self._stopping.is_set():
                self._fill()
                if self._hand and self._place.may_claim() and not self._stopping.is_set():
                    self._claim()
            self._consumer.close()
        except BaseException as error:  # noqa: BLE001 - nobody joins a thread that should never end: the process does
            self._place.on_crash(error)

    # What the group says, always inside a poll

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """What was paused stays so, also for the client: what is kept, and what comes back that was taken away."""
        consumer.incremental_assign(partitions)
        consumer.resume(consumer.assignment())
        self._is_paused = False
        self._hold(self._held | {each.partition for each in partitions})

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._hold(self._held - {each.partition for each in partitions})
        self._hand.keep_only(self._held)

    def _hold(self, held: frozenset[int]) -> None:
        self._held = held
        self._place.on_held(self._place.timeout_class, held)

    # Polling

    def _fill(self) -> None:
        self._pause_or_resume()
        message = self._consumer.poll(self._patience())
        if message is None:
            return
        self._passing.begin()
        self._take(message)
        self._rest()
        room = self._place.capacity - len(self._hand)
        if room > 0:
            self._passing.begin()
            for more in self._consumer.consume(room, 0):
                self._take(more)
        if self._unknown:
            self._place.on_polled(frozenset(self._unknown), boot_seconds())
            self._unknown.clear()

    def _patience(self) -> float:
        if not self._hand:
            return _POLL_SECONDS
        if self._place.may_claim():
            # Slots that become free one after the other are used together, and soon; the group is served all the same.
            name, slots = self._place.timeout_class, self._place.slots
            slots.wait_free(name, len(self._hand), self._rested_at - boot_seconds())
            slots.wait_free(name, 1, _FULL_POLL_SECONDS)
            return 0.0
        return _FULL_POLL_SECONDS

    def _rest(self) -> None:
        """What follows a claim closely is claimed together."""
        self._stopping.wait(self._rested_at - boot_seconds())

    def _pause_or_resume(self) -> None:
        """Pausing throws prefetched records away: only when far more is there than can be claimed soon."""
        if not self._is_paused and len(self._hand) >= self._place.capacity:
            self._consumer.pause(self._consumer.assignment())
            self._is_paused = True
        elif self._is_paused and len(self._hand) <= self._place.capacity // 2:
            self._consumer.resume(self._consumer.assignment())
            self._is_paused = False

    def _take(self, message: Message) -> None:
        """At once: what a rebalance takes away is looked for in the hand."""
        error = message.error()
        if error is None:
            polled = _polled(message)
            self._hand.add(polled)
            if polled.dispatch and polled.dispatch.sha256 is None:
                self._unknown.add(polled.dispatch.executable)
        elif error.fatal():
            raise KafkaException(error)
        elif (last := self._passing.passes(self._consumer, message)) is not None:
            self._hand.add(_passed_by(message, last))
        else:
            self._trouble.note(error)

    # Claiming

    def _claim(self) -> None:
        self._hand.keep_only({each.partition for each in self._consumer.assignment()})
        name, slots = self._place.timeout_class, self._place.slots
        chosen = self._hand.choose(slots.free(name), self._place.clock.now())
        if not chosen:
            return
        taken = _to_run(chosen)
        slots.take(name, taken)
        sent = boot_seconds()
        committed = self._commit(chosen)
        acknowledged = boot_seconds()
        self._rested_at = acknowledged + rest_after(acknowledged - sent)
        claimed = self._hand.settle(chosen, committed, sent)
        slots.give(name, taken - _to_run(claimed))
        if claimed:
            self._place.on_claimed(name, claimed)
        if len(claimed) < len(chosen):
            self._stopping.wait(_RETRY_SECONDS)

    def _commit(self, chosen: Collection[Chosen]) -> set[int]:
        """The partitions whose offsets are committed. A failed commit means that nothing is claimed."""
        offsets = [TopicPartition(self._topic, *each) for each in offsets_after(chosen).items()]
        try:
            results = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            _LOG.warning("commit failed", timeout_class=self._place.timeout_class, reason=str(error))
            return set()
        return {each.partition for each in results or () if each.error is None}


_OPTIONS = {
    "group_protocol": "consumer",
    "isolation_level": "read_committed",
    "enable_auto_commit": False,
    "enable_auto_offset_store": False,
    "auto_offset_reset": "earliest",
    "fetch_queue_backoff_ms": 10,
    "fetch_error_backoff_ms": 100,
    "reconnect_backoff_ms": 50,
    "reconnect_backoff_max_ms": 1000,
    "socket_keepalive_enable": True,
}


def _to_run(chosen: Collection[Chosen]) -> int:
    return sum(each.decision is ClaimDecision.RUN for each in chosen)


def _passed_by(message: Message, last: int) -> Polled:
    """Its dispatches are claimed, so that the group goes on, and never start: their owner calls them lost."""
    partition = message.partition()
    assert partition is not None
    return Polled(partition=partition, offset=last, appended_at=EPOCH, dispatch=None, read=boot_seconds())


def _polled(message: Message) -> Polled:
    partition, offset, value = message.partition(), message.offset(), message.value()
    assert partition is not None
    assert offset is not None
    _, appended_ms = message.timestamp()
    dispatch = None
    try:
        # An empty record only closes its owner's transactions (docs/decisions/0006).
        dispatch = decode(value, Dispatch) if value is not None else None
    except UndecodableError as error:
        _LOG.error("dispatch unreadable", topic=message.topic(), partition=partition, offset=offset, reason=str(error))
    appended_at = from_epoch_ms(appended_ms)
    return Polled(partition=partition, offset=offset, appended_at=appended_at, dispatch=dispatch, read=boot_seconds())
