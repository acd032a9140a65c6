"""The run and its attempt alone give the trace: executor and exporter agree without a header."""

from __future__ import annotations

import pytest

from schemas.ids import RunId
from schemas.trace_ids import (
    TRACEPARENT,
    attempt_span_id,
    parent_span_id,
    part_span_id,
    run_span_id,
    trace_id,
    traceparent_of_process,
)

RUN = RunId("report@2026-03-01T03:00:00Z")
DAG_RUN = RunId("etl#42")
NODE = RunId("etl#42/load")
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_environment_of_a_process_names_the_span_of_its_attempt():
    given = traceparent_of_process(RUN, 2)
    assert TRACEPARENT.fullmatch(given)
    assert given.split("-")[1:3] == [trace_id(RUN), attempt_span_id(RUN, 2)]


def test_a_run_is_in_the_trace_of_its_request():
    assert trace_id(RUN, GIVEN) == "0af7651916cd43dd8448eb211c80319c"
    assert parent_span_id(GIVEN) == "b7ad6b7169203331"
    assert traceparent_of_process(RUN, 1, GIVEN).startswith("00-0af7651916cd43dd8448eb211c80319c-")


def test_the_nodes_of_a_dag_run_share_its_trace():
    assert trace_id(NODE) == trace_id(DAG_RUN) != trace_id(RUN)


def test_no_two_spans_have_one_id():
    spans = [
        run_span_id(DAG_RUN),
        run_span_id(DAG_RUN, "again"),
        run_span_id(NODE),
        *(attempt_span_id(NODE, attempt) for attempt in (1, 2, 3)),
        *(part_span_id(NODE, 1, part) for part in ("queue", "fetch", "process")),
    ]
    assert len(set(spans)) == len(spans)
    assert {len(each) for each in spans} == {16}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        f"{GIVEN}-x",
    ],
)
def test_what_the_standard_refuses_is_no_traceparent(text):
    assert not TRACEPARENT.fullmatch(text)
