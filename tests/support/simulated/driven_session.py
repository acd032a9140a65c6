"""The real session of a partition, driven over a log in memory: tests put faults between two calls of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from streams.core.inputs import Input
from streams.core.policy.rules import Rules
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
    """What happens to a commit."""

    LOST = "lost"
    """It never reaches the log."""
    UNKNOWN = "unknown"
    """It is in the log; the session does not hear of it."""


class Driven:
    """One session over the log of its partition, stopped whenever it waits for a delivery."""

    def __init__(
        self,
        log: Log,
        rules: Rules,
        limits: Limits,
        *,
        failing: dict[type[Call[Any]], Exception] | None = None,
        failures: int | None = None,
        before: Callable[[Call[Any]], object] = lambda _: None,
    ) -> None:
        """`failing`: calls that fail, with the error; the first so many `failures` of them, or all. `before` happens
        before each call is carried out.
        """
        self.session = Session(log.partition, log.partitions, rules, TOPIC_IDS, limits)
        self.is_held: bool | None = True
        self.may_leave = True
        self.is_steady = True
        self.is_stopping = False
        self.is_handing_over = False
        self._before = before
        self.fault: Fault | None = None
        """Of the next commit."""
        self.failing = failing or {}
        self._failures = failures
        self._hooks: dict[type[Call[Any]], tuple[int, Callable[[], object]]] = {}
        self._dies: tuple[int, bool] | None = None
        self.too_large: int | None = None
        """Bytes of a dispatch that the brokers do not take."""
        self.claims: dict[str, int] | None = None
        """What executors have claimed, by timeout class; None: the brokers do not answer."""
        self.executor_ends: dict[int, int] | None = None
        self.heartbeats_read: dict[int, int] = {}
        self.calls: list[Call[Any]] = []
        """All that the session asked for, in order."""
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
        """What lies before the session: in its owner, on its way to it, and in the input topics behind what it has."""
        applied = self.state.durable.applied
        unread = sum(len(records) - 1 - applied[topic].offset for topic, records in self._log.inputs.items())
        return self.owner.backlog + len(self._delivered) + unread

    def offer(self, record: InRecord | Input | Resync) -> None:
        """It is delivered: the session takes it in its next turn."""
        self._delivered.append(record)

    def learn(self, fact: Input) -> None:
        self.offer(fact)

    def judge(self, as_of: datetime) -> None:
        self.owner.judge(as_of)

    def next_wake(self, now: datetime) -> timedelta:
        return timedelta(0) if self._delivered else self.owner.next_wake(now, clock_is_steady=self.is_steady)

    @property
    def waits(self) -> Call[Any] | None:
        """The call that it waits for; None: it has ended."""
        return self._call

    def when(self, call: type[Call[Any]], act: Callable[[], object], *, after: int) -> None:
        """Something happens at the so-manieth call of a kind from now on."""
        self._hooks[call] = after, act

    def die_at(self, call: int, *, is_done: bool) -> None:
        """The process ends at its so-manieth call from now on, once that is carried out or before."""
        self._dies = call, is_done

    def turn(self) -> Transaction | None:
        """From one delivery to the next; what was written in between."""
        self._written = None
        assert isinstance(self._call, Take), self._call
        count = min(len(self._delivered), self._call.limit)
        items = tuple(self._delivered.popleft() for _ in range(count))
        self._advance(self._answer_to(Taken(items=items, is_all=not self._delivered)))
        return self._written

    def _advance(self, answer: Answer | None) -> None:
        """Until it waits for a delivery, or has ended."""
        try:
            self._call = next(self._generator) if answer is None else self._generator.send(answer)
            while not isinstance(self._call, Take):
                self.calls.append(self._call)
                if self._is_dead_at(self._call):
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

    def _is_dead_at(self, call: Call[Any]) -> bool:
        if self._dies is None:
            return False
        left, is_done = self._dies
        self._dies = left - 1, is_done
        if left == 1 and is_done:
            with suppress(LogFailedError):
                self._carry_out(call)
        return left == 1

    def _happen(self, call: Call[Any]) -> None:
        left, act = self._hooks.get(type(call), (0, None))
        if act and left == 1:
            act()
        if act:
            self._hooks[type(call)] = left - 1, act

    def _answer_to(self, value: Any) -> Answer:
        reading = ClockReading(now=self._log.now, is_steady=self.is_steady, boot_seconds=self._log.now.timestamp())
        return Answer(value=value, reading=reading, is_stopping=self.is_stopping, is_handing_over=self.is_handing_over)

    def _carry_out(self, call: Call[Any]) -> Any:
        self._happen(call)
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

    _ANSWERS: ClassVar[dict[type[Call[Any]], Callable[[Driven, Any], Any]]] = {
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
