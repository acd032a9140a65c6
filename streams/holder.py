"""The thread that holds one partition: it takes over, drives the owner, and starts again after any failure."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import assert_never

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException

from schemas.ids import RunId
from schemas.topics import EVENTS
from streams.clock import WorkerClock, boot_seconds
from streams.core.inputs import ClaimsSeen, DispatchesCommitted, DispatchesFound, Input, WasAway
from streams.core.leases import wants_claims, wants_judgement
from streams.core.rules import Rules
from streams.groups import Groups, LogUnreachableError
from streams.log import OwnerLog
from streams.owner.failures import Failures, RecordFailedError, TransactionFailedError
from streams.owner.fence import Happening, Phase, next_phase
from streams.owner.owner import Owner
from streams.owner.records import InRecord, Transaction
from streams.owner.recover import rebuild

log = structlog.get_logger()

BACKOFF_SECONDS = 0.5
JUDGE_INTERVAL = timedelta(seconds=1)
"""How often silence is looked at."""
STALL = timedelta(seconds=3)
"""A loop that took longer was away: it could not read or commit (protocol L3)."""
REST_SHARE = 2
"""Between two commits a holder rests so many times as long as the first one took: on an idle machine that is next to
nothing; on a busy one, inputs gather, and fewer and larger transactions make room for the work itself."""
LONGEST_REST_SECONDS = 0.1
_NEVER_FITS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
"""Trying again is in vain (protocol I7)."""
TAKE_AT_ONCE = 2_000
"""Inputs that are taken from the inbox before the next transaction."""


class Resync(msgspec.Struct, frozen=True):
    """The group was rebalanced and this partition stayed: what Faust may have skipped is read by ourselves."""


class Stop(msgspec.Struct, frozen=True):
    """The partition is no longer ours, or the worker ends."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder works with; one set for all holders of a worker."""

    rules: Rules
    partitions: int
    clock: WorkerClock
    groups: Groups
    open_log: Callable[[int], OwnerLog]
    topic_ids: dict[str, str]
    """Of the input topics (protocol O2)."""
    heartbeats_read: Callable[[], dict[int, int]]
    """How far the topic `executors` is read, by partition."""
    on_committed: Callable[[int, dict[str, int]], None]
    """(partition, applied offset by topic): may be acknowledged."""
    on_recovered: Callable[[int], None]
    on_failed: Callable[[int], None]
    on_crashed: Callable[[], None]
    """An invariant is broken: the worker ends, and its restart recovers from the log."""


class Holder(threading.Thread):
    """Feed it through `inbox`. It ends after `Stop`, or when the partition turns out to be somebody else's."""

    def __init__(self, partition: int, parts: Parts) -> None:
        super().__init__(name=f"owner-{partition}", daemon=True)
        self.partition = partition
        self.inbox: queue.SimpleQueue[InRecord | Input | Resync | Stop] = queue.SimpleQueue()
        self._parts = parts
        self._stopping = threading.Event()
        self._log: OwnerLog | None = None
        self._failures = Failures()

    def stop(self) -> None:
        self._stopping.set()
        self.inbox.put(Stop())

    def run(self) -> None:
        try:
            self._hold()
        except Exception:
            log.exception("owner_crashed", partition=self.partition)
            self._parts.on_crashed()

    def _hold(self) -> None:
        phase = Phase.ASKING
        while phase is not Phase.GONE:
            try:
                happening = self._live(phase)
            except (KafkaException, LogUnreachableError) as error:
                log.warning("owner_failed", partition=self.partition, phase=phase.value, error=str(error))
                happening = Happening.FAILED
            except (RecordFailedError, TransactionFailedError) as error:
                log.exception("record_failed", partition=self.partition)
                self._failures.note(error)
                happening = Happening.FAILED
            if happening is Happening.FAILED:
                self._parts.on_failed(self.partition)
            phase = next_phase(phase, Happening.UNASSIGNED if self._stopping.is_set() else happening)
        self._close()
        log.info("owner_gone", partition=self.partition)

    def _live(self, phase: Phase) -> Happening:
        match phase:
            case Phase.ASKING:
                return _answer(self._parts.groups.holds(self.partition))
            case Phase.RECOVERING:
                self._owner = self._recover()
                return Happening.RECOVERED
            case Phase.RUNNING:
                _Session(self.partition, self._parts, self._open_log(), self._owner, self.inbox, self._stopping).run()
                return Happening.UNASSIGNED
            case Phase.BACKING_OFF:
                self._close()
                self._stopping.wait(BACKOFF_SECONDS)
                return Happening.WAITED
            case Phase.GONE:
                return Happening.UNASSIGNED
            case _:
                assert_never(phase)

    def _recover(self) -> Owner:
        """Fence, settle, read `state`, and offer what the input topics hold behind it."""
        parts, log_ = self._parts, self._open_log()
        log_.fence()
        log_.settle()
        state = rebuild(self.partition, parts.rules, log_.read_state(), parts.topic_ids, parts.clock.now())
        self._failures.forget({topic: each.offset for topic, each in state.durable.applied.items()})
        owner = Owner(state, parts.partitions, self._failures)
        owner.learn(DispatchesFound(offsets=log_.unclaimed()))
        _read_gap(log_, owner)
        owner.reached_end_of_cdc()
        log.info(
            "owner_recovered",
            partition=self.partition,
            jobs=len(state.durable.jobs),
            open_runs=len(state.durable.runs),
            watermark=state.durable.watermark.isoformat(),
            backlog=owner.backlog,
        )
        return owner

    def _open_log(self) -> OwnerLog:
        if self._log is None:
            self._log = self._parts.open_log(self.partition)
        return self._log

    def _close(self) -> None:
        if self._log:
            self._log.close()
        self._log = None


class _Session:
    """From a recovery to the next failure: take inputs, step, commit, judge."""

    def __init__(
        self,
        partition: int,
        parts: Parts,
        log_: OwnerLog,
        owner: Owner,
        inbox: queue.SimpleQueue[InRecord | Input | Resync | Stop],
        stopping: threading.Event,
    ) -> None:
        self._partition, self._parts, self._log, self._owner, self._inbox = partition, parts, log_, owner, inbox
        self._stopping = stopping
        self._rested_at = 0.0
        self._next_judgement: datetime | None = None
        self._ends_at: tuple[datetime, dict[int, int]] | None = None

    def run(self) -> None:
        """Returns when told to stop. Raises whatever the log raises; then this session's memory is worthless."""
        self._owner.learn(WasAway())
        self._step()
        self._parts.on_recovered(self._partition)
        last_turn = self._parts.clock.now()
        while self._take(self._owner.next_wake(last_turn, clock_is_steady=self._parts.clock.is_steady)):
            now = self._parts.clock.now()
            if now - last_turn > STALL:
                self._owner.learn(WasAway())
            last_turn = now
            self._judge(now)
            self._step()

    def _take(self, patience: timedelta) -> bool:
        """Wait for an input, and for the end of the rest; then take what is there. False: stop."""
        items: list[InRecord | Input | Resync | Stop] = []
        until = boot_seconds() + patience.total_seconds()
        try:
            if patience:
                items.append(self._inbox.get(timeout=patience.total_seconds()))
                self._stopping.wait(min(self._rested_at, until) - boot_seconds())
            while len(items) < TAKE_AT_ONCE:
                items.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return all([self._accept(item) for item in items])  # noqa: C419 - every item counts, also behind a Stop

    def _accept(self, item: InRecord | Input | Resync | Stop) -> bool:
        match item:
            case Stop():
                return False
            case Resync():
                _read_gap(self._log, self._owner)
            case InRecord():
                self._owner.offer(item)
            case _:
                self._owner.learn(item)
        return True

    def _step(self) -> None:
        clock = self._parts.clock
        prepared = self._owner.prepare(clock.now(), clock_is_steady=clock.is_steady)
        if prepared:
            self._commit(prepared)

    def _commit(self, prepared: Transaction) -> None:
        began = boot_seconds()
        placed = self._write(prepared)
        ended = boot_seconds()
        self._rested_at = ended + min(REST_SHARE * (ended - began), LONGEST_REST_SECONDS)
        self._owner.committed(self._parts.clock.now())
        if placed:
            self._owner.learn(DispatchesCommitted(offsets=placed))
        self._parts.on_committed(self._partition, prepared.applied)

    def _write(self, prepared: Transaction) -> dict[RunId, tuple[int, int]]:
        try:
            return self._log.commit(prepared)
        except KafkaException as error:
            if error.args[0].code() in _NEVER_FITS:
                raise self._owner.blamed(error) from error
            raise

    def _judge(self, now: datetime) -> None:
        """First the claims, then `events` and heartbeats to an end fetched afterwards, then the verdict (D5, L3)."""
        if self._ends_at is not None:
            self._finish_judgement(*self._ends_at)
        elif self._next_judgement is None or now >= self._next_judgement:
            self._next_judgement = now + JUDGE_INTERVAL
            state = self._owner.state
            if wants_claims(state, now):
                self._owner.learn(ClaimsSeen(claimed_below=self._log.claimed_below(), as_of=now))
            if wants_judgement(state, now):
                self._ends_at = (now, self._log.ends_of_executors())

    def _finish_judgement(self, as_of: datetime, ends: dict[int, int]) -> None:
        """Heartbeats up to `ends` are in the inbox once they are read, and are taken before this is called again."""
        read = self._parts.heartbeats_read()
        if any(read.get(partition, 0) < end for partition, end in ends.items()):
            return
        self._drain_heartbeats()
        _read_gap_of(self._log, self._owner, EVENTS)
        self._owner.judge(as_of)
        self._ends_at = None

    def _drain_heartbeats(self) -> None:
        while True:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return
            if not self._accept(item):
                self._inbox.put(item)
                return


def _read_gap(log_: OwnerLog, owner: Owner) -> None:
    """What lies between the applied offsets and the ends of the input topics, whatever the group's offsets say."""
    for topic in owner.state.durable.applied:
        _read_gap_of(log_, owner, topic)


def _read_gap_of(log_: OwnerLog, owner: Owner, topic: str) -> None:
    for record in log_.read_input(topic, owner.state.durable.applied[topic].offset):
        owner.offer(record)


def _answer(is_held: bool | None) -> Happening:  # noqa: FBT001 - the answer itself, not a switch
    if is_held is None:
        return Happening.UNDECIDED
    return Happening.HELD if is_held else Happening.NOT_HELD
