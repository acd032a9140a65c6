"""The thread of one partition: it carries out the calls of its session with Kafka and decides nothing itself."""

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
from streams.core.settings import CoreSettings
from streams.groups import Groups, LogUnreachableError
from streams.metrics import PartitionMetrics, Shown, StreamMetrics
from streams.owner import session_calls as c
from streams.owner.assignments import AssignmentId, Assignments
from streams.owner.failures import JobFailedError, RecordFailedError, TransactionFailedError
from streams.owner.known_heartbeats import KnownHeartbeats
from streams.owner.limits import Limits
from streams.owner.records import Forwarding, InRecord, Transaction
from streams.owner.session import Session
from streams.owner_log import OwnerLog

log = structlog.get_logger()

T = TypeVar("T")
Delivered = InRecord | Input | c.Resync | c.DeliveryStopped

MAX_WAITING = 20_000
"""Deliveries that may wait in an inbox. Records beyond this are dropped, and the session reads them itself."""
HANDOVER_SECONDS = 25.0
"""The thread ends if no other worker takes the partition over within this time: service managers kill a process after
30 s. The next owner of 100,000 jobs takes some seconds to read them."""
TURN_SECONDS = 1.0
"""A takeover waits this long for one of the `turns`: one that makes no progress delays the others no longer."""
CLOCKS_AGREE = timedelta(seconds=AGREE_SECONDS)
DECIDED_AHEAD = (
    "schedules are decided up to a time in the future, because a clock was wrong; "
    "until then nothing more becomes due in this partition (docs/clocks.md)"
)
_NEVER_FITS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class Inbox:
    """Deliveries to a partition thread, from any thread, in order and in bounded memory."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Delivered | None] = queue.SimpleQueue()
        self._is_dropping = False
        """The last record was dropped."""

    def put(self, item: Delivered) -> None:
        """Only one thread puts records. Other deliveries are never dropped."""
        if not isinstance(item, InRecord):
            self._queue.put(item)
            return
        is_dropping = self._queue.qsize() >= MAX_WAITING
        if is_dropping is not self._is_dropping:  # after the last drop too: the first pull may have ended before it
            self._queue.put(c.Resync())
        if not is_dropping:
            self._queue.put(item)
        self._is_dropping = is_dropping

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
                stopping.wait(min(take.gather_until_boot_seconds, until) - boot_seconds())
            while len(items) < take.limit:
                items.append(self._queue.get_nowait())
        except queue.Empty:
            return _taken(items, is_all=True)
        return _taken(items, is_all=False)


class WorkerContext(msgspec.Struct, frozen=True, kw_only=True):
    """What all partition threads of a worker share."""

    core_settings: CoreSettings
    partitions: int
    clock: KeptClock
    groups: Groups
    member_id: Callable[[], str]
    """The current member id of this worker in its group."""
    open_log: Callable[[int], OwnerLog]
    forward: Callable[[Collection[Forwarding]], None]
    topic_ids: dict[str, str]
    """The ids of the input topics (protocol O2)."""
    assignments: Assignments
    heartbeats: KnownHeartbeats
    turns: threading.Semaphore
    """Limits the takeovers at one time: the earlier owners of the rest still decide, so each gap is short."""
    lock: threading.Lock
    """Held around every use of `assignments` and `heartbeats`."""
    metrics: StreamMetrics
    on_committed: Callable[[int, dict[str, int]], None]
    """(partition, applied offset by topic): these offsets may be acknowledged."""
    on_recovered: Callable[[], None]
    on_failed: Callable[[], None]
    """An owner has failed, and the thread recovers its partition again."""
    on_gone: Callable[[AssignmentId], None]
    on_crashed: Callable[[], None]
    """After a broken invariant: the worker ends, and its restart recovers from the log."""


class PartitionThread(threading.Thread):
    """Reads its deliveries from `inbox`. Ends after `stop`, or when another worker takes the partition over."""

    def __init__(
        self, assignment_id: AssignmentId, partition: int, context: WorkerContext, limits: Limits | None = None
    ) -> None:
        super().__init__(name=f"owner-{partition}", daemon=True)
        self.partition = partition
        self.inbox = Inbox()
        self.progress = 0
        """The most calls that one takeover has made since the partition last had an owner. If takeovers always fail at
        the same call, it does not grow."""
        self._takeover_progress = 0
        """The same of the current takeover."""
        self._assignment_id, self._context = assignment_id, context
        self._session = Session(partition, context.partitions, context.core_settings, context.topic_ids, limits)
        self._stopping = threading.Event()
        self._handover_until_boot_seconds: float | None = None
        """None: no handover has started."""
        self._has_turn = False
        self._log: OwnerLog | None = None
        self._metrics = PartitionMetrics(partition, context.metrics)

    @property
    def shown(self) -> Shown:
        """For the metrics; any thread may read it."""
        return self._metrics.shown

    def stop(self) -> None:
        self._stopping.set()
        self.inbox.wake()

    def start_handover(self) -> None:
        """Decide until another worker fences, for `HANDOVER_SECONDS` at most. Authority is the producer's epoch, not
        the group (protocol O5), so no decision waits for a rebalance.
        """
        self._handover_until_boot_seconds = boot_seconds() + HANDOVER_SECONDS
        self.inbox.put(c.DeliveryStopped())

    def run(self) -> None:
        try:
            self._drive()
        except Exception:
            log.exception("owner_crashed", partition=self.partition)
            self._context.on_crashed()
        self._close()
        self._end_turn()
        self._metrics.end()
        self._context.on_gone(self._assignment_id)
        log.info("owner_gone", partition=self.partition)

    def _drive(self) -> None:
        """Carry out the calls one by one until the session ends."""
        calls = self._session.calls()
        try:
            call = next(calls)
            while True:
                self._metrics.turn()
                self._metrics.look(lambda: self._session.figures)
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
        reading, until = self._reading(), self._handover_until_boot_seconds
        return c.Answer(
            value=value,
            reading=reading,
            is_stopping=self._stopping.is_set() or (until is not None and reading.boot_seconds > until),
            is_handing_over=until is not None,
        )

    def _note(self, call: c.Call[Any], value: Any) -> None:
        """The call has been carried out."""
        for refused in self._log.take_refused() if self._log else ():
            self.inbox.put(refused)
        match call:
            case c.Failed():
                self._takeover_progress = 0
            case c.Recovered():
                self.progress = self._takeover_progress = 0
            case c.Prepare() | c.Fence() | c.Settle() | c.ReadUnclaimed() | c.Commit():
                self._advance()
            case c.Read() if value.records:
                self._advance()
            case _:
                pass

    def _advance(self) -> None:
        self._metrics.turn()
        self._takeover_progress += 1
        self.progress = max(self.progress, self._takeover_progress)

    def _reading(self) -> c.ClockReading:
        clock = self._context.clock
        return c.ClockReading(now=clock.now(), is_steady=clock.is_steady, boot_seconds=boot_seconds())

    def _answer(self, call: c.Call[Any]) -> Any:  # noqa: PLR0911 - a dispatch table
        match call:
            case c.Take():
                return self.inbox.take(call, self._stopping)
            case c.Commit(transaction=transaction):
                return self._commit(transaction)
            case c.Forward(records=records):
                return self._context.forward(records)
            case c.Pause(length=length):
                return self._stopping.wait(length.total_seconds())
            case c.GetHeartbeatOffsets() | c.GetHeartbeats():
                return self._answer_heartbeats(call)
            case c.CheckAssignment() | c.Release() | c.Recovered() | c.Failed():
                return self._answer_for_worker(call)
            case _:
                return self._answer_from_log(call)

    def _answer_from_log(self, call: c.Call[Any]) -> Any:  # noqa: PLR0911 - a dispatch table
        match call:
            case c.Prepare():
                return self._open_log().prepare()
            case c.Fence():
                self._metrics.fences()
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
                raise TypeError(f"unknown call {call}")

    def _answer_heartbeats(self, call: c.GetHeartbeatOffsets | c.GetHeartbeats) -> Any:
        known = self._context.heartbeats
        with self._context.lock:
            match call:
                case c.GetHeartbeatOffsets():
                    return c.HeartbeatOffsets(delivered=known.delivered, waiting=self.inbox.waiting)
                case c.GetHeartbeats():
                    return known.all_alive()
                case _:
                    assert_never(call)

    def _answer_for_worker(self, call: c.CheckAssignment | c.Release | c.Recovered | c.Failed) -> Any:
        """The calls that read or change what all threads of this worker share."""
        context, where = self._context, (self.partition, self._assignment_id)
        match call:
            case c.CheckAssignment():
                return self._check_assignment()
            case c.Release():
                with context.lock:
                    return context.assignments.release(*where)
            case c.Recovered():
                self._end_turn()
                self._metrics.recovered()
                with context.lock:
                    context.assignments.note_recovered(*where)
                log.info("owner_recovered", partition=self.partition, **_facts(call))
                _log_if_ahead(self.partition, call.watermark - context.clock.now())
                return context.on_recovered()
            case c.Failed():
                self._end_turn()
                with context.lock:
                    context.assignments.note_failed(*where)
                self._close()
                context.on_failed()
                return self._note_failure(call)
            case _:
                assert_never(call)

    def _check_assignment(self) -> bool | None:
        """Takes one of the `turns`, which the recovery or its failure returns."""
        context = self._context
        self._has_turn = self._has_turn or context.turns.acquire(timeout=TURN_SECONDS)
        with context.lock:
            context.assignments.note_check(self.partition, self._assignment_id)
        is_held = context.groups.holds(self.partition, context.member_id())
        if not is_held:
            self._end_turn()
        return is_held

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._context.turns.release()

    def _commit(self, transaction: Transaction) -> c.CommitResult:
        started = boot_seconds()
        dispatches = self._open_log().commit(transaction)
        written = c.CommitResult(dispatches=dispatches, seconds=boot_seconds() - started)
        self._metrics.committed(transaction, written.seconds, self._context.clock.now())
        with self._context.lock:
            self._context.assignments.note_applied(self.partition, self._assignment_id, transaction.applied)
        self._context.on_committed(self.partition, transaction.applied)
        return written

    def _counted(self, entries: Iterable[T]) -> Iterator[T]:
        """Count the entries as progress. The session reads them one by one, so a failure of the log is raised there."""
        try:
            for entry in entries:
                self._advance()
                yield entry
        except (KafkaException, LogUnreachableError) as error:
            raise _failure(error) from error

    def _note_failure(self, failed: c.Failed) -> None:
        error, is_handing_over = failed.error, self._handover_until_boot_seconds is not None
        self._metrics.failed(error, as_planned=is_handing_over and isinstance(error, c.LogFailedError))
        if isinstance(error, RecordFailedError | TransactionFailedError | JobFailedError):
            log.error("core_failed", partition=self.partition, exc_info=error)
        elif is_handing_over:  # another worker has fenced it, as intended
            log.info("owner_handed_over", partition=self.partition, reason=str(error))
        else:
            log.warning("owner_failed", partition=self.partition, phase=failed.phase, error=str(error))

    def _open_log(self) -> OwnerLog:
        if self._log is None:
            self._log = self._context.open_log(self.partition)
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


def _log_if_ahead(partition: int, ahead: timedelta) -> None:
    if ahead > CLOCKS_AGREE:
        log.error("decided_ahead", partition=partition, seconds=ahead.total_seconds(), note=DECIDED_AHEAD)
