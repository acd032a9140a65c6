"""The types of all records that later releases must read, by topic and key, and samples of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import orjson
from msgspec import inspect

from connectors.held_definitions import QuarantineRead, StoredDefinition
from connectors.metrics.status_seen import SeenHead, SeenRun
from connectors.owner_clocks import OwnerClock
from schemas.backfill import Backfill
from schemas.cluster import RECORD_KEY, Cluster
from schemas.codec import decode, decode_captured, decode_request, encode
from schemas.control import Kill
from schemas.dag import DagSpec, NodeSpec
from schemas.dispatch import Dispatch
from schemas.event import EventBatch
from schemas.heartbeat import Heartbeat
from schemas.job import JobSpec
from schemas.request import Request
from schemas.status import RunStatus
from schemas.topics import CDC, CLUSTER, CONTROL, DEADLETTER, EVENTS, EXECUTORS, REQUESTS, STATE, STATUS, runs_topic
from schemas.words import RequestKind
from streams.core.runs.run import Run
from streams.core.stored import (
    StoredBackfill,
    StoredClock,
    StoredEpoch,
    StoredJob,
    StoredNode,
    StoredQuarantine,
    StoredRequest,
    Tally,
)
from tests.support.request_cases import ACCEPTED, MINIMAL
from tidemill.known_owners import _Captured

Reader = type[Any] | Callable[[bytes], Any]
AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
RUNS = runs_topic("10s")
MARK = {"kind": "mark", "run_id": "nightly#r0/a", "mark_as": "skipped"}
JOB, DAG = "job@2026-03-01T12:00:00Z", "dag@2026-03-01T12:00:00Z"

READERS: tuple[tuple[str, str, Reader], ...] = (
    (CDC, ".*", decode_captured),
    (CDC, ".*", lambda value: decode(value, _Captured) if b'"definitions"' in value else None),
    (REQUESTS, ".*", lambda value: decode_request(value, AT)),
    (EVENTS, ".*", EventBatch),
    (STATUS, ".*", RunStatus),
    (STATUS, ".*", SeenHead),
    (STATUS, ".*", SeenRun),
    (EXECUTORS, ".*", Heartbeat),
    (CONTROL, ".*", Kill),
    (RUNS, ".*", Dispatch),
    (CLUSTER, RECORD_KEY.decode(), Cluster),
    (STATE, "clock", StoredClock),
    (STATE, "clock", OwnerClock),
    (STATE, "def/.*", StoredJob),
    (STATE, "def/.*", StoredDefinition),
    (STATE, "tally/.*", Tally),
    (STATE, "run/.*", Run),
    (STATE, "req/.*", StoredRequest),
    (STATE, "bf/.*", StoredBackfill),
    (STATE, "dag/[^/]*", StoredEpoch),
    (STATE, "dag/[^/]*/.*", StoredNode),
    (STATE, "dagdef/.*", DagSpec),
    (STATE, "quarantine/.*", StoredQuarantine),
    (STATE, "quarantine/.*", QuarantineRead),
)
"""Keys are patterns. The sink reads any dead letter (connectors/batch.py), so there is no type for them."""
WRITTEN: tuple[tuple[str, str, type[msgspec.Struct]], ...] = (
    (EVENTS, JOB, EventBatch),
    (STATUS, JOB, RunStatus),
    (DEADLETTER, JOB, RunStatus),
    (EXECUTORS, "executor-0.1", Heartbeat),
    (CONTROL, JOB, Kill),
    (RUNS, JOB, Dispatch),
    (CLUSTER, RECORD_KEY.decode(), Cluster),
    (STATE, "clock", StoredClock),
    (STATE, "def/job", StoredJob),
    (STATE, "tally/job", Tally),
    (STATE, f"run/{JOB}", Run),
    (STATE, f"req/{JOB}", StoredRequest),
    (STATE, "bf/job#bf", StoredBackfill),
    (STATE, f"dag/{DAG}", StoredEpoch),
    (STATE, f"dag/{DAG}/a", StoredNode),
    (STATE, "dagdef/dag/1", DagSpec),
    (STATE, "quarantine/job", StoredQuarantine),
)
"""Records whose value is one encoded struct, with one key of each kind."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One record, a line of a sample file."""

    topic: str
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str], ...] = ()

    def read(self) -> list[Any]:
        """The value as each of its readers decodes it."""
        found = [
            reader
            for topic, key, reader in READERS
            if topic == self.topic and re.fullmatch(key, self.key or "", re.DOTALL)
        ]
        assert found or self.topic == DEADLETTER, f"nothing reads {self.key} of topic {self.topic}"
        if self.value is None:
            return []
        value = self.value.encode()
        return [decode(value, each) if isinstance(each, type) else each(value) for each in found]


def whole_records() -> list[Sample]:
    """Records of each type that have all fields, and together use every enum value and every member of a union."""
    plain = [(topic, key, encode(value)) for topic, key, kind in WRITTEN for value in all_of(kind)]
    rows = [(CDC, row["owner"], orjson.dumps({**row, "__op": "c", "__source_ts_ms": 1})) for row in _rows()]
    asked = [(REQUESTS, "nightly", orjson.dumps(MINIMAL | each)) for each in (*ACCEPTED, MARK)]
    return [Sample(topic=topic, key=key, value=value.decode()) for topic, key, value in (*plain, *rows, *asked)]


def _rows() -> Iterator[dict[str, Any]]:
    """Rows as the connector writes them to `cdc`."""
    first = NodeSpec(node_id="first", executable="s3://tidemill/x")
    for spec in all_of(JobSpec):
        yield _definition("job", encode(spec).decode())
    for spec in all_of(DagSpec):
        nodes = [msgspec.structs.replace(each, depends_on=("first",)) for each in spec.nodes]
        yield _definition("dag", encode(msgspec.structs.replace(spec, nodes=(first, *nodes))).decode())
    yield _definition("job", None)
    a_backfill = orjson.loads(encode(all_of(Backfill)[0]))
    for request in all_of(Request):
        row = orjson.loads(encode(request)) | {"owner": "dag", "job_id": None, "dag_id": "dag", "run_id": f"{DAG}/a"}
        backfill = row.pop("backfill") or (a_backfill if request.kind is RequestKind.BACKFILL else {})
        row |= backfill | {"__table": "requests"}
        of_json = [name for name in ("payload", "nodes", "ran") if row.get(name) is not None]
        yield row | {name: orjson.dumps(row[name]).decode() for name in of_json}


def _definition(kind: str, spec: str | None) -> dict[str, Any]:
    row = {"__table": "definitions", "owner": kind, "kind": kind, "version": 7, "valid_from": "2026-03-01T12:00:00.25Z"}
    return row | {"deleted": spec is None, "spec": spec}


def all_of(kind: type[Any]) -> list[Any]:
    return variants(inspect.type_info(kind))


def variants(kind: inspect.Type) -> list[Any]:  # noqa: PLR0911 - a dispatch table
    """Values of a type; for a struct enough that each value of each field occurs."""
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            each = {field.name: variants(field.type) for field in fields}
            count = max(map(len, each.values()))
            return [cls(**{name: of[n % len(of)] for name, of in each.items()}) for n in range(count)]
        case inspect.UnionType(types=types):
            return [value for member in types for value in variants(member)]
        case inspect.EnumType(cls=cls):
            return list(cls)
        case inspect.TupleType(item_types=items):
            return [tuple(variants(item)[0] for item in items)]
        case inspect.VarTupleType(item_type=item):
            return [(value,) for value in variants(item)]
        case inspect.DictType(key_type=key, value_type=value):
            keys, values = variants(key), variants(value)
            return [{keys[n % len(keys)]: values[n % len(values)]} for n in range(max(len(keys), len(values)))]
        case _:
            return [PLAIN[type(kind)]]


PLAIN: dict[type[inspect.Type], Any] = {
    inspect.NoneType: None,
    inspect.StrType: "a word",
    inspect.IntType: 7,
    inspect.FloatType: 1.5,
    inspect.BoolType: True,
    inspect.DateTimeType: AT,
    inspect.DateType: date(2026, 3, 1),
    inspect.TimeDeltaType: timedelta(seconds=90, milliseconds=500),
    inspect.RawType: msgspec.Raw(b'{"a": [1, null, "\\u00e4"]}'),
}
