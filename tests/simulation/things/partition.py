"""A partition of a worker: it carries out the calls of the real session. A fault can come before or after each call."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import msgspec

from streams.owner import session_calls as c
from streams.owner.assignments import AssignmentId
from streams.owner.session import Session
from streams.partition_thread import HANDOVER_SECONDS, Inbox
from tests.simulation.things.owner_log import OwnerLog

if TYPE_CHECKING:
    from tests.simulation.things.worker import Worker

NO_ANSWER_SECONDS = 2.0
"""How long a call to brokers that do not answer takes."""
NO_TIME = timedelta(0)
NEVER_STOPPING = Event()


class CallFault(msgspec.Struct, frozen=True, kw_only=True):
    """What happens at a call of a session."""

    dies: bool = False
    fails: bool = False
    is_done: bool = False
    """The call is carried out before the fault."""
    delay: float = 0.0
    """The worker is frozen for so many seconds first."""


class Partition:
    def __init__(self, worker: Worker, assignment_id: AssignmentId, number: int) -> None:
        self.worker, self.assignment_id, self.number = worker, assignment_id, number
        self._deployment = worker.deployment
        self.session = Session(
            number, worker.deployment.partitions, worker.core, worker.topic_ids, worker.deployment.limits
        )
        self.inbox = Inbox()
        self.progress = self._takeover_progress = 0
        self._calls = self.session.calls()
        self._log: OwnerLog | None = None
        self._take: c.Take | None = None
        """The session waits for a delivery."""
        self._wait = 0
        """Names the wait, so that a late end of an earlier one does nothing."""
        self._is_waking = False
        self._handover_until: float | None = None
        self._is_stopping = False
        self.has_ended = False

    def start(self) -> None:
        self._drive(lambda: next(self._calls))

    def start_handover(self) -> None:
        self._handover_until = self.worker.world.boot() + HANDOVER_SECONDS
        self.inbox.put(c.DeliveryStopped())
        self.wake()

    def deliver(self, item: Any) -> None:
        self.inbox.put(item)
        self.wake()

    # Waiting

    def wake(self) -> None:
        if self._take is not None and not self._is_waking:
            self._is_waking = True
            gather = self._take.gather_until_boot_seconds - self.worker.world.boot()
            self.worker.after(max(0.0005, gather), self._wake, self._wait)

    def _wake(self, wait: int) -> None:
        if wait != self._wait or self._take is None:
            return
        take, self._take, self._is_waking = self._take, None, False
        self._wait += 1
        items: list[Any] = []
        while len(items) < take.limit and self.inbox.waiting:
            items += self._get(take.limit - len(items))
        self._answer(take, c.Taken(items=tuple(items), is_all=not self.inbox.waiting))

    def _get(self, limit: int) -> tuple[Any, ...]:
        immediate = c.Take(patience=NO_TIME, gather_until_boot_seconds=0.0, limit=limit)
        return self.inbox.take(immediate, NEVER_STOPPING).items

    # Driving

    def _drive(self, advance: Any) -> None:
        """Carry out calls until the session waits, or ends."""
        if self.has_ended:
            return
        try:
            call = advance()
            while call is not None:
                call = self._carry_out(call)
        except StopIteration:
            self._end()
        except Exception as error:  # noqa: BLE001 - a broken invariant ends the worker, as in the product
            self._deployment.witness.crashed(self.worker.name, error)
            self.worker.crash()

    def _carry_out(self, call: c.Call[Any]) -> c.Call[Any] | None:
        """The next call; None: an event answers this one later."""
        name = type(call).__name__
        self.worker.world.coverage["call", name] += 1
        fault = self.worker.fault_at(name)
        if fault is not None:
            return self._break(call, fault)
        match call:
            case c.Take():
                self._take, self._is_waking = call, False
                if not call.patience or self.inbox.waiting:
                    self.wake()
                else:
                    self.worker.after(call.patience.total_seconds(), self._wake, self._wait)
                return None
            case c.Commit():
                return self._begin_commit(call)
            case c.Pause():
                self.worker.after(call.length.total_seconds(), self._answer, call, None)
                return None
        try:
            value = self._value(call)
        except c.LogFailedError as error:
            return self._fail(error)
        return self._send(call, value)

    def _send(self, call: c.Call[Any], value: Any) -> c.Call[Any]:
        if isinstance(call, c.Prepare | c.Fence | c.Settle | c.ReadUnclaimed | c.Commit) or (
            isinstance(call, c.Read) and value.records
        ):
            self._takeover_progress += 1
            self.progress = max(self.progress, self._takeover_progress)
        return self._calls.send(self._answer_with(value))

    def _answer(self, call: c.Call[Any], value: Any) -> None:
        self._drive(lambda: self._send(call, value))

    def _fail(self, error: c.LogFailedError) -> c.Call[Any] | None:
        if str(error) == "no broker answers":
            self.worker.after(NO_ANSWER_SECONDS, self._throw, error)
            return None
        return self._calls.throw(error)

    def _throw(self, error: c.LogFailedError) -> None:
        self._drive(lambda: self._calls.throw(error))

    def _answer_with(self, value: Any) -> c.Answer:
        clock, until = self.worker.clock, self._handover_until
        boot = self.worker.world.boot()
        return c.Answer(
            value=value,
            reading=c.ClockReading(now=clock.now(), is_steady=clock.is_steady, boot_seconds=boot),
            is_stopping=until is not None and boot > until,
            is_handing_over=until is not None,
        )

    def _break(self, call: c.Call[Any], fault: CallFault) -> c.Call[Any] | None:
        name, world = type(call).__name__, self.worker.world
        world.coverage["fault", f"{'dies' if fault.dies else 'fails' if fault.fails else 'waits'}: {name}"] += 1
        when = "after" if fault.is_done else "before"
        if fault.dies:
            world.note(self.worker.name, f"dies {when} its call {name} for partition {self.number}")
            if fault.is_done:
                self._do_quietly(call)
            self.worker.die()
            return None
        if fault.fails:
            world.note(
                self.worker.name, f"gets no answer to its call {name}, {'done' if fault.is_done else 'not done'}"
            )
            if fault.is_done:
                self._do_quietly(call)
            self._throw_later(c.LogFailedError("the connection broke"))
            return None
        world.note(self.worker.name, f"stands still for {fault.delay:.0f} s before its call {name}")
        self.worker.freeze(fault.delay)
        self._deployment.stream_group.suspect(self.worker)
        self.worker.after(self._deployment.frozen_at_calls.get(self.worker.name, 1.0), self.worker.check_membership)
        self.worker.after(0.0, self._drive, lambda: self._carry_out(call))
        return None

    def _throw_later(self, error: c.LogFailedError) -> None:
        self.worker.after(0.01, self._throw, error)

    def _do_quietly(self, call: c.Call[Any]) -> None:
        try:
            if isinstance(call, c.Commit):
                begun, _ = self._open().begin_commit(call.transaction)
                self._open().end_commit(begun, self.worker.world.boot())
                self._deployment.witness.committed(self.number, call.transaction)
            elif not isinstance(call, c.Take | c.Pause | c.Failed | c.Recovered | c.Release):
                self._value(call)
        except c.LogFailedError:
            pass

    # Answers

    def _value(self, call: c.Call[Any]) -> Any:  # noqa: PLR0911 - a dispatch table
        match call:
            case c.CheckAssignment():
                self._open().check_reachable()
                self.worker.assignments.note_check(self.number, self.assignment_id)
                return self._deployment.stream_group.holds(self.number, self.worker.member_id)
            case c.Release():
                return self.worker.assignments.release(self.number, self.assignment_id)
            case c.GetHeartbeats():
                return self.worker.known.all_alive()
            case c.GetHeartbeatOffsets():
                return c.HeartbeatOffsets(delivered=self.worker.known.delivered, waiting=self.inbox.waiting)
            case c.Recovered():
                self._takeover_progress = self.progress = 0
                self.worker.assignments.note_recovered(self.number, self.assignment_id)
                return self.worker.world.note(self.worker.name, f"decides for partition {self.number}")
            case c.Failed():
                self._takeover_progress = 0
                self.worker.assignments.note_failed(self.number, self.assignment_id)
                self._log = None
                self._deployment.witness.failed(self.number, call)
                return self.worker.world.note(self.worker.name, f"discards owner {self.number}: {call.error}")
        self._open().check_reachable()
        return self._from_log(call, self._open())

    def _from_log(self, call: c.Call[Any], log: OwnerLog) -> Any:  # noqa: PLR0911 - a dispatch table
        match call:
            case c.Prepare():
                return log.prepare()
            case c.Fence():
                self._deployment.witness.fenced(self.number, self.worker)
                return log.fence()
            case c.Settle():
                return log.settle()
            case c.ReadState(after=after):
                return log.read_state(after)
            case c.ReadUnclaimed():
                return log.unclaimed()
            case c.Read():
                return log.read(call)
            case c.ReadClaims():
                return log.claimed_below()
            case c.ReadExecutorEnds():
                return log.ends_of_executors()
            case c.Forward(records=records):
                return log.forward(records)
            case _:
                raise TypeError(f"unknown call {call}")

    # Commits

    def _begin_commit(self, call: c.Commit) -> c.Call[Any] | None:
        log, world = self._open(), self.worker.world
        try:
            log.check_reachable()
            begun, dispatches = log.begin_commit(call.transaction)
        except c.LogFailedError as error:
            return self._fail(error)
        self.worker.after(world.latency(), self._end_commit, call, begun, dispatches, world.boot())
        return None

    def _end_commit(self, call: c.Commit, begun: Any, dispatches: Any, sent: float) -> None:
        log = self._open()
        try:
            log.check_reachable()
            log.end_commit(begun, sent)
        except c.LogFailedError as error:
            self._drive(partial(self._fail, error))
            return
        self._deployment.witness.committed(self.number, call.transaction)
        self.worker.assignments.note_applied(self.number, self.assignment_id, call.transaction.applied)
        self._answer(call, c.CommitResult(dispatches=dispatches, seconds=self.worker.world.boot() - sent))

    def _open(self) -> OwnerLog:
        if self._log is None:
            self._log = self._deployment.open_log(self.worker, self.number)
        return self._log

    def _end(self) -> None:
        self.has_ended = True
        self.worker.forget(self.assignment_id)
