"""The consumer of one timeout class, in its own thread: polls dispatches, claims them by committing their offsets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from executors.claim import Chosen, ClaimDecision, Polled, PolledRecords, offsets_after
from executors.clock import boot_seconds
from executors.events import rest_after
from executors.kafka_errors import KafkaErrorLog
from executors.metrics import Metrics
from executors.skip_unreadable import OnUnreadable, UnreadableSkipper
from executors.slots import Slots
from observe.health import Health, Loop
from schemas.codec import decode_foreign
from schemas.confinement import Capabilities
from schemas.dispatch import Dispatch
from schemas.errors import UndecodableError
from schemas.kept_clock import KeptClock
from schemas.settings import Connections
from schemas.times import EPOCH, from_epoch_ms
from schemas.topics import executor_group, runs_topic

_LOG = structlog.get_logger()
_POLL_SECONDS = 0.1
"""The longest delay until the thread notices `stop`, or that it may claim."""
_FULL_POLL_SECONDS = 0.05
"""While all slots are taken, poll this often: rebalances happen only inside a poll."""
_RETRY_SECONDS = 0.2
_COMMITTED_SECONDS = 5.0
"""The longest wait for the group's committed offsets; then it is asked again."""
_LIMIT = timedelta(minutes=2)
"""While brokers answer, a commit takes at most 60 s (the client's `socket.timeout.ms`), or 45 s to find the group's
coordinator. While they do not, it has no limit: see `excuse`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimerContext:
    """The timeout class of a `Claimer`, the state it shares, and its callbacks."""

    timeout_class: str
    given: Capabilities
    """What this executor can give to attempts (protocol D7)."""
    slots: Slots
    clock: KeptClock
    metrics: Metrics
    health: Health
    may_claim: Callable[[], bool]
    is_ill: Callable[[], bool]
    """While it is, the consumer is not in the group: the other executors get its partitions (protocol D1)."""
    on_polled: Callable[[frozenset[str], float], None]
    """Called with the URIs of executables without a hash, and the time of the poll (CLOCK_BOOTTIME)."""
    on_claimed: Callable[[str, list[Chosen]], None]
    on_assigned: Callable[[str, frozenset[int]], None]
    """Called with the class and all partitions that the consumer holds after a rebalance."""
    on_unreadable: OnUnreadable
    on_crash: Callable[[BaseException], None]
    capacity: int
    """Pause fetching at this number of polled records."""


class Claimer:
    def __init__(
        self,
        connections: Connections,
        context: ClaimerContext,
        *,
        client_id: str,
        consumer: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        """`consumer` makes the client from its options."""
        self._context = context
        self._topic = connections.topic(runs_topic(context.timeout_class))
        options = connections.kafka(
            **_OPTIONS,
            group_id=executor_group(connections.topic_prefix, context.timeout_class),
            client_id=client_id,
            queued_min_messages=context.capacity,
        )
        self._errors = KafkaErrorLog(f"claim-{context.timeout_class}")
        self._skipper = UnreadableSkipper(options, context.on_unreadable)
        self._consumer = consumer({**options, "error_cb": self._errors.log, "log_level": 2})
        self._records = PolledRecords(context.given)
        self._held: frozenset[int] = frozenset()
        self._committed: dict[int, int] = {}
        """By partition: the group's committed offset, as it was before the first claim of this consumer."""
        self._unknown: set[str] = set()
        """The URIs that `on_polled` does not have yet."""
        self._is_paused = self._is_member = False
        self._rest_until = 0.0
        self._stopping = threading.Event()
        self._turning: Loop | None = None
        self._thread = threading.Thread(target=self._run, name=f"claim-{context.timeout_class}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more and leave the group; the thread does so soon after."""
        self._stopping.set()

    def excuse(self) -> None:
        """Call this regularly while no broker answers: the thread may wait for them in a commit, and is not stuck."""
        if self._turning:
            self._turning.turn()

    @property
    def is_alive(self) -> bool:
        """False after the consumer has left the group."""
        return self._thread.is_alive()

    def _run(self) -> None:
        loop = self._turning = self._context.health.loop(self._thread.name, _LIMIT)
        try:
            while not self._stopping.is_set():
                loop.turn()
                self.turn()
            self._context.health.end(loop)
            self._consumer.close()
        except BaseException as error:  # noqa: BLE001 - no code joins this thread: its error must end the process
            self._context.on_crash(error)

    def turn(self) -> None:
        """Poll once, and claim what may run."""
        self._join_or_leave()
        self._fill()
        if self._records and self._context.may_claim() and not self._stopping.is_set():
            self._claim()

    def _join_or_leave(self) -> None:
        """An ill executor leaves the group: what it has not claimed, the next holder reads again."""
        if self._is_member == (not self._context.is_ill()):
            return
        self._is_member = not self._is_member
        if self._is_member:
            self._consumer.subscribe(
                [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
        else:
            self._consumer.unsubscribe()

    # Rebalance callbacks, called inside a poll

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Resume all partitions: the client keeps the pause of partitions that it keeps, or gets back later."""
        consumer.incremental_assign(partitions)
        consumer.resume(consumer.assignment())
        self._is_paused = False
        self._hold(self._held | {each.partition for each in partitions})

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._hold(self._held - {each.partition for each in partitions})
        self._records.keep_only(self._held)

    def _hold(self, held: frozenset[int]) -> None:
        self._held = held
        self._committed = {each: offset for each, offset in self._committed.items() if each in held}
        self._context.on_assigned(self._context.timeout_class, held)

    # Polling

    def _fill(self) -> None:
        self._pause_or_resume()
        message = self._consumer.poll(self._patience())
        if message is None:
            return
        self._skipper.start_list()
        self._take(message)
        self._rest()
        room = self._context.capacity - len(self._records)
        if room > 0:
            self._skipper.start_list()
            for more in self._consumer.consume(room, 0):
                self._take(more)
        if self._unknown:
            self._context.on_polled(frozenset(self._unknown), boot_seconds())
            self._unknown.clear()

    def _patience(self) -> float:
        if not self._records:
            return _POLL_SECONDS
        if self._context.may_claim():
            # Wait for several free slots for a short time, then for one: one commit then claims for all of them.
            # Both waits are short, because rebalances happen only inside a poll.
            name, slots = self._context.timeout_class, self._context.slots
            slots.wait_free(name, len(self._records), self._rest_until - boot_seconds())
            slots.wait_free(name, 1, _FULL_POLL_SECONDS)
            return 0.0
        return _FULL_POLL_SECONDS

    def _rest(self) -> None:
        """Wait until some time after the last claim, so that one commit claims what arrives meanwhile."""
        self._stopping.wait(self._rest_until - boot_seconds())

    def _pause_or_resume(self) -> None:
        """Pause only at `capacity`, far more than can be claimed soon: the client drops prefetched records then."""
        if not self._is_paused and len(self._records) >= self._context.capacity:
            self._consumer.pause(self._consumer.assignment())
            self._is_paused = True
        elif self._is_paused and len(self._records) <= self._context.capacity // 2:
            self._consumer.resume(self._consumer.assignment())
            self._is_paused = False

    def _take(self, message: Message) -> None:
        """Add the record at once: a rebalance removes the records of revoked partitions from `_records`."""
        error = message.error()
        if error is None:
            polled = _polled(message)
            if not self._records.add(polled):
                self._say_repeated([polled])
            elif polled.dispatch and polled.dispatch.sha256 is None:
                self._unknown.add(polled.dispatch.executable)
        elif error.fatal():
            raise KafkaException(error)
        elif (last := self._skipper.skip(self._consumer, message)) is not None:
            self._records.add(_skipped(message, last))
        else:
            self._errors.log(error)

    # Claiming

    def _claim(self) -> None:
        self._records.keep_only({each.partition for each in self._consumer.assignment()})
        if not self._knows_what_is_claimed():
            self._stopping.wait(_RETRY_SECONDS)
            return
        name, slots = self._context.timeout_class, self._context.slots
        chosen = self._records.choose(slots.free(name), self._context.clock.now())
        if not chosen:
            return
        taken = _to_run(chosen)
        slots.take(name, taken)
        sent = boot_seconds()
        committed = self._commit(chosen)
        acknowledged = boot_seconds()
        self._rest_until = acknowledged + rest_after(acknowledged - sent)
        claimed = self._records.settle(chosen, committed, sent)
        slots.release(name, taken - _to_run(claimed))
        if claimed:
            self._count(claimed)
            self._context.on_claimed(name, claimed)
        if len(claimed) < len(chosen):
            self._stopping.wait(_RETRY_SECONDS)

    def _knows_what_is_claimed(self) -> bool:
        """Drop what lies below the group's committed offsets, as they were before the first claim (protocol D8).

        The client starts there as well. But it was seen to return records from before.
        """
        unknown = [TopicPartition(self._topic, each) for each in self._held - self._committed.keys()]
        try:
            for each in self._consumer.committed(unknown, _COMMITTED_SECONDS) if unknown else ():
                if each.error is None:
                    self._committed[each.partition] = max(each.offset, 0)
            repeated = self._records.below(self._committed)
            for number in {each.partition for each in repeated}:
                _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, number), _COMMITTED_SECONDS)
                if end < self._committed[number]:  # the log is shorter than what was claimed: it was made anew
                    self._committed[number] = 0
        except KafkaException as error:
            _LOG.warning("committed offsets unknown", timeout_class=self._context.timeout_class, reason=str(error))
            return False
        if dropped := self._records.below(self._committed):
            self._records.drop(dropped)
            self._say_repeated(dropped)
        return self._held <= self._committed.keys()

    def _say_repeated(self, records: Collection[Polled]) -> None:
        name, offsets = self._context.timeout_class, sorted((each.partition, each.offset) for each in records)
        _LOG.warning("read again", timeout_class=name, records=len(offsets), first=offsets[0], last=offsets[-1])

    def _count(self, claimed: Collection[Chosen]) -> None:
        now = self._context.clock.now()
        for each in claimed:
            if each.decision is ClaimDecision.RUN:
                self._context.metrics.claimed(self._context.timeout_class, now - each.polled.appended_at)

    def _commit(self, chosen: Collection[Chosen]) -> set[int]:
        """The partitions whose offsets are committed; none if the commit fails."""
        offsets = [TopicPartition(self._topic, *each) for each in offsets_after(chosen).items()]
        try:
            results = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            _LOG.warning("commit failed", timeout_class=self._context.timeout_class, reason=str(error))
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


def _skipped(message: Message, last: int) -> Polled:
    """Stands for an unreadable batch. Committing it lets the group go on; its dispatches never start, so their owner
    counts them as lost.
    """
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
        # An owner writes an empty record only to close its transactions (docs/decisions/0006).
        dispatch = decode_foreign(value, Dispatch) if value is not None else None
    except UndecodableError as error:
        _LOG.error("dispatch unreadable", topic=message.topic(), partition=partition, offset=offset, reason=str(error))
    appended_at = from_epoch_ms(appended_ms)
    return Polled(partition=partition, offset=offset, appended_at=appended_at, dispatch=dispatch, read=boot_seconds())
