"""Turns effects and the owner's clock into the records of one transaction, and names the keys of `state`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec

from schemas.codec import encode
from schemas.ids import RunId, owner_of_run
from schemas.reasons import ProblemCode, ProblemKind
from schemas.topics import CONTROL, DEADLETTER, STATE, STATUS, runs_topic
from schemas.words import RunKind
from streams.core.effects import (
    DeadLetter,
    Effect,
    Forward,
    PublishStatus,
    PutBackfill,
    PutDag,
    PutEpoch,
    PutJob,
    PutNode,
    PutQuarantine,
    PutRequest,
    PutRun,
    PutTally,
    ReportProblem,
    SendDispatch,
    SendKill,
)
from streams.core.runs.run import Run
from streams.core.state import OwnerState
from streams.core.stored import StoredBackfill, StoredClock
from streams.owner.records import Forwarding, InRecord, OutRecord, Transaction

CLOCK_KEY = "clock"
JOB_PREFIX = "def/"
TALLY_PREFIX = "tally/"
RUN_PREFIX = "run/"
REQUEST_PREFIX = "req/"
BACKFILL_PREFIX = "bf/"
EPOCH_PREFIX = "dag/"
"""`dag/<DAG run>` is an open epoch, `dag/<DAG run>/<node>` a node of it that has ended."""
VERSION_PREFIX = "dagdef/"
"""`dagdef/<DAG>/<version>` is an old version of a DAG that open epochs still use."""
QUARANTINE_PREFIX = "quarantine/"
MAX_DEAD_BYTES, MAX_REASON_CHARACTERS, MAX_KEY_CHARACTERS = 1_000_000, 2_000, 200
"""A dead letter and its reason are cut to these sizes: the record alone may fill the topic's limit (protocol I7)."""

StateEffect = PutJob | PutTally | PutDag | PutEpoch | PutNode | PutRequest | PutQuarantine
"""Each changes one key of `state`."""


def to_transaction(state: OwnerState, effects: Iterable[Effect], first_captured: InRecord | None = None) -> Transaction:
    """Writes only the last value of each run, or rerun: a status contains its transitions (protocol S1).

    A DAG run follows its nodes, so that a reader that knows its end knows theirs too.
    """
    runs: dict[tuple[RunId, str | None], Run] = {}
    backfills: dict[RunId, StoredBackfill | None] = {}
    epochs: dict[RunId, PutEpoch] = {}
    records: list[OutRecord] = []
    forwardings: list[Forwarding] = []
    for effect in effects:
        match effect:
            case PutBackfill(run_id=run_id, backfill=backfill):
                backfills[run_id] = backfill
            case PutEpoch(run_id=run_id):
                epochs[run_id] = effect
            case PutRun(run=run):
                runs[run.run_id, run.status.rerun_id] = run
            case Forward():
                forwardings.append(_forwarding(effect, state.partition))
            case _:
                records += _records(effect, state.partition)
    for epoch in epochs.values():
        records += _records(epoch, state.partition)
    for run in sorted(runs.values(), key=_is_dag_run):
        records += _run_records(run)
    for run_id, backfill in backfills.items():
        value = encode(backfill) if backfill else None
        records.append(OutRecord(topic=STATE, key=BACKFILL_PREFIX + run_id, value=value))
    records.append(_clock(state))
    applied = {topic: each.offset for topic, each in state.durable.applied.items()}
    return Transaction(
        records=tuple(records), applied=applied, forwardings=tuple(forwardings), first_captured=first_captured
    )


def _records(
    effect: PublishStatus | StateEffect | SendDispatch | SendKill | DeadLetter | ReportProblem, partition: int
) -> list[OutRecord]:
    match effect:
        case PublishStatus(status=status):
            return [OutRecord(topic=STATUS, key=status.run_id, value=encode(status))]
        case PutJob() | PutTally() | PutDag() | PutEpoch() | PutNode() | PutRequest() | PutQuarantine():
            key, value = _state_entry(effect)
            return [OutRecord(topic=STATE, key=key, value=encode(value) if value else None)]
        case SendDispatch(dispatch=dispatch):
            where = (dispatch.run_id, dispatch.token)
            topic = runs_topic(dispatch.timeout_class)
            return [OutRecord(topic=topic, key=dispatch.run_id, value=encode(dispatch), dispatch=where)]
        case SendKill(kill=kill):
            return [OutRecord(topic=CONTROL, key=kill.run_id, value=encode(kill))]
        case DeadLetter():
            return [_dead_letter(effect, partition)]
        case ReportProblem():
            return [_alert(effect)]
        case _:
            assert_never(effect)


def _state_entry(effect: StateEffect) -> tuple[str, msgspec.Struct | None]:  # noqa: PLR0911 - a dispatch table
    """(key, value); None deletes the key."""
    match effect:
        case PutJob(owner=owner, job=job):
            return JOB_PREFIX + owner, job
        case PutTally(job_id=job_id, tally=tally):
            return TALLY_PREFIX + job_id, tally
        case PutDag(owner=owner, version=version, dag=dag):
            return f"{VERSION_PREFIX}{owner}/{version}", dag
        case PutEpoch(run_id=run_id, epoch=epoch):
            return EPOCH_PREFIX + run_id, epoch
        case PutNode(run_id=run_id, node=node):
            return EPOCH_PREFIX + run_id, node
        case PutRequest(key=key, request=request):
            return REQUEST_PREFIX + key, request
        case PutQuarantine(owner=owner, quarantine=quarantine):
            return QUARANTINE_PREFIX + owner, quarantine
        case _:
            assert_never(effect)


def _is_dag_run(run: Run) -> bool:
    return run.status.kind is RunKind.DAG


def _run_records(run: Run) -> list[OutRecord]:
    status = encode(run.status)
    stored = None if run.state.is_final else encode(run, status=status)
    return [
        OutRecord(topic=STATUS, key=run.run_id, value=status),
        OutRecord(topic=STATE, key=RUN_PREFIX + run.run_id, value=stored),
    ]


def _forwarding(forward: Forward, partition: int) -> Forwarding:
    origin = forward.origin
    return Forwarding(
        topic=origin.topic,
        partition=forward.home,
        key=forward.owner,
        value=origin.value or b"",
        found_at=f"{partition}@{origin.offset}",
    )


def _dead_letter(letter: DeadLetter, partition: int) -> OutRecord:
    origin, request_id = letter.origin, letter.request_id
    headers = (
        *_headers(ProblemKind.DEAD_LETTER, letter.code, letter.reason),
        ("source_topic", origin.topic.encode()),
        ("source_partition", str(partition).encode()),
        ("source_offset", str(origin.offset).encode()),
        *((("request_id", request_id.encode()),) if request_id else ()),
    )
    return _problem(letter.owner, origin.value, headers)


def _alert(problem: ReportProblem) -> OutRecord:
    run = problem.run
    headers = (
        *_headers(ProblemKind.ALERT, problem.code, problem.reason),
        *((("run_id", run.run_id.encode()),) if run else ()),
    )
    return _problem(problem.owner, encode(run) if run else None, headers)


def _headers(kind: ProblemKind, code: ProblemCode, reason: str) -> tuple[tuple[str, bytes], ...]:
    return ("kind", kind.encode()), ("code", code.encode()), ("reason", reason[:MAX_REASON_CHARACTERS].encode())


def _problem(owner: str, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> OutRecord:
    # Never null: a reader would take it for a tombstone.
    value = (value or b"")[:MAX_DEAD_BYTES]
    return OutRecord(topic=DEADLETTER, key=owner[:MAX_KEY_CHARACTERS], value=value, headers=headers)


def _clock(state: OwnerState) -> OutRecord:
    clock = StoredClock(
        watermark=state.durable.watermark,
        cursor=state.durable.cursor,
        token=state.durable.token,
        applied=tuple(state.durable.applied.values()),
        newest_requests=state.durable.newest_requests,
        newest_definition=state.durable.newest_definition,
        forgotten=state.durable.forgotten,
        newest_version=state.durable.newest_version,
        cluster_version=state.settings.cluster_version,
        digest=state.derived.digest,
    )
    return OutRecord(topic=STATE, key=CLOCK_KEY, value=encode(clock))


def owner_of(record: OutRecord) -> str | None:
    """The job or DAG of a record; None: the record belongs to no single one."""
    if record.topic != STATE:
        return owner_of_run(record.key)
    for prefix in (JOB_PREFIX, TALLY_PREFIX):
        if record.key.startswith(prefix):
            return record.key.removeprefix(prefix)
    for prefix in (RUN_PREFIX, EPOCH_PREFIX):
        if record.key.startswith(prefix):
            return owner_of_run(record.key.removeprefix(prefix))
    return None
