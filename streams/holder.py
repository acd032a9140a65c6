"""The thread that holds one partition: it carries out what its session asks for, with Kafka, and nothing of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar, assert_never

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException

from schemas.cluster_clock import AGREE_SECONDS
from schemas.kept_clock import KeptClock
from streams.clock import boot_seconds
from streams.core.inputs import Input
from streams.core.policy.rules import Rules
from streams.groups import Groups, LogUnreachableError
from streams.log import OwnerLog
from streams.owner import calls as c
from streams.owner.failures import JobFailedError, RecordFailedError, TransactionFailedError
from streams.owner.holdings import Holder as HolderId
from streams.owner.holdings import Holdings
from streams.owner.limits import Limits
from streams.owner.records import Forwarding, InRecord, Transaction
from streams.owner.roll import Roll
from streams.owner.session import Session

log = structlog.get_logger()

T = TypeVar("T")
Delivered = InRecord | Input | c.Resync | c.Undelivered

MAX_WAITING = 20_000
"""Deliveries that may wait in a holder's inbox. Beyond, records are dropped, and the session reads them by itself."""
HAND_OVER_SECONDS = 25.0
"""A partition that no other worker takes over in this time is let go: service managers kill after 30 s. The next owner
of 100,000 jobs takes some seconds to read them."""
TURN_SECONDS = 1.0
"""A takeover waits so long for its turn: one that stands still holds up nobody for longer."""
CLOCKS_AGREE = timedelta(seconds=AGREE_SECONDS)
DECIDED_AHEAD = (
    "schedules are decided up to a time that is not reached yet, because a wrong clock was believed; "
    "until then nothing more is due in this partition (docs/clocks.md)"
)
_NEVER_FITS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class Inbox:
    """What is delivered to a holder, from any thread, in order and in bounded memory."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Delivered | None] = queue.SimpleQueue()
        self._drops = False
        """The record that came last was dropped."""

    def put(self, item: Delivered) -> None:
        """Records come from one thread. What else is delivered is no record, and says nothing about those."""
        if not isinstance(item, InRecord):
            self._queue.put(item)
            return
        drops = self._queue.qsize() >= MAX_WAITING
        if drops is not self._drops:  # at the end too: an earlier pull may be over before the last one was dropped
            self._queue.put(c.Resync())
        if not drops:
            self._queue.put(item)
        self._drops = drops

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def wake(self) -> None:
        """End a wait for a delivery."""
        self._queue.put(None)

    def take(self, take: c.Take, stopping: threading.Event) -> c.Taken:
        """See `Take`."""
        items: list[Delivered | None] = []
        until = boot_seconds() + take.patience.total_seconds()
        try:
            if take.patience:
                items.append(self._queue.get(timeout=take.patience.total_seconds()))
                stopping.wait(min(take.rest_until, until) - boot_seconds())
            while len(items) < take.limit:
                items.append(self._queue.get_nowait())
        except queue.Empty:
            return _taken(items, is_all=True)
        return _taken(items, is_all=False)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder works with; one set for all holders of a worker."""

    rules: Rules
    partitions: int
    clock: KeptClock
    groups: Groups
    member_id: Callable[[], str]
    """Of this worker in its group, at this moment."""
    open_log: Callable[[int], OwnerLog]
    forward: Callable[[Collection[Forwarding]], None]
    topic_ids: dict[str, str]
    """Of the input topics (protocol O2)."""
    holdings: Holdings
    roll: Roll
    turns: threading.Semaphore
    """Few partitions are taken over at once: the owners before the others still decide, and each gap is short."""
    lock: threading.Lock
    """Around every use of `holdings` and `roll`."""
    on_committed: Callable[[int, dict[str, int]], None]
    """(partition, applied offset by topic): may be acknowledged."""
    on_recovered: Callable[[], None]
    on_gone: Callable[[HolderId], None]
    on_crashed: Callable[[], None]
    """An invariant is broken: the worker ends, and its restart recovers from the log."""


class Holder(threading.Thread):
    """Feed it through `inbox`. It ends after `stop`, or when another worker takes the partition over."""

    def __init__(self, number: HolderId, partition: int, parts: Parts, limits: Limits | None = None) -> None:
        super().__init__(name=f"owner-{partition}", daemon=True)
        self.partition = partition
        self.inbox = Inbox()
        self.progress = 0
        """How far the best takeover has come since the partition had an owner. A takeover that fails at the same place
        each time makes no progress."""
        self._came = 0
        """How far this one has come."""
        self._number, self._parts = number, parts
        self._session = Session(partition, parts.partitions, parts.rules, parts.topic_ids, limits)
        self._stopping = threading.Event()
        self._hands_over_until: float | None = None
        """By the boot clock; None: it does not hand over."""
        self._has_turn = False
        self._log: OwnerLog | None = None

    def stop(self) -> None:
        self._stopping.set()
        self.inbox.wake()

    def hand_over(self) -> None:
        """Decide until another worker fences, for `HAND_OVER_SECONDS` at most. Authority is the producer's epoch and
        not the group (protocol O5), so nothing waits for a rebalance.
        """
        self._hands_over_until = boot_seconds() + HAND_OVER_SECONDS
        self.inbox.put(c.Undelivered())

    def run(self) -> None:
        try:
            self._drive()
        except Exception:
            log.exception("owner_crashed", partition=self.partition)
            self._parts.on_crashed()
        self._close()
        self._end_turn()
        self._parts.on_gone(self._number)
        log.info("owner_gone", partition=self.partition)

    def _drive(self) -> None:
        """Carry out one call after the other, until the session has no more of them."""
        calls = self._session.calls()
        try:
            call = next(calls)
            while True:
                try:
                    value = self._answer(call)
                except (KafkaException, LogUnreachableError) as error:
                    call = calls.throw(_failure(error))
                else:
                    self._note(call, value)
                    call = calls.send(self._answer_with(value))
        except StopIteration:
            return

    def _answer_with(self, value: Any) -> c.Answer:
        reading, until = self._reading(), self._hands_over_until
        return c.Answer(
            value=value,
            reading=reading,
            is_stopping=self._stopping.is_set() or (until is not None and reading.boot_seconds > until),
            hands_over=until is not None,
        )

    def _note(self, call: c.Call[Any], value: Any) -> None:
        """It was carried out."""
        for refused in self._log.take_refused() if self._log else ():
            self.inbox.put(refused)
        match call:
            case c.Failed():
                self._came = 0
            case c.Recovered():
                self.progress = self._came = 0
            case c.Prepare() | c.Fence() | c.Settle() | c.ReadUnclaimed() | c.Commit():
                self._come_on()
            case c.Read() if value.records:
                self._come_on()
            case _:
                pass

    def _come_on(self) -> None:
        self._came += 1
        self.progress = max(self.progress, self._came)

    def _reading(self) -> c.Reading:
        clock = self._parts.clock
        return c.Reading(now=clock.now(), is_steady=clock.is_steady, boot_seconds=boot_seconds())

    def _answer(self, call: c.Call[Any]) -> Any:
        match call:
            case c.Take():
                return self.inbox.take(call, self._stopping)
            case c.Commit(transaction=transaction):
                return self._commit(transaction)
            case c.Forward(records=records):
                return self._parts.forward(records)
            case c.Pause(length=length):
                return self._stopping.wait(length.total_seconds())
            case c.Ask() | c.Leave() | c.HeartbeatsRead() | c.KnownHeartbeats() | c.Recovered() | c.Failed():
                return self._answer_for_worker(call)
            case _:
                return self._answer_from_log(call)

    def _answer_from_log(self, call: c.Call[Any]) -> Any:  # noqa: PLR0911 - a dispatch table
        match call:
            case c.Prepare():
                return self._open_log().prepare()
            case c.Fence():
                return self._open_log().fence()
            case c.Settle():
                return self._open_log().settle()
            case c.ReadState(after=after):
                return self._counted(self._open_log().read_state(after))
            case c.ReadUnclaimed():
                return self._open_log().unclaimed()
            case c.Read():
                return self._open_log().read(call)
            case c.ReadClaims():
                return self._open_log().claimed_below()
            case c.ReadExecutorEnds():
                return self._open_log().ends_of_executors()
            case _:
                raise TypeError(f"no holder knows the call {call}")

    def _answer_for_worker(
        self, call: c.Ask | c.Leave | c.HeartbeatsRead | c.KnownHeartbeats | c.Recovered | c.Failed
    ) -> Any:
        """What this worker's other threads know or want to hear."""
        parts, where = self._parts, (self.partition, self._number)
        match call:
            case c.Ask():
                return self._ask()
            case c.Leave():
                with parts.lock:
                    return parts.holdings.leave(*where)
            case c.HeartbeatsRead():
                with parts.lock:
                    return c.HeardSoFar(read=parts.roll.read, waiting=self.inbox.waiting)
            case c.KnownHeartbeats():
                with parts.lock:
                    return parts.roll.latest()
            case c.Recovered():
                self._end_turn()
                with parts.lock:
                    parts.holdings.recover(*where)
                log.info("owner_recovered", partition=self.partition, **_facts(call))
                _say_if_ahead(self.partition, call.watermark - parts.clock.now())
                return parts.on_recovered()
            case c.Failed():
                self._end_turn()
                with parts.lock:
                    parts.holdings.fail(*where)
                self._close()
                return self._log_failure(call)
            case _:
                assert_never(call)

    def _ask(self) -> bool | None:
        """The answer begins a turn, which ends with the recovery or its failure."""
        parts = self._parts
        self._has_turn = self._has_turn or parts.turns.acquire(timeout=TURN_SECONDS)
        with parts.lock:
            parts.holdings.ask(self.partition, self._number)
        is_held = parts.groups.holds(self.partition, parts.member_id())
        if not is_held:
            self._end_turn()
        return is_held

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._parts.turns.release()

    def _commit(self, transaction: Transaction) -> c.Written:
        began = boot_seconds()
        placed = self._open_log().commit(transaction)
        written = c.Written(placed=placed, seconds=boot_seconds() - began)
        with self._parts.lock:
            self._parts.holdings.apply(self.partition, self._number, transaction.applied)
        self._parts.on_committed(self.partition, transaction.applied)
        return written

    def _counted(self, entries: Iterable[T]) -> Iterator[T]:
        """The session reads entries one by one; a failure of the log is raised there."""
        try:
            for entry in entries:
                self._come_on()
                yield entry
        except (KafkaException, LogUnreachableError) as error:
            raise _failure(error) from error

    def _log_failure(self, failed: c.Failed) -> None:
        error = failed.error
        if isinstance(error, RecordFailedError | TransactionFailedError | JobFailedError):
            log.error("core_failed", partition=self.partition, exc_info=error)
        elif self._hands_over_until is not None:  # it was fenced, as it waits for
            log.info("owner_handed_over", partition=self.partition, reason=str(error))
        else:
            log.warning("owner_failed", partition=self.partition, phase=failed.phase, error=str(error))

    def _open_log(self) -> OwnerLog:
        if self._log is None:
            self._log = self._parts.open_log(self.partition)
        return self._log

    def _close(self) -> None:
        if self._log:
            self._log.close()
        self._log = None


def _taken(items: Iterable[Delivered | None], *, is_all: bool) -> c.Taken:
    return c.Taken(items=tuple(each for each in items if each is not None), is_all=is_all)


def _failure(error: KafkaException | LogUnreachableError) -> c.LogFailedError:
    never_fits = isinstance(error, KafkaException) and error.args[0].code() in _NEVER_FITS
    failure = c.LogFailedError(str(error), never_fits=never_fits)
    failure.__cause__ = error
    return failure


def _facts(recovered: c.Recovered) -> dict[str, object]:
    return {
        "jobs": recovered.jobs,
        "open_runs": recovered.open_runs,
        "watermark": recovered.watermark.isoformat(),
    }


def _say_if_ahead(partition: int, ahead: timedelta) -> None:
    if ahead > CLOCKS_AGREE:
        log.error("decided_ahead", partition=partition, seconds=ahead.total_seconds(), note=DECIDED_AHEAD)
