"""A request from the public topic is accepted as its schema says, or refused with a sentence."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.codec import MAX_JSON_DEPTH, decode_captured, decode_request, encode
from schemas.errors import UndecodableError
from schemas.request import Request
from schemas.request_rules import FIELDS
from schemas.topics import MAX_REQUEST_BYTES
from schemas.wire import documents
from schemas.words import RequestKind
from tests.support.request_cases import ACCEPTED

NOT_BY_BOTH_DOORS = {RequestKind.BACKFILL, RequestKind.MARK}
"""The topic takes no backfill, and the table a mark only in a DAG run."""
APPENDED = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINIMAL: dict[str, Any] = {"request_id": "r", "job_id": "j"}


def decoded(**fields: Any) -> Any:
    return decode_request(orjson.dumps(MINIMAL | fields), APPENDED)


def test_each_kind_of_request_has_a_case_that_is_taken() -> None:
    taken = {RequestKind(case.get("kind", "run")) for case in ACCEPTED}
    assert taken == set(RequestKind) - NOT_BY_BOTH_DOORS


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_a_request_needs_only_its_id_and_its_job() -> None:
    request = decoded()
    assert (request.request_id, request.job_id, request.owner) == ("r", "j", "j")
    assert (request.kind, request.created_at, request.run_at) == (RequestKind.RUN, APPENDED, None)


def test_payload_is_json_itself_and_times_are_whole_milliseconds() -> None:
    request = decoded(payload={"a": [1]}, run_at="2026-04-01T03:00:00.0001+02:00", created_at="2026-03-01T11:59:59Z")
    assert bytes(request.payload) == b'{"a":[1]}'
    assert request.run_at == datetime(2026, 4, 1, 1, 0, 0, 1000, tzinfo=UTC)
    assert request.created_at == APPENDED - timedelta(seconds=1)


def test_a_stop_of_a_run_gets_its_job_from_the_run_id() -> None:
    request = decoded(kind="cancel", job_id=None, run_id="j@2026-03-01T12:00:00Z", note="too late")
    assert (request.kind, request.run_id, request.note) == (RequestKind.CANCEL, "j@2026-03-01T12:00:00Z", "too late")
    assert (request.job_id, request.owner) == ("j", "j")


def test_a_request_for_a_dag_or_one_of_its_runs_goes_to_the_dag() -> None:
    request = decoded(job_id=None, dag_id="etl")
    assert (request.dag_id, request.job_id, request.owner) == ("etl", "etl", "etl")
    for run_id in ("etl#r", "etl@2026-03-01T12:00:00Z", "etl#r/load", "etl@2026-03-01T12:00:00Z/load"):
        assert decoded(job_id=None, kind="cancel", run_id=run_id).owner == "etl"
    node = decoded(job_id=None, kind="rerun", run_id="etl@2026-03-01T11:00:00Z/load")
    assert node.nominal_time == datetime(2026, 3, 1, 11, tzinfo=UTC)


def test_a_captured_request_for_a_dag_has_the_dag_as_its_job() -> None:
    row = {"request_id": "r", "job_id": None, "dag_id": "etl", "owner": "etl", "created_at": "2026-03-01T12:00:00Z"}
    request = decode_captured(orjson.dumps({**row, "__table": "requests"}))
    assert isinstance(request, Request)
    assert (request.dag_id, request.job_id, request.owner) == ("etl", "etl", "etl")


def test_the_nominal_time_of_a_rerun_is_read_from_the_run_id() -> None:
    at = datetime(2026, 3, 1, 11, 0, 0, 250_000, tzinfo=UTC)
    assert decoded(kind="rerun", run_id="j@2026-03-01T11:00:00.250Z").nominal_time == at
    assert decoded(kind="rerun", run_id="j@yesterday").nominal_time is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"job_id": 7}, "Expected `str`, got `int` - at `$.job_id`"),
        ({"run_at": "infinity"}, "Invalid RFC3339 encoded datetime - at `$.run_at`"),
        ({"run_at": "2026-04-01T03:00:00"}, 'run_at is "2026-04-01 03:00:00": it must end in Z or an offset'),
        ({"created_at": "2026-04-01T03:00:00"}, "created_at is"),
        (
            {"runat": "2026-04-01T03:00:00Z"},
            "has the unknown field 'runat'; allowed are request_id, job_id, created_at, kind",
        ),
        ({"owner": "j"}, "has the unknown field 'owner'"),
        ({"payload": nested(MAX_JSON_DEPTH + 1)}, "payload is nested deeper than 200 levels"),
        ({"payload": [2**64 - 1, -(2**63), 1e20, f"{2**64}"], "attempt": -1}, "attempt is -1"),
        ({"attempt": -1}, "attempt is -1: allowed are numbers from 0 to"),
        ({"kind": "cancel", "run_id": "x" * 701, "job_id": None}, "(701 characters): a run id has at most 700"),
        ({"attempt": 2}, 'attempt is "2": only kind rerun takes it'),
        ({"nodes": {}}, 'nodes is "{}": only kinds rerun and mark take it'),
        (
            {"kind": "rerun", "run_id": "j#r", "nodes": {"a": {"state": "running"}}},
            "nodes: 'a' is running; a DAG run that has ended has no open node",
        ),
        ({"kind": "rerun", "run_id": "j#r", "nodes": {"a/b": {"state": "failed"}}}, 'nodes is "a/b": an id has'),
        (
            {"kind": "rerun", "run_id": "j#r", "nodes": {"a": {"state": "failed", "attempt": -1}}},
            "attempt is -1: allowed are numbers from 0 to",
        ),
        (
            {"kind": "rerun", "run_id": "j@2026-03-01T12:00:00Z", "nominal_time": "2026-03-01T12:00:01Z"},
            "it is not the nominal time of run 'j@2026-03-01T12:00:00Z'",
        ),
    ],
)
def test_an_invalid_request_is_refused_with_the_fault_and_the_allowed_values(
    fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UndecodableError) as refused:
        decoded(**fields)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (b"{", "is not JSON"),
        (b"[]", "is not a valid JSON object"),
        (b'{"job_id": "j"}', "is refused: request_id is null: an id has"),
        (b" " * (MAX_REQUEST_BYTES + 1), "has 1000001 bytes; at most 1000000 are allowed"),
        (b'{"request_id": "r", "job_id": "j", "payload": NaN}', "is not JSON"),
        (b'{"request_id": "r", "job_id": "j", "payload": "\xff"}', "is not JSON"),
        (b'{"request_id": "r", "job_id": "j", "payload": "\\ud800"}', "is not JSON"),
        (b'{"request_id": "r", "job_id": "j", "payload": "\\u0000"}', "payload contains the character U+0000"),
    ],
)
def test_a_record_that_is_no_request_is_refused(value: bytes, sentence: str) -> None:
    with pytest.raises(UndecodableError) as refused:
        decode_request(value, APPENDED)
    assert sentence in str(refused.value)


def test_the_deepest_accepted_payload_can_be_written() -> None:
    encode(decoded(payload=nested(MAX_JSON_DEPTH)))


def test_a_captured_request_carries_the_deepest_result_of_a_node() -> None:
    end = {"state": "succeeded", "attempt": 1, "result": {"bytes": 9, "value": nested(MAX_JSON_DEPTH)}}
    row = {**MINIMAL, "__table": "requests", "owner": "j", "created_at": "2026-03-01T12:00:00Z", "kind": "rerun"}
    request = decode_captured(orjson.dumps({**row, "run_id": "j#r", "nodes": orjson.dumps({"a": end}).decode()}))
    assert isinstance(request, Request)
    encode(request)


@pytest.mark.parametrize(
    ("run_id", "sentence"),
    [
        ("j@" + "x" * 17_000_000, r"\(17000002 characters\): a run id has at most 700"),
        ("j@", 'run_id is "j@": a run id is'),
        ("j#r/a/b", 'run_id is "j#r/a/b": after the / of'),
        ("k#r", 'run_id is "k#r": it is not a run of j'),
    ],
)
def test_a_captured_request_for_a_run_of_another_job_is_refused(run_id: str, sentence: str) -> None:
    row = {**MINIMAL, "__table": "requests", "owner": "j", "created_at": "2026-03-01T12:00:00Z", "kind": "cancel"}
    with pytest.raises(UndecodableError, match=sentence):
        decode_captured(orjson.dumps({**row, "run_id": run_id}))


def test_the_public_schema_has_the_accepted_fields() -> None:
    schema = orjson.loads(documents()["request.json"])["$defs"]["Request"]
    assert set(schema["properties"]) == set(FIELDS)
    assert schema["additionalProperties"] is False
    for example_ in (
        MINIMAL,
        MINIMAL | dict.fromkeys(("run_at", "created_at", "payload", "note", "run_id", "nominal_time")),
    ):
        decode_request(orjson.dumps(example_), APPENDED)


texts = st.text("aj@#é\x00", max_size=3)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
json_values = plain | st.lists(plain, max_size=2) | st.dictionaries(texts, plain, max_size=2)
instants = st.datetimes(timezones=st.none() | st.just(UTC)).map(datetime.isoformat)
rows = st.fixed_dictionaries({}, optional={name: json_values | instants | st.just("j@x") for name in FIELDS})


@given(row=rows)
@example(row={"request_id": "r", "job_id": "j", "run_at": "9999-12-31T23:59:59.999999Z"})
@example(row={"request_id": "r", "job_id": "j", "created_at": "0001-01-01T00:00:00+14:00"})
def test_any_json_is_a_request_or_refused(row: dict[str, Any]) -> None:
    try:
        value = orjson.dumps(MINIMAL | row)
    except TypeError:  # an integer that orjson cannot write
        return
    with suppress(UndecodableError):
        encode(decode_request(value, APPENDED))


@given(value=st.binary(max_size=50))
def test_any_bytes_are_refused_with_a_sentence(value: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode_request(value, APPENDED)


def test_nodes_with_too_deep_a_result_are_refused() -> None:
    end = {"state": "succeeded", "attempt": 1, "result": {"bytes": 600, "value": nested(240)}}
    row = {"request_id": "x", "dag_id": "d", "kind": "rerun", "run_id": "d#r/b", "nodes": {"a": end}}
    refused = "nodes is nested deeper than 200 levels"
    with pytest.raises(UndecodableError, match=refused):
        decode_request(orjson.dumps(row), APPENDED)


def test_a_run_id_with_a_time_before_1970_is_valid() -> None:
    row = {"request_id": "x", "kind": "rerun", "run_id": "j@0001-01-01T00:00:00+14:00"}
    assert decode_request(orjson.dumps(row), APPENDED).nominal_time is None
