"""An owner without I/O: it takes inputs and returns the transaction to write."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import assert_never

from schemas.ids import OwnerId
from schemas.reasons import ProblemCode
from schemas.times import EPOCH
from schemas.topics import CDC, EVENTS, REQUESTS
from schemas.words import RunState
from streams.core.effects import Effect, PutJob, PutRequest, PutRun, PutTally, SendDispatch
from streams.core.inputs import CaughtUp, ClockAdvanced, Input, InputDeleted, TakenOver
from streams.core.room import BYTES_A_MICROSECOND, MICROSECONDS_OF_A_RECORD, TransactionRoom
from streams.core.state import OwnerState
from streams.core.step import next_due, step
from streams.core.stored import Applied
from streams.owner.backlog import Backlog
from streams.owner.failures import Failures, JobFailedError, RecordFailedError, RetryQuarantinedError, blame
from streams.owner.intake import read_input, refuse
from streams.owner.limits import Limits
from streams.owner.records import Deleted, InRecord, Queued, Reached, SilenceMark, Transaction
from streams.owner.transaction_records import owner_of, to_transaction

_NON_URGENT = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.RETRY_WAIT})


class Owner:
    """Call `offer` for records and `learn` for facts, then `prepare`; write its transaction, then call `committed`.

    Discard the owner if `prepare` or the write fails (protocol O3). The first tick waits until `reach_end` was called
    for `cdc` and every record before that call is applied (protocol O7).
    """

    def __init__(
        self, state: OwnerState, partitions: int, failures: Failures | None = None, limits: Limits | None = None
    ) -> None:
        """`failures`: those of the earlier owners."""
        self.state = state
        self._limits = limits or Limits()
        self._partitions = partitions
        self._failures = failures or Failures()
        self._records = {topic: Backlog() for topic in state.durable.applied}
        self._facts: deque[Input | SilenceMark] = deque()
        self.may_tick = False
        self._last_commit: datetime | None = None
        self._effects: list[Effect] = []
        """The effects of the steps since the last transaction."""
        self._taken: list[InRecord] = []
        """The records that may have caused them."""
        self._first_captured: InRecord | None = None
        """The first record of `cdc` that has caused one of them."""
        self._oldest_effect: datetime | None = None
        self._is_outdated = False

    def offer(self, record: InRecord) -> None:
        """Queue a record of an input topic, in the order of the offsets. Applied records are skipped."""
        self._records[record.topic].put(record)

    def reach_end(self, topic: str, offset: int) -> None:
        """Every readable record up to `offset` was offered. For `cdc`, ticks may start."""
        self._records[topic].put(Reached(offset=offset))

    def stop_ticks(self) -> None:
        """After an absence: `cdc` may have new definitions, so ticks wait until its end is reached."""
        self.may_tick = False
        self._records[CDC].drop_marks()

    def note_deleted(self, topic: str, first: int, end: int) -> None:
        """The offsets [first, end) of a topic were deleted before they were read."""
        self._records[topic].put(Deleted(first=first, end=end))

    def learn(self, fact: Input) -> None:
        """Queue an input that is no record. It needs no offset: the next owner learns it again."""
        self._facts.append(fact)

    def judge(self, silent_at: datetime) -> None:
        """Judge silence at `silent_at` once all inputs before this call are applied."""
        self._facts.append(SilenceMark(silent_at=silent_at))

    def has_room(self, topic: str) -> bool:
        """Whether the queue of a topic has room for more records."""
        waiting = self._records[topic]
        return len(waiting) < self._limits.queued and waiting.bytes < self._limits.queued_bytes

    @property
    def queued(self) -> int:
        """The number of queued records."""
        return sum(len(queue) for queue in self._records.values())

    @property
    def backlog(self) -> int:
        return self.queued + len(self._facts)

    def prepare(self, now: datetime, *, clock_is_steady: bool) -> Transaction | None:
        """Apply the queued inputs, then tick. None: no commit is needed yet.

        Raises `RecordFailedError` if the core fails on a record, `JobFailedError` if it fails in the work of a job,
        `RetryQuarantinedError`, or what `blame` returns.
        """
        if self._is_outdated:
            raise RetryQuarantinedError
        effects, room = self._effects, self.state.transaction
        if not effects:
            self._taken.clear()
        room.work_us = 0
        self._step_facts(now, effects)
        is_cut = any([self._step_records(topic, now, effects) for topic in self._records])  # noqa: C419 - all of them
        if self._ticks and clock_is_steady and not (is_cut or room.is_full):
            effects += self._step(ClockAdvanced(), now)
        if effects and self._oldest_effect is None:
            self._oldest_effect = now
        if not ((is_cut and effects) or self._is_worth_a_commit(now)):
            return None
        self._effects, self._oldest_effect = [], None
        first_captured, self._first_captured = self._first_captured, None
        self.state.begin_transaction()
        try:
            return to_transaction(self.state, effects, first_captured)
        except Exception as error:
            raise self.blame(error) from error

    def blame(self, error: Exception) -> Exception:
        """The exception to raise if the transaction of `prepare` can never be written."""
        return blame([each for each in self._taken if (each.topic, each.offset) not in self._failures.refused], error)

    def too_large(self, prepared: Transaction, error: Exception) -> Exception:
        """The exception if the brokers refuse `prepared` for its size: it names a record or job (protocol I7)."""
        found = self.blame(error)
        largest = max(prepared.records, key=lambda each: len(each.value or b""))
        owner = owner_of(largest)
        return JobFailedError(owner, error) if found is error and owner else found

    def committed(self, now: datetime) -> None:
        self._last_commit = now
        self._is_outdated = self.state.derived.is_outdated
        if not self.state.derived.newly_quarantined:
            self._failures.jobs.clear()

    def next_wake(self, now: datetime, *, clock_is_steady: bool = True) -> timedelta:
        """How long the owner has nothing to do without new inputs. Without a steady clock nothing is due."""
        ticks = self._ticks and clock_is_steady
        cut = self.state.durable.cursor is not None  # a cut tick has to end before `cdc` is applied
        waiting = len(self._records[CDC]) if cut else 0
        is_busy = self.backlog > waiting or (self._must_take_over and not cut) or self._is_outdated
        if is_busy or (ticks and (self.state.durable.cursor or self.state.has_more_to_do)):
            return timedelta(0)
        due = next_due(self.state) if ticks else None
        written = self._oldest_effect and self._oldest_effect + self._limits.batch_wait
        return min([self._limits.longest_wait, *(max(each - now, timedelta(0)) for each in (due, written) if each)])

    def _is_worth_a_commit(self, now: datetime) -> bool:
        if self._last_commit is None or now - self._last_commit >= self._limits.bare_commit_interval:
            return True
        if self.state.transaction.is_used_up:  # also by records without effects: their bytes count
            return True
        if self._oldest_effect is None:
            return False
        if self.state.transaction.is_waited_for:
            return True
        if self.state.durable.cursor or self._failures.suspects:
            return True
        return not self._may_wait_for_more(now - self._oldest_effect)

    def _may_wait_for_more(self, waited: timedelta) -> bool:
        effects, limits = self._effects, self._limits
        if self._records[CDC] and all(isinstance(each, PutJob) for each in effects):
            return len(effects) < limits.bulk and waited < limits.bulk_wait
        return len(effects) < limits.batch_size and waited < limits.batch_wait and all(map(_is_non_urgent, effects))

    def _step(self, input_: Input, now: datetime) -> list[Effect]:
        try:
            return step(self.state, input_, now)
        except Exception as error:
            self._blame_job(error)
            raise

    def _blame_job(self, error: Exception) -> None:
        owner = self.state.current_job
        if owner is not None:
            job = self.state.durable.jobs.get(OwnerId(owner))
            raise JobFailedError(owner, error, job.version if job else 0) from error

    @property
    def _must_take_over(self) -> bool:
        return bool(self.state.derived.newly_quarantined or self.state.derived.to_try)

    @property
    def _ticks(self) -> bool:
        """Whether a tick may start or continue. A cut tick continues with its own time in every case."""
        may_start = self.may_tick and not self.state.derived.to_try
        return may_start or self.state.durable.cursor is not None

    def _step_facts(self, now: datetime, effects: list[Effect]) -> None:
        if self._must_take_over and self.state.durable.cursor is None:
            effects += self._step(TakenOver(), now)
        while self._facts and not self.state.transaction.is_full:
            fact = self._facts.popleft()
            if isinstance(fact, SilenceMark):
                self._records[EVENTS].put(fact)
            else:
                effects += self._step(fact, now)

    def _step_records(self, topic: str, now: datetime, effects: list[Effect]) -> bool:
        """Whether a record was cut: it continues in the next transaction, and the tick waits for it."""
        queue, room = self._records[topic], self.state.transaction
        slice_ends = room.spent_us + room.bounds.slice_us
        while queue and not (room.is_full or (self._is_limited_to_half(topic) and _is_enough(room, slice_ends))):
            if topic == CDC and self.state.durable.cursor:
                break  # a cut tick ends with the definitions with which it started
            if self._needs_own_transaction(queue.head) and self._taken:
                break
            queued = queue.take()
            if isinstance(queued, InRecord):
                self._taken.append(queued)
                effects += self._step_record(queued, now)
                if self.state.step.is_cut:
                    queue.put_back(queued)
                    return True
            else:
                effects += self._apply_mark(topic, queued, now)
        return False

    def _apply_mark(self, topic: str, mark: Reached | Deleted | SilenceMark, now: datetime) -> list[Effect]:
        """Called once every record before the mark is applied."""
        match mark:
            case Reached(offset=offset):
                self._apply(topic, offset)
                self.may_tick |= topic == CDC
                return []
            case Deleted(first=first, end=end):
                first = max(first, self.state.durable.applied[topic].offset + 1)
                is_new = (
                    self.state.durable.watermark == EPOCH
                )  # the first owner of a partition starts at the topic's first offset
                self._apply(topic, end - 1)
                deleted = InputDeleted(topic=topic, first=first, last=end - 1)
                return [] if is_new or first >= end else self._step(deleted, now)
            case SilenceMark(silent_at=silent_at):
                return self._step(CaughtUp(as_of=silent_at), now)
            case _:
                assert_never(mark)

    def _is_limited_to_half(self, topic: str) -> bool:
        """Users' records leave half of a transaction to the tick; executors' reports may use all of it."""
        return topic == REQUESTS or (topic == CDC and self._ticks)

    def _needs_own_transaction(self, record: Queued) -> bool:
        """Whether the record needs its own transaction, or follows one that does."""
        suspects = self._failures.suspects
        return bool(suspects) and (
            (isinstance(record, InRecord) and (record.topic, record.offset) in suspects)
            or any((each.topic, each.offset) in suspects for each in self._taken)
        )

    def _step_record(self, record: InRecord, now: datetime) -> list[Effect]:
        if record.offset <= self.state.durable.applied[record.topic].offset:
            return []
        size = len(record.value or b"")
        self.state.transaction.spend(bytes=size, work_us=MICROSECONDS_OF_A_RECORD + size // BYTES_A_MICROSECOND)
        effects = self._effects_of(record, now)
        if self.state.step.is_cut:
            return effects
        self._apply(record.topic, record.offset)
        if effects and record.topic == CDC and self._first_captured is None:
            self._first_captured = record
        return effects

    def _apply(self, topic: str, offset: int) -> None:
        applied = self.state.durable.applied[topic]
        if offset > applied.offset:
            self.state.durable.applied[topic] = Applied(topic=topic, topic_id=applied.topic_id, offset=offset)

    def _effects_of(self, record: InRecord, now: datetime) -> list[Effect]:
        reason = self._failures.refused.get((record.topic, record.offset))
        if reason:
            return self._step(refuse(record, ProblemCode.RECORD_FAILED, reason), now)
        try:
            return step(self.state, read_input(record, self.state.partition, self._partitions), now)
        except Exception as error:
            self._blame_job(error)
            raise RecordFailedError(record, error) from error


def _is_enough(room: TransactionRoom, slice_ends: int) -> bool:
    return room.is_half_full or room.spent_us >= slice_ends


def _is_non_urgent(effect: Effect) -> bool:
    """Only stores something, or adds to a queue that is long enough. What the end of a run allows is another effect."""
    match effect:
        case PutRun(run=run):
            return run.state in _NON_URGENT or run.state.is_final
        case _:
            return isinstance(effect, PutTally | PutRequest | SendDispatch)
