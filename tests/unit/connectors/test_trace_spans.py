"""A run that has ended is one trace, whatever happened to it, in the form that OpenTelemetry's own schema reads."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from connectors.traces.otlp import encode
from connectors.traces.sampling import is_sampled
from connectors.traces.spans import SpanStatus, spans
from schemas.ids import RunId
from schemas.reasons import ReasonCode
from schemas.status import Attempt, RunStatus, Transition
from schemas.trace_ids import attempt_span_id, run_span_id, trace_id, traceparent_of_process
from schemas.words import AttemptEnd, RunKind, RunState

DUE = datetime(2026, 3, 1, 3, tzinfo=UTC)
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def at(seconds: float) -> datetime:
    return DUE + timedelta(seconds=seconds)


LOST = Attempt(
    attempt=1,
    token=10,
    timeout_class="10s",
    dispatched_at=at(1),
    claimed_at=at(2),
    started_at=at(3),
    finished_at=at(33),
    end=AttemptEnd.LOST,
    reason="its executor was silent for 30 s",
    reason_code=ReasonCode.LEASE_EXPIRED,
)
SECOND = Attempt(
    attempt=2,
    token=12,
    timeout_class="10s",
    dispatched_at=at(35),
    started_at=at(36),
    finished_at=at(40),
    end=AttemptEnd.SUCCEEDED,
    exit_code=0,
    peak_memory=9 << 20,
    cpu_seconds=0.25,
)
RUN = RunStatus(
    run_id=RunId("report@2026-03-01T03:00:00Z"),
    job_id="report",
    tenant="default",
    kind=RunKind.SCHEDULED,
    nominal_time=DUE,
    scheduled_time=DUE,
    state=RunState.SUCCEEDED,
    version=14,
    attempt=2,
    queued_at=at(0.5),
    finished_at=at(40),
    transitions=(
        Transition(version=9, at=at(0.5), state=RunState.QUEUED, attempt=0),
        Transition(
            version=11,
            at=at(33),
            state=RunState.RETRY_WAIT,
            attempt=1,
            reason=LOST.reason,
            reason_code=ReasonCode.LEASE_EXPIRED,
        ),
        Transition(version=14, at=at(40), state=RunState.SUCCEEDED, attempt=2),
    ),
    attempts=(LOST, SECOND),
)
SKIPPED = msgspec.structs.replace(
    RUN,
    state=RunState.SKIPPED,
    attempts=(),
    attempt=0,
    reason="another run of the job is open",
    reason_code=ReasonCode.OVERLAP_SKIPPED,
    finished_at=at(0.5),
)


def by_name(run: RunStatus) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for each in spans(run):
        seconds = ((each.begin - DUE).total_seconds(), (each.end - DUE).total_seconds())
        found.setdefault(each.name, []).append(seconds)
    return found


def test_a_run_is_traced_from_when_it_was_due_to_its_end_although_an_executor_died():
    assert by_name(RUN) == {
        "run report": [(0, 40)],
        "wait": [(0, 1), (33, 35)],
        "attempt 1": [(1, 33)],
        "claim": [(1, 2), (35, 36)],
        "fetch": [(2, 3)],
        "process": [(3, 33), (36, 40)],
        "attempt 2": [(35, 40)],
    }


def test_each_span_is_below_another_one_of_the_trace():
    found = spans(RUN)
    assert {each.trace_id for each in found} == {trace_id(RUN.run_id)}
    ids = [each.span_id for each in found]
    assert len(set(ids)) == len(ids)
    assert [each.name for each in found if each.parent_span_id not in ids] == ["run report"]
    assert found[0].parent_span_id is None


def test_the_process_traces_below_the_span_of_its_attempt():
    _, trace, span, _ = traceparent_of_process(RUN.run_id, 2).split("-")
    (attempt,) = (each for each in spans(RUN) if each.name == "attempt 2")
    assert (
        (attempt.trace_id, attempt.span_id) == (trace, span) == (trace_id(RUN.run_id), attempt_span_id(RUN.run_id, 2))
    )


def test_a_lost_attempt_is_an_error_and_the_run_is_not():
    errors = [each for each in spans(RUN) if each.status is SpanStatus.ERROR]
    assert [(each.name, each.message) for each in errors] == [("attempt 1", "its executor was silent for 30 s")]


def test_a_run_that_was_asked_for_is_below_the_span_that_asked():
    asked = msgspec.structs.replace(RUN, traceparent=GIVEN)
    assert spans(asked)[0].parent_span_id == "b7ad6b7169203331"
    assert {each.trace_id for each in spans(asked)} == {"0af7651916cd43dd8448eb211c80319c"}


def test_a_node_is_below_its_dag_run():
    node = msgspec.structs.replace(RUN, run_id=RunId("etl#1/load"), job_id="etl", kind=RunKind.NODE, node_id="load")
    assert spans(node)[0].name == "run etl/load"
    assert spans(node)[0].parent_span_id == run_span_id(RunId("etl#1"))
    assert spans(node)[0].trace_id == trace_id(RunId("etl#1"))


def test_a_skipped_run_is_a_trace_without_attempts():
    (root, wait) = spans(SKIPPED)
    assert root.status is SpanStatus.UNSET
    assert root.attributes["tidemill.reason_code"] == "overlap_skipped"
    assert (wait.begin, wait.end) == (DUE, at(0.5))


@pytest.mark.parametrize("run", [RUN, SKIPPED, msgspec.structs.replace(RUN, traceparent=GIVEN)])
def test_opentelemetry_reads_what_is_sent(run: RunStatus):
    request = Parse(
        json.dumps(_with_bytes_as_protobuf_writes_them(json.loads(encode(spans(run))))), ExportTraceServiceRequest()
    )
    (resource,) = request.resource_spans
    sent = resource.scope_spans[0].spans
    assert [each.span_id.hex() for each in sent] == [each.span_id for each in spans(run)]
    assert sent[0].start_time_unix_nano == int(DUE.timestamp()) * 10**9
    assert all(each.end_time_unix_nano >= each.start_time_unix_nano for each in sent)


def test_an_attempt_says_what_its_processes_used():
    (sent,) = json.loads(encode(spans(RUN)))["resourceSpans"][0]["scopeSpans"]
    (last,) = [each for each in sent["spans"] if each["name"] == "attempt 2"]
    said = {each["key"]: each["value"] for each in last["attributes"]}
    assert said["tidemill.peak_memory"] == {"intValue": str(9 << 20)}
    assert said["tidemill.cpu_seconds"] == {"doubleValue": 0.25}


def _with_bytes_as_protobuf_writes_them(node):
    """OTLP writes ids as hex, and protobuf's own JSON writes bytes as base64."""
    if isinstance(node, list):
        return [_with_bytes_as_protobuf_writes_them(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: base64.b64encode(bytes.fromhex(value)).decode()
        if name in ("traceId", "spanId", "parentSpanId")
        else _with_bytes_as_protobuf_writes_them(value)
        for name, value in node.items()
    }


def test_a_share_is_sent_and_every_run_that_failed_lost_an_attempt_or_was_late():
    quick = msgspec.structs.replace(RUN, attempts=(msgspec.structs.replace(SECOND, started_at=at(1)),))
    many = [msgspec.structs.replace(quick, run_id=RunId(f"report#{number}")) for number in range(2000)]
    assert 800 < sum(is_sampled(each, 0.5) for each in many) < 1200
    assert not any(is_sampled(each, 0.0) for each in many)
    assert all(is_sampled(each, 1.0) for each in many)
    late = msgspec.structs.replace(RUN, attempts=(SECOND,))
    for remarkable in (RUN, late, msgspec.structs.replace(quick, state=RunState.DEAD)):
        assert is_sampled(remarkable, 0.0)
