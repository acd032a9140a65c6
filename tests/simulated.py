"""A log of one partition in memory, with clients that write to it, and the real session driven over it.

`Driven` answers the calls of `streams.owner.session`: tests put faults between two of them, and have no other driver.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import count
from typing import Any, ClassVar, TypeVar

import orjson

from schemas.codec import decode, encode
from schemas.control import Kill
from schemas.dag import DagSpec, NodeSpec
from schemas.dispatch import Dispatch
from schemas.event import EndCause, Ended, EventBatch, Started
from schemas.ids import RunId
from schemas.job import JobSpec
from schemas.status import RunStatus
from schemas.topics import CDC, CONTROL, EVENTS, REQUESTS, STATE, STATUS
from streams.core.inputs import DispatchesCommitted, HeartbeatHeard, Input
from streams.core.rules import Rules
from streams.core.state import OwnerState
from streams.owner.calls import (
    Answer,
    Ask,
    Call,
    Chunk,
    Commit,
    Forward,
    HeartbeatsRead,
    KnownHeartbeats,
    Leave,
    LogFailedError,
    Read,
    ReadClaims,
    ReadExecutorEnds,
    Reading,
    ReadState,
    ReadUnclaimed,
    Resync,
    Take,
    Taken,
    Written,
)
from streams.owner.limits import Limits
from streams.owner.owner import COMPANY_WAIT, Owner
from streams.owner.records import Forwarding, InRecord, OutRecord, Transaction
from streams.owner.session import Session

T = TypeVar("T")

PATIENT = Limits(stall=timedelta(days=365), pull_interval=timedelta(days=365))
"""Tests let time pass in leaps that are no absence of the owner, and deliver what they write by themselves."""
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TOPIC_IDS = {CDC: "cdc-id", EVENTS: "events-id", REQUESTS: "requests-id"}


class Log:
    """A log of one partition, in memory: of the only one, unless told otherwise."""

    def __init__(self, partition: int = 0, partitions: int = 1) -> None:
        self.partition, self.partitions = partition, partitions
        self.inputs: dict[str, list[InRecord]] = {topic: [] for topic in TOPIC_IDS}
        self.first = dict.fromkeys(TOPIC_IDS, 0)
        """By topic: the first offset that is not deleted."""
        self.written: list[OutRecord] = []
        self.forwarded: list[Forwarding] = []
        """What was sent to other partitions."""
        self.heartbeats: list[HeartbeatHeard] = []
        """The last one of each executor, for an owner that begins."""
        self.is_claimed = False
        """Executors have committed the offsets of all dispatches."""
        self.now = START

    def recover(self, rules: Rules | None = None, limits: Limits = PATIENT) -> Driven:
        """A session that has just taken over: it has read `state`, and takes its first delivery next."""
        return Driven(self, rules or Rules(), limits)

    def turn(self, owner: Driven, seconds: float = 0, *, patience: timedelta = COMPANY_WAIT) -> Transaction | None:
        """The transaction that one turn of the session brings.

        Effects that are kept for company are written, too, if `patience` is long enough for that.
        """
        self.now += timedelta(seconds=seconds)
        prepared = owner.turn()
        if prepared is None and not owner.has_ended and timedelta(0) < owner.next_wake(self.now) <= patience:
            self.now += owner.next_wake(self.now)
            prepared = owner.turn()
        return prepared

    def dispatched(self, **fields: object) -> Driven:
        """An owner with the run job#r of a job with these fields, at offset 0 of its runs partition and not claimed."""
        self.define(**fields)
        self.request("r")
        owner = self.recover()
        self.turn(owner)
        (dispatch,) = self.dispatches()
        self.place(owner, dispatch, offset=0)
        return owner

    def place(self, owner: Driven, dispatch: Dispatch, *, offset: int) -> None:
        """The owner learns where its dispatch stands in its runs partition."""
        owner.learn(DispatchesCommitted(offsets={dispatch.run_id: (dispatch.token, offset)}))

    def define(self, version: int = 1, *, deleted: bool = False, job_id: str = "job", **fields: object) -> InRecord:
        spec = JobSpec(job_id=job_id, binary="s3://tidemill/x", **fields)
        row = {
            "__table": "definitions",
            "owner": job_id,
            "kind": "job",
            "version": version,
            "valid_from": self.now.isoformat(),
            "deleted": deleted,
            "spec": None if deleted else encode(spec).decode(),
        }
        return self._append(CDC, orjson.dumps(row))

    def define_dag(self, *nodes: NodeSpec, version: int = 1, deleted: bool = False, **fields: object) -> InRecord:
        """The DAG `dag`."""
        row = {
            "__table": "definitions",
            "owner": "dag",
            "kind": "dag",
            "version": version,
            "valid_from": self.now.isoformat(),
            "deleted": deleted,
            "spec": None if deleted else encode(DagSpec(dag_id="dag", nodes=nodes, **fields)).decode(),
        }
        return self._append(CDC, orjson.dumps(row), key=b"dag")

    def request_dag(self, request_id: str, **fields: object) -> InRecord:
        named = {"dag_id": "dag", "owner": "dag", "job_id": None}
        return self.request(request_id, **{**named, **fields})

    def request(self, request_id: str, **fields: object) -> InRecord:
        row = {
            "__table": "requests",
            "request_id": request_id,
            "kind": "run",
            "owner": "job",
            "job_id": "job",
            "created_at": self.now.isoformat(),
            **fields,
        }
        return self._append(CDC, orjson.dumps(row))

    def foreign(self, request_id: str, **fields: object) -> InRecord:
        """A request in the public topic."""
        return self.alien(orjson.dumps({"request_id": request_id, "job_id": "job", **fields}))

    def alien(self, value: bytes | None, key: bytes | None = None, *, is_forwarded: bool = False) -> InRecord:
        """Anything at all in the public topic."""
        return self._append(REQUESTS, value, key=key, is_forwarded=is_forwarded)

    def again(self, record: InRecord) -> InRecord:
        """A copy of a record, further on in the log."""
        return self._append(record.topic, record.value or b"")

    def garbage(self, value: bytes) -> InRecord:
        return self._append(CDC, value)

    def report(self, *events: object) -> InRecord:
        return self._append(EVENTS, encode(EventBatch(executor_id="e.1", events=events)))

    def dispatches(self) -> list[Dispatch]:
        return [decode(r.value, Dispatch) for r in self.written if r.topic.startswith("runs.")]

    def kills(self) -> list[Kill]:
        return [decode(r.value, Kill) for r in self.written if r.topic == CONTROL]

    def stored(self) -> dict[str, bytes]:
        """What compaction leaves of `state`."""
        latest = {r.key: r.value for r in self.written if r.topic == STATE}
        return {key: value for key, value in latest.items() if value is not None}

    def history(self) -> list[RunStatus]:
        return [decode(r.value, RunStatus) for r in self.written if r.topic == STATUS]

    def statuses(self) -> dict[str, RunStatus]:
        return {status.run_id: status for status in self.history()}

    def unclaimed(self) -> dict[RunId, tuple[int, int]]:
        """(token, offset) by run: all of them, or none if `is_claimed`."""
        places = defaultdict[str, Iterator[int]](count)
        sent = [(each.dispatch, next(places[each.topic])) for each in self.written if each.dispatch]
        return {} if self.is_claimed else {run_id: (token, offset) for (run_id, token), offset in sent}

    def read(self, call: Read) -> Chunk:
        """As the log of an owner does it."""
        records, end = self.inputs[call.topic], len(self.inputs[call.topic])
        until = end if call.until is None else min(call.until, end)
        first = self.first[call.topic]
        found = tuple(records[max(call.after + 1, first) : until][: call.records])
        through = found[-1].offset if len(found) == call.records else until - 1
        return Chunk(records=found, first=first, through=through, end=until)

    def _append(self, topic: str, value: bytes | None, key: bytes | None = b"job", **more: bool) -> InRecord:
        offset = len(self.inputs[topic])
        record = InRecord(topic=topic, offset=offset, key=key, value=value, appended_at=self.now, **more)
        self.inputs[topic].append(record)
        return record


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
    ) -> None:
        """`failing`: calls that fail, with the error; the first so many `failures` of them, or all."""
        self.session = Session(log.partition, log.partitions, rules, TOPIC_IDS, limits)
        self.is_held: bool | None = True
        self.may_leave = True
        self.is_steady = True
        self.is_stopping = False
        self.fault: Fault | None = None
        """Of the next commit."""
        self.failing = failing or {}
        self._failures = failures
        self._hooks: dict[type[Call[Any]], tuple[int, Callable[[], object]]] = {}
        self._dies: tuple[int, bool] | None = None
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
        items = tuple(self._delivered)
        self._delivered.clear()
        self._advance(self._answer_to(Taken(items=items, is_all=True)))
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
        reading = Reading(now=self._log.now, is_steady=self.is_steady, boot_seconds=self._log.now.timestamp())
        return Answer(value=value, reading=reading, is_stopping=self.is_stopping)

    def _carry_out(self, call: Call[Any]) -> Any:
        self._happen(call)
        error = self.failing.get(type(call)) if self._failures != 0 else None
        if error:
            self._failures = self._failures and self._failures - 1
            raise error
        if isinstance(call, Commit):
            return self._commit(call.transaction)
        answer = self._ANSWERS.get(type(call))
        return answer(self, call) if answer else None

    _ANSWERS: ClassVar[dict[type[Call[Any]], Callable[[Driven, Any], Any]]] = {
        Ask: lambda self, _: self.is_held,
        Leave: lambda self, _: self.may_leave,
        ReadState: lambda self, _: [(each.key, each.value) for each in self._log.written if each.topic == STATE],
        ReadUnclaimed: lambda self, _: self._log.unclaimed(),
        KnownHeartbeats: lambda self, _: self._log.heartbeats,
        Read: lambda self, call: self._log.read(call),
        ReadClaims: lambda self, _: _known(self.claims),
        ReadExecutorEnds: lambda self, _: _known(self.executor_ends),
        HeartbeatsRead: lambda self, _: self.heartbeats_read,
        Forward: lambda self, call: self._log.forwarded.extend(call.records),
    }

    def _commit(self, transaction: Transaction) -> Written:
        fault, self.fault = self.fault, None
        if fault is not Fault.LOST:
            self._log.written += transaction.records
        if fault:
            raise LogFailedError(f"the commit is {fault.value}")
        self._written = transaction
        return Written(placed={}, seconds=0)


def _known(answer: T | None) -> T:
    if answer is None:
        raise LogFailedError("the brokers do not answer")
    return answer


def started(dispatch: Dispatch, at: datetime) -> Started:
    return Started(run_id=dispatch.run_id, attempt=dispatch.attempt, token=dispatch.token, at=at, sha256="0" * 64)


def ended(
    dispatch: Dispatch, at: datetime, exit_code: int | None = 0, cause: EndCause = EndCause.EXITED, **more: object
) -> Ended:
    return Ended(
        run_id=dispatch.run_id,
        attempt=dispatch.attempt,
        token=dispatch.token,
        at=at,
        cause=cause,
        exit_code=exit_code,
        started_at=at,
        **more,
    )
