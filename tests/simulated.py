"""A log of one partition in memory, with clients that write to it, for tests where Kafka is not the point."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson

from schemas.codec import decode, encode
from schemas.control import Kill
from schemas.dag import DagSpec, NodeSpec
from schemas.dispatch import Dispatch
from schemas.event import EndCause, Ended, EventBatch, Started
from schemas.job import JobSpec
from schemas.status import RunStatus
from schemas.topics import CDC, CONTROL, EVENTS, REQUESTS, STATE, STATUS
from streams.core.inputs import DispatchesCommitted
from streams.core.rules import Rules
from streams.owner.failures import Failures
from streams.owner.owner import COMPANY_WAIT, Owner
from streams.owner.records import Forwarding, InRecord, OutRecord, Transaction
from streams.owner.recover import rebuild

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TOPIC_IDS = {CDC: "cdc-id", EVENTS: "events-id", REQUESTS: "requests-id"}


class Log:
    """A log of one partition, in memory: of the only one, unless told otherwise."""

    def __init__(self, partition: int = 0, partitions: int = 1) -> None:
        self.partition, self.partitions = partition, partitions
        self.inputs: dict[str, list[InRecord]] = {topic: [] for topic in TOPIC_IDS}
        self.written: list[OutRecord] = []
        self.forwarded: list[Forwarding] = []
        """What was sent to other partitions."""
        self.now = START

    def recover(self, failures: Failures | None = None, rules: Rules | None = None) -> Owner:
        entries = ((r.key, r.value) for r in self.written if r.topic == STATE)
        state = rebuild(self.partition, rules or Rules(), entries, TOPIC_IDS, self.now)
        if failures:
            failures.forget({topic: each.offset for topic, each in state.durable.applied.items()})
        owner = Owner(state, self.partitions, failures)
        for topic in TOPIC_IDS:
            for record in self.inputs[topic]:
                owner.offer(record)
        owner.reached_end_of_cdc()
        return owner

    def turn(self, owner: Owner, seconds: float = 0, *, patience: timedelta = COMPANY_WAIT) -> Transaction | None:
        """What is kept for company is written, too, if the owner's `patience` is long enough for it."""
        self.now += timedelta(seconds=seconds)
        prepared = owner.prepare(self.now, clock_is_steady=True)
        if prepared is None and timedelta(0) < owner.next_wake(self.now) <= patience:
            self.now += owner.next_wake(self.now)
            prepared = owner.prepare(self.now, clock_is_steady=True)
        if prepared:
            self.forwarded += prepared.forwardings
            self.written += prepared.records
            owner.committed(self.now)
        return prepared

    def dispatched(self, **fields: object) -> Owner:
        """An owner with the run job#r of a job with these fields, at offset 0 of its runs partition and not claimed."""
        self.define(**fields)
        self.request("r")
        owner = self.recover()
        self.turn(owner)
        (dispatch,) = self.dispatches()
        self.place(owner, dispatch, offset=0)
        return owner

    def place(self, owner: Owner, dispatch: Dispatch, *, offset: int) -> None:
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
