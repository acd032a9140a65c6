"""A partition's topics in memory, with clients that write to them, for tests of owners without Kafka."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

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
from streams.core.inputs import DispatchesCommitted, HeartbeatHeard
from streams.core.room import Bounds
from streams.core.settings import CoreSettings
from streams.owner.intake import INPUT_TOPICS
from streams.owner.limits import Limits
from streams.owner.records import Forwarding, InRecord, OutRecord, Transaction
from streams.owner.replay import Entry
from streams.owner.session_calls import Chunk, Read
from tests.support.raw_json import raw
from tests.support.simulated.driven_session import DrivenSession

BATCH_WAIT = Limits().batch_wait
PATIENT = Limits(stall=timedelta(days=365), pull_interval=timedelta(days=365))
"""An owner with these limits does not take a leap of the clock for its own absence, and does not pull."""
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Log:
    """The topics of one partition in memory; by default the only partition."""

    bounds = Bounds()
    """The bounds of its owners' transactions."""

    def __init__(self, partition: int = 0, partitions: int = 1) -> None:
        self.partition, self.partitions = partition, partitions
        self.inputs: dict[str, list[InRecord]] = {topic: [] for topic in INPUT_TOPICS}
        self.first = dict.fromkeys(INPUT_TOPICS, 0)
        """Topic -> first offset that retention has not deleted."""
        self.written: list[OutRecord] = []
        self.fenced_by: DrivenSession | None = None
        """The last session that fenced; no other session can commit."""
        self.forwarded: list[Forwarding] = []
        """Records sent to other partitions."""
        self.heartbeats: list[HeartbeatHeard] = []
        """The last heartbeat of each executor, for an owner that starts."""
        self.is_claimed = False
        """Executors have committed the offsets of all dispatches."""
        self.now = START

    def recover(self, settings: CoreSettings | None = None, limits: Limits = PATIENT) -> DrivenSession:
        """A session that has taken over: it has read `state`, and takes its first delivery next."""
        return DrivenSession(self, settings or CoreSettings(bounds=self.bounds), limits)

    def turn(self, owner: DrivenSession, seconds: float = 0, *, patience: timedelta = BATCH_WAIT) -> Transaction | None:
        """Runs one turn after `seconds`; returns its transaction.

        If the session batches its effects for at most `patience`, the clock advances until it writes them.
        """
        self.now += timedelta(seconds=seconds)
        prepared = owner.turn()
        if prepared is None and not owner.has_ended and timedelta(0) < owner.next_wake(self.now) <= patience:
            self.now += owner.next_wake(self.now)
            prepared = owner.turn()
        return prepared

    def dispatched(self, limits: Limits = PATIENT, **fields: object) -> DrivenSession:
        """An owner whose run job#r is dispatched at offset 0 of its runs partition and not claimed."""
        self.define(**fields)
        self.request("r")
        owner = self.recover(limits=limits)
        self.turn(owner)
        (dispatch,) = self.dispatches()
        self.place(owner, dispatch, offset=0)
        return owner

    def place(self, owner: DrivenSession, dispatch: Dispatch, *, offset: int) -> None:
        """Tells the owner the offset of its dispatch in the runs partition."""
        owner.learn(DispatchesCommitted(offsets={dispatch.run_id: (dispatch.token, offset)}))

    def define(self, version: int = 1, *, deleted: bool = False, job_id: str = "job", **fields: object) -> InRecord:
        if isinstance(fields.get("payload"), str):
            fields["payload"] = raw(fields["payload"])
        spec = JobSpec(job_id=job_id, executable="s3://tidemill/x", **fields)
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
        """Defines the DAG `dag`."""
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

    def request_by_topic(self, request_id: str, **fields: object) -> InRecord:
        """A request in the public topic."""
        return self.append_public(orjson.dumps({"request_id": request_id, "job_id": "job", **fields}))

    def append_public(self, value: bytes | None, key: bytes | None = None, *, is_forwarded: bool = False) -> InRecord:
        """Appends any value to the public topic."""
        return self._append(REQUESTS, value, key=key, is_forwarded=is_forwarded)

    def append_bytes(self, topic: str, value: bytes | None, key: bytes | None) -> InRecord:
        """Appends what any producer might write."""
        return self._append(topic, value, key=key)

    def append_copy(self, record: InRecord) -> InRecord:
        """Appends a copy of a record."""
        return self._append(record.topic, record.value or b"")

    def append_cdc(self, value: bytes) -> InRecord:
        return self._append(CDC, value)

    def report(self, *events: object) -> InRecord:
        return self._append(EVENTS, encode(EventBatch(executor_id="e.1", events=events)))

    def state_after(self, offset: int) -> list[Entry]:
        """The `state` records after `offset`; an offset is an index of `written`."""
        written = enumerate(self.written[offset + 1 :], offset + 1)
        return [(position, each.key, each.value) for position, each in written if each.topic == STATE]

    def dispatches(self) -> list[Dispatch]:
        return [decode(r.value, Dispatch) for r in self.written if r.topic.startswith("runs.")]

    def kills(self) -> list[Kill]:
        return [decode(r.value, Kill) for r in self.written if r.topic == CONTROL]

    def stored(self) -> dict[str, bytes]:
        """`state` after compaction."""
        latest = {r.key: r.value for r in self.written if r.topic == STATE}
        return {key: value for key, value in latest.items() if value is not None}

    def history(self) -> list[RunStatus]:
        return [decode(r.value, RunStatus) for r in self.written if r.topic == STATUS]

    def statuses(self) -> dict[str, RunStatus]:
        return {status.run_id: status for status in self.history()}

    def unclaimed(self) -> dict[RunId, tuple[int, int]]:
        """Run -> (token, offset) of each dispatch; empty if `is_claimed`."""
        offsets = defaultdict[str, Iterator[int]](count)
        sent = [(each.dispatch, next(offsets[each.topic])) for each in self.written if each.dispatch]
        return {} if self.is_claimed else {run_id: (token, offset) for (run_id, token), offset in sent}

    def read(self, call: Read) -> Chunk:
        """Answers a session's Read as Kafka would."""
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
