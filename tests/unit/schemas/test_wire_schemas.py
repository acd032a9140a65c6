"""The wire schemas match the types, and readers ignore extra fields of newer writers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import orjson
import pytest

import schemas
from schemas.codec import decode, decode_captured, encode
from schemas.dag import DagSpec, NodeSpec
from schemas.dispatch import Dispatch
from schemas.errors import UndecodableError
from schemas.event import Claimed, EventBatch
from schemas.heartbeat import ExecutorState, Heartbeat, Slots
from schemas.ids import ExecutorId, OwnerId, RunId
from schemas.job import Definition, JobSpec
from schemas.request import Request
from schemas.status import Attempt, RunStatus, Transition
from schemas.wire import documents
from schemas.words import DefinitionKind, RunKind, RunState, TriggerRule
from tests.support.raw_json import raw

FOLDER = Path(schemas.__path__[0])
AT = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
RUN = RunId("nightly@2026-11-21T03:00:00Z")

RECORDS: list[msgspec.Struct] = [
    RunStatus(
        run_id=RUN,
        job_id="nightly",
        tenant="default",
        kind=RunKind.SCHEDULED,
        nominal_time=AT,
        scheduled_time=AT,
        state=RunState.QUEUED,
        version=7,
        transitions=(Transition(version=7, at=AT, state=RunState.QUEUED, attempt=1),),
        attempts=(Attempt(attempt=1, token=7, timeout_class="10s", dispatched_at=AT),),
    ),
    Dispatch(
        run_id=RUN,
        owner=OwnerId("nightly"),
        job_id="nightly",
        attempt=1,
        token=7,
        timeout_class="10s",
        nominal_time=AT,
        scheduled_time=AT,
        executable="s3://tidemill/examples/hello.sh",
        sha256=None,
        args=(),
        env={},
        payload=raw({"a": 1}),
        limit=timedelta(seconds=10),
        valid_for=timedelta(seconds=60),
        claim_grace=timedelta(seconds=30),
        lease=timedelta(seconds=30),
    ),
    EventBatch(
        executor_id=ExecutorId("executor-0.1"),
        events=(Claimed(run_id=RUN, attempt=1, token=7, at=AT),),
    ),
    Heartbeat(
        executor_id=ExecutorId("executor-0.1"),
        name="executor-0",
        host="here",
        version="1",
        state=ExecutorState.RUNNING,
        at=AT,
        interval=timedelta(seconds=3),
        slots=(Slots(timeout_class="10s", total=2, free=1),),
        windows=(),
        attempts=(),
    ),
    DagSpec(
        dag_id="etl",
        schedule="@daily",
        nodes=(
            NodeSpec(node_id="a", executable="s3://tidemill/a", payload=raw({"a": None})),
            NodeSpec(node_id="b", executable="s3://tidemill/b", depends_on=("a",), trigger_rule=TriggerRule.ALL_DONE),
        ),
    ),
    JobSpec(job_id="nightly", executable="s3://tidemill/examples/hello.sh", timeout=timedelta(seconds=30)),
]


def test_the_checked_in_schemas_match_the_types() -> None:
    on_disk = {path.name: path.read_bytes() for path in FOLDER.glob("*.json")}
    assert on_disk == documents(), "run `python -m schemas.wire`"


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_with_unknown_extra_fields_still_decodes(record: msgspec.Struct) -> None:
    extended = _with_extras(orjson.loads(encode(record)))
    assert decode(orjson.dumps(extended), type(record)) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_has_exactly_the_fields_that_its_schema_names(record: msgspec.Struct) -> None:
    schema = next(
        document["$defs"][type(record).__name__]
        for document in map(orjson.loads, documents().values())
        if document["$ref"].endswith("/" + type(record).__name__)
    )
    assert set(orjson.loads(encode(record))) == set(schema["properties"])


def test_a_captured_request_with_unknown_columns_still_decodes() -> None:
    row = {
        "request_id": "r-1",
        "kind": "run",
        "job_id": "nightly",
        "owner": "nightly",
        "created_at": "2026-11-21T03:00:00.123456Z",
        "run_at": None,
        "payload": '{"a": 1}',
        "a_column_of_tomorrow": 1,
        "__table": "requests",
        "__op": "c",
        "__lsn": 1,
    }
    request = decode_captured(orjson.dumps(row))
    assert isinstance(request, Request)
    assert bytes(request.payload or b"") == b'{"a": 1}'


def test_a_captured_definition_with_unknown_columns_still_decodes() -> None:
    definition = decode_captured(_definition("job", _with_extras(orjson.loads(encode(RECORDS[-1])))))
    assert isinstance(definition, Definition)
    assert (definition.kind, definition.spec) == (DefinitionKind.JOB, RECORDS[-1])


def test_a_captured_definition_of_a_dag_decodes_to_its_nodes() -> None:
    definition = decode_captured(_definition("dag", _with_extras(orjson.loads(encode(RECORDS[-2])))))
    assert isinstance(definition, Definition)
    assert (definition.kind, definition.spec) == (DefinitionKind.DAG, RECORDS[-2])


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ({"a": ["b"], "b": []}, "dag 'etl': node 'a' comes before 'b', its dependency"),
        ({"a": ["a"]}, "node 'a' comes before 'a'"),
        ({}, "dag 'etl' has 0 nodes: allowed are 1 to 10000"),
    ],
)
def test_a_captured_dag_with_a_cycle_is_refused(nodes: dict[str, list[str]], sentence: str) -> None:
    listed = [{"node_id": name, "executable": "s3://t/x", "depends_on": needed} for name, needed in nodes.items()]
    with pytest.raises(UndecodableError, match=sentence):
        decode_captured(_definition("dag", {"dag_id": "etl", "nodes": listed}))


def test_a_node_omits_default_values() -> None:
    node = NodeSpec(node_id="a", executable="s3://tidemill/a", max_attempts=1)
    assert orjson.loads(encode(node)) == {"node_id": "a", "executable": "s3://tidemill/a"}


def _definition(kind: str, spec: object) -> bytes:
    row = {
        "owner": "nightly",
        "kind": kind,
        "version": 3,
        "valid_from": "2026-11-21T03:00:00Z",
        "deleted": False,
        "spec": orjson.dumps(spec).decode(),
        "__table": "definitions",
        "a_column_of_tomorrow": 1,
    }
    return orjson.dumps(row)


def _with_extras(plain: object) -> object:
    """The same JSON with an unknown field in each of our objects, but not in maps of users."""
    match plain:
        case dict():
            grown = {
                name: value if name in {"env", "payload"} else _with_extras(value) for name, value in plain.items()
            }
            return {**grown, "a_field_of_tomorrow": {"x": [1]}}
        case list():
            return [_with_extras(each) for each in plain]
        case _:
            return plain
