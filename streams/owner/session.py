"""Work on one partition as a state machine without I/O: take over, read, decide, commit, judge silence, hand over.

`Session.calls()` is a generator of `Call`s (`session_calls.py`). The driver carries out each call and sends the answer,
or throws `LogFailedError`. The order of the calls keeps protocol O3, O4, O5, O7, O9, D5 and L3.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from streams.core.inputs import DispatchesCommitted, DispatchesFound, WasAway
from streams.core.settings import CoreSettings
from streams.owner.failures import (
    Failures,
    JobFailedError,
    RecordFailedError,
    RetryQuarantinedError,
    TransactionFailedError,
)
from streams.owner.figures import Figures, figures_of
from streams.owner.judgement import Judgement
from streams.owner.limits import Limits
from streams.owner.owner import Owner
from streams.owner.phases import Outcome, Phase, next_phase
from streams.owner.pulls import Pulls
from streams.owner.records import InRecord, Transaction
from streams.owner.recover import rebuild
from streams.owner.replay import Replay
from streams.owner.session_calls import (
    CheckAssignment,
    ClockReading,
    Commit,
    DeliveryStopped,
    Failed,
    Fence,
    Forward,
    GetHeartbeats,
    LogFailedError,
    Pause,
    Prepare,
    Read,
    ReadState,
    ReadUnclaimed,
    Recovered,
    Release,
    Resync,
    Settle,
    Steps,
    StoppedError,
    Take,
    perform,
)


class Session:
    """Lives from the assignment of a partition to its loss; has one owner after another."""

    def __init__(
        self,
        partition: int,
        partitions: int,
        settings: CoreSettings,
        topic_ids: dict[str, str],
        limits: Limits | None = None,
    ) -> None:
        """`topic_ids`: the ids of the input topics (protocol O2)."""
        self.partition = partition
        self.phase = Phase.PREPARING
        self.owner: Owner | None = None
        """The current owner, if any."""
        self._partitions, self._settings, self._topic_ids = partitions, settings, topic_ids
        self._limits = limits or Limits()
        self._failures = Failures()
        self._replay = Replay()
        """The entries of `state` read so far, for the next owner."""

    @property
    def figures(self) -> Figures | None:
        """What the owner shows of itself; None: there is no owner. Ask between two calls."""
        return None if self.owner is None else figures_of(self.owner.state)

    def calls(self) -> Steps[None]:
        """Ends when another worker has the partition, or an answer says so. An exception is a bug."""
        try:
            while self.phase is not Phase.GONE:
                outcome = yield from self._run_phase_safely(self.phase)
                self.phase = next_phase(self.phase, outcome)
        except StoppedError:
            self.phase = Phase.GONE
        self.owner = None

    def _run_phase_safely(self, phase: Phase) -> Steps[Outcome]:
        """Run a phase to its end or a failure, which makes the owner's memory useless (protocol O3)."""
        try:
            return (yield from self._run_phase(phase))
        except (RecordFailedError, TransactionFailedError, JobFailedError) as error:
            self._failures.note(error)
            failure: Exception = error
        except (LogFailedError, RetryQuarantinedError) as error:
            failure = error
        self.owner = None
        yield from perform(Failed(phase=phase.value, error=failure))
        return Outcome.FAILED

    def _run_phase(self, phase: Phase) -> Steps[Outcome]:
        match phase:
            case Phase.PREPARING:
                yield from self._prepare()
                return Outcome.PREPARED
            case Phase.CHECKING:
                return (yield from self._check_assignment())
            case Phase.RECOVERING:
                self.owner = yield from self._recover()
                return Outcome.RECOVERED
            case Phase.RUNNING:
                assert self.owner is not None
                return (yield from _DecisionLoop(self.owner, self._limits).run())
            case Phase.BACKING_OFF:
                answer = yield from perform(Pause(length=self._limits.backoff))
                return Outcome.UNASSIGNED if answer.is_handing_over else Outcome.WAITED
            case Phase.GONE:
                return Outcome.UNASSIGNED
            case _:
                assert_never(phase)

    def _prepare(self) -> Steps[None]:
        """Do what takes long and needs no authority while the earlier owner may still decide."""
        yield from perform(Prepare())
        yield from self._read_state()

    def _read_state(self) -> Steps[ClockReading]:
        answer = yield from perform(ReadState(after=self._replay.through))
        self._replay.take(answer.value)
        return answer.reading

    def _check_assignment(self) -> Steps[Outcome]:
        """Called right before fencing: a worker that was frozen must not fence the rightful owner (protocol O4).

        A session that hands over does not fence: if the worker gets the partition again, another session has it.
        """
        answer = yield from perform(CheckAssignment())
        if answer.is_handing_over:
            return Outcome.UNASSIGNED
        if answer.value is None:
            return Outcome.UNDECIDED
        if answer.value:
            return Outcome.HELD
        is_released = (yield from perform(Release())).value
        return Outcome.NOT_HELD if is_released else Outcome.UNDECIDED

    def _recover(self) -> Steps[Owner]:
        """Fence, settle, then read `state` alone (protocol O1). `_DecisionLoop` reads the input topics."""
        yield from perform(Fence())
        yield from perform(Settle())
        reading = yield from self._read_state()
        replay, self._replay = self._replay, Replay()
        state = rebuild(self.partition, self._settings, replay, self._topic_ids, reading.now, self._failures.jobs)
        self._failures.forget({topic: each.offset for topic, each in state.durable.applied.items()})
        owner = Owner(state, self._partitions, self._failures, self._limits)
        unclaimed = (yield from perform(ReadUnclaimed())).value
        heartbeats = (yield from perform(GetHeartbeats())).value  # the first step needs the executors' windows
        for heard in heartbeats:
            owner.learn(heard)
        owner.learn(DispatchesFound(offsets=unclaimed))
        return owner


class _DecisionLoop:
    """Runs from a recovery to the next failure: take deliveries, read topics, judge silence, step, commit."""

    def __init__(self, owner: Owner, limits: Limits) -> None:
        self._owner, self._limits = owner, limits
        self._pulls = Pulls()
        self._judgement = Judgement(limits)
        self._reading: ClockReading | None = None
        self._last_turn: datetime | None = None
        self._next_full_read: datetime | None = None
        """When the input topics are read to their ends, with or without deliveries."""
        self._pull_from: datetime | None = None
        """After a failed read: no pull before this time."""
        self._is_delivered = True
        self._is_recovered = False
        """`Recovered` was sent."""
        self._gather_until_boot_seconds = 0.0

    def run(self) -> Steps[Outcome]:
        """Ends only with an exception: the log failed, a record cannot be decided, or the session has to stop."""
        self._owner.learn(WasAway(since=None))
        self._start_pulls()
        while True:
            reading = yield from self._take()
            self._notice_absence(reading.now)
            yield from self._pull(reading.now)
            yield from self._judgement.advance(self._owner, self._pulls, reading.now)
            yield from self._step()

    def _take(self) -> Steps[ClockReading]:
        """Take deliveries. Drop a record of a topic that is being pulled: the pull reads it."""
        take = Take(
            patience=self._patience(),
            gather_until_boot_seconds=self._gather_until_boot_seconds,
            limit=self._limits.take_at_once,
        )
        answer = yield from perform(take)
        for item in answer.value.items:
            match item:
                case Resync(topic=None):
                    self._is_delivered = True
                    self._start_pulls()
                case Resync(topic=str(topic)):
                    self._start_pull(topic)
                case DeliveryStopped():
                    self._is_delivered, self._next_full_read = False, None
                case InRecord():
                    if not self._owner.has_room(item.topic):  # the other topics need not wait
                        self._start_pull(item.topic)
                    if not self._pulls.drop(item.topic, item.offset):
                        self._owner.offer(item)
                case _:
                    self._owner.learn(item)
        self._judgement.note_taken(self._owner, self._pulls, answer.value)
        self._reading = answer.reading
        return answer.reading

    def _patience(self) -> timedelta:
        reading = self._reading
        if reading is None or self._judgement.is_urgent or self._may_pull(reading.now):
            return timedelta(0)
        patience = self._owner.next_wake(reading.now, clock_is_steady=reading.is_steady)
        return patience if self._is_delivered else min(patience, self._limits.undelivered_interval)

    def _notice_absence(self, now: datetime) -> None:
        """After an absence no tick before `cdc` is read to its end; silence counts only in part (protocol O7, L3)."""
        if self._last_turn is not None and now - self._last_turn > self._limits.stall:
            self._owner.learn(WasAway(since=self._last_turn))
            self._owner.stop_ticks()
            self._start_pulls()
        self._last_turn = now

    def _start_pulls(self) -> None:
        for topic in self._owner.state.durable.applied:
            self._start_pull(topic)

    def _start_pull(self, topic: str) -> None:
        self._pulls.start(topic, self._owner.state.durable.applied[topic].offset)

    def _may_pull(self, now: datetime) -> bool:
        is_time = self._pull_from is None or now >= self._pull_from
        return is_time and any(map(self._owner.has_room, self._pulls.topics()))

    def _pull(self, now: datetime) -> Steps[None]:
        """Read the next part of each topic that is being pulled."""
        if self._next_full_read is None or now >= self._next_full_read:
            self._start_pulls()
            self._next_full_read = now + self._full_read_interval
        if not self._may_pull(now):
            return
        for topic in filter(self._owner.has_room, self._pulls.topics()):
            try:
                yield from self._pull_topic(topic)
            except LogFailedError:  # nothing was written, so the owner's memory is still valid
                self._pulls.postpone(topic)
                self._pull_from = now + self._limits.pull_backoff
                return

    @property
    def _full_read_interval(self) -> timedelta:
        return self._limits.pull_interval if self._is_delivered else self._limits.undelivered_interval

    def _pull_topic(self, topic: str) -> Steps[None]:
        """Read the next part. Tell the owner when it ends at the end of the topic."""
        pull, limits = self._pulls.get(topic), self._limits
        read = Read(
            topic=topic,
            after=pull.through,
            until=pull.until,
            records=limits.pull_at_once,
            bytes=limits.pull_bytes,
        )
        chunk = (yield from perform(read)).value
        if chunk.first > pull.through + 1:
            self._owner.note_deleted(topic, pull.through + 1, chunk.first)
        for record in chunk.records:
            self._owner.offer(record)
        if self._pulls.note_read(topic, chunk):
            self._owner.reach_end(topic, chunk.end - 1)

    def _step(self) -> Steps[None]:
        reading = self._reading
        assert reading is not None
        prepared = self._owner.prepare(reading.now, clock_is_steady=reading.is_steady)
        if prepared:
            yield from self._commit(prepared)
        if not self._is_recovered and self._owner.may_tick:
            self._is_recovered = True
            state = self._owner.state.durable
            yield from perform(Recovered(jobs=len(state.jobs), open_runs=len(state.runs), watermark=state.watermark))

    def _commit(self, prepared: Transaction) -> Steps[None]:
        if prepared.forwardings:
            yield from perform(Forward(records=prepared.forwardings))
        try:
            answer = yield from perform(Commit(transaction=prepared))
        except LogFailedError as error:
            raise (self._owner.too_large(prepared, error) if error.never_fits else error) from error
        rest = min(
            self._limits.commit_pause_ratio * answer.value.seconds, self._limits.longest_commit_pause.total_seconds()
        )
        self._gather_until_boot_seconds = answer.reading.boot_seconds + rest
        self._owner.committed(answer.reading.now)
        if answer.value.dispatches:
            self._owner.learn(DispatchesCommitted(offsets=answer.value.dispatches))
