"""The real session of a partition over a log in memory: a test drives it and injects faults between its calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from streams.core.inputs import Input
from streams.core.settings import CoreSettings
from streams.core.state import OwnerState
from streams.owner.intake import INPUT_TOPICS
from streams.owner.limits import Limits
from streams.owner.owner import Owner
from streams.owner.records import InRecord, Transaction
from streams.owner.session import Session
from streams.owner.session_calls import (
    Answer,
    Call,
    CheckAssignment,
    ClockReading,
    Commit,
    CommitResult,
    Fence,
    Forward,
    GetHeartbeatOffsets,
    GetHeartbeats,
    HeartbeatOffsets,
    LogFailedError,
    Read,
    ReadClaims,
    ReadExecutorEnds,
    ReadState,
    ReadUnclaimed,
    Release,
    Resync,
    Take,
    Taken,
)

if TYPE_CHECKING:
    from tests.support.simulated.log import Log

T = TypeVar("T")
TOPIC_IDS = {topic: f"{topic}-id" for topic in INPUT_TOPICS}


class Fault(Enum):
    """How a commit fails."""

    LOST = "lost"
    """The transaction never reaches the log."""
    UNKNOWN = "unknown"
    """The transaction is in the log; the session gets an error."""


class DrivenSession:
    """One session over the log of its partition. It pauses whenever it waits for a delivery."""

    def __init__(
        self,
        log: Log,
        settings: CoreSettings,
        limits: Limits,
        *,
        failing: dict[type[Call[Any]], Exception] | None = None,
        failures: int | None = None,
        before: Callable[[Call[Any]], object] = lambda _: None,
    ) -> None:
        """`failing`: the error that each kind of call raises, for the first `failures` calls, or always.
        `before` runs before each call is carried out.
        """
        self.session = Session(log.partition, log.partitions, settings, TOPIC_IDS, limits)
        self.is_held: bool | None = True
        self.may_leave = True
        self.is_steady = True
        self.is_stopping = False
        self.is_handing_over = False
        self._before = before
        self.fault: Fault | None = None
        """The fault of the next commit."""
        self.failing = failing or {}
        self._failures = failures
        self._hooks: dict[type[Call[Any]], tuple[int, Callable[[], object]]] = {}
        self._crash: tuple[int, bool] | None = None
        self.too_large: int | None = None
        """Brokers refuse a dispatch of more bytes than this."""
        self.claims: dict[str, int] | None = None
        """Offsets that executors have claimed, by timeout class; None: the brokers do not answer."""
        self.executor_ends: dict[int, int] | None = None
        self.heartbeats_read: dict[int, int] = {}
        self.calls: list[Call[Any]] = []
        """All calls of the session, in order."""
        self._log, self._delivered = log, deque[InRecord | Input | Resync]()
        self._generator = self.session.calls()
        self._written: Transaction | None = None
        self._call: Call[Any] | None = None
        self._advance(None)

    @property
    def state(self) -> OwnerState:
        return self.owner.state

    @property
    def owner(self) -> Owner:
        assert self.session.owner is not None, f"there is no owner, the session is {self.session.phase.value}"
        return self.session.owner

    @property
    def has_ended(self) -> bool:
        return self._call is None

    @property
    def backlog(self) -> int:
        """Records that are not applied yet: in the owner, delivered, or unread in the input topics."""
        applied = self.state.durable.applied
        unread = sum(len(records) - 1 - applied[topic].offset for topic, records in self._log.inputs.items())
        return self.owner.backlog + len(self._delivered) + unread

    def offer(self, record: InRecord | Input | Resync) -> None:
        """Delivers a record; the session takes it in its next turn."""
        self._delivered.append(record)

    def learn(self, fact: Input) -> None:
        self.offer(fact)

    def judge(self, as_of: datetime) -> None:
        self.owner.judge(as_of)

    def next_wake(self, now: datetime) -> timedelta:
        return timedelta(0) if self._delivered else self.owner.next_wake(now, clock_is_steady=self.is_steady)

    @property
    def waits(self) -> Call[Any] | None:
        """The call that the session waits for; None: the session has ended."""
        return self._call

    def when(self, call: type[Call[Any]], act: Callable[[], object], *, after: int) -> None:
        """Runs `act` before the call number `after` of this kind, counted from now."""
        self._hooks[call] = after, act

    def die_at(self, call: int, *, is_done: bool) -> None:
        """The process crashes at call number `call`, counted from now; `is_done`: after that call is carried out."""
        self._crash = call, is_done

    def turn(self) -> Transaction | None:
        """Runs the session from one delivery to the next; returns the transaction that it committed."""
        self._written = None
        assert isinstance(self._call, Take), self._call
        count = min(len(self._delivered), self._call.limit)
        items = tuple(self._delivered.popleft() for _ in range(count))
        self._advance(self._answer_to(Taken(items=items, is_all=not self._delivered)))
        return self._written

    def _advance(self, answer: Answer | None) -> None:
        """Runs the session until it waits for a delivery, or ends."""
        try:
            self._call = next(self._generator) if answer is None else self._generator.send(answer)
            while not isinstance(self._call, Take):
                self.calls.append(self._call)
                if self._crashes_at(self._call):
                    self._call = None
                    return
                try:
                    value = self._carry_out(self._call)
                except LogFailedError as error:
                    self._call = self._generator.throw(error)
                else:
                    self._call = self._generator.send(self._answer_to(value))
        except StopIteration:
            self._call = None

    def _crashes_at(self, call: Call[Any]) -> bool:
        if self._crash is None:
            return False
        left, is_done = self._crash
        self._crash = left - 1, is_done
        if left == 1 and is_done:
            with suppress(LogFailedError):
                self._carry_out(call)
        return left == 1

    def _run_hook(self, call: Call[Any]) -> None:
        left, act = self._hooks.get(type(call), (0, None))
        if act and left == 1:
            act()
        if act:
            self._hooks[type(call)] = left - 1, act

    def _answer_to(self, value: Any) -> Answer:
        reading = ClockReading(now=self._log.now, is_steady=self.is_steady, boot_seconds=self._log.now.timestamp())
        return Answer(value=value, reading=reading, is_stopping=self.is_stopping, is_handing_over=self.is_handing_over)

    def _carry_out(self, call: Call[Any]) -> Any:
        self._run_hook(call)
        self._before(call)
        error = self.failing.get(type(call)) if self._failures != 0 else None
        if error:
            self._failures = self._failures and self._failures - 1
            raise error
        if isinstance(call, Fence):
            self._log.fenced_by = self
        if isinstance(call, Commit):
            return self._commit(call.transaction)
        answer = self._ANSWERS.get(type(call))
        return answer(self, call) if answer else None

    _ANSWERS: ClassVar[dict[type[Call[Any]], Callable[[DrivenSession, Any], Any]]] = {
        CheckAssignment: lambda self, _: self.is_held,
        Release: lambda self, _: self.may_leave,
        ReadState: lambda self, call: self._log.state_after(call.after),
        ReadUnclaimed: lambda self, _: self._log.unclaimed(),
        GetHeartbeats: lambda self, _: self._log.heartbeats,
        Read: lambda self, call: self._log.read(call),
        ReadClaims: lambda self, _: _known(self.claims),
        ReadExecutorEnds: lambda self, _: _known(self.executor_ends),
        GetHeartbeatOffsets: lambda self, _: HeartbeatOffsets(
            delivered=self.heartbeats_read, waiting=len(self._delivered)
        ),
        Forward: lambda self, call: self._log.forwarded.extend(call.records),
    }

    def _commit(self, transaction: Transaction) -> CommitResult:
        if self._log.fenced_by is not self:
            raise LogFailedError("a later owner has fenced this one")
        fault, self.fault = self.fault, None
        if self.too_large and any(
            each.dispatch and len(each.value or b"") > self.too_large for each in transaction.records
        ):
            raise LogFailedError("message size too large", never_fits=True)
        if fault is not Fault.LOST:
            self._log.written += transaction.records
        if fault:
            raise LogFailedError(f"the commit is {fault.value}")
        self._written = transaction
        return CommitResult(dispatches={}, seconds=0)


def _known(answer: T | None) -> T:
    if answer is None:
        raise LogFailedError("the brokers do not answer")
    return answer
