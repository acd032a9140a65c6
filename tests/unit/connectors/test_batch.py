"""Records become rows; no record in a topic stops the sink."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import orjson

from connectors.batch import MAX_OWNER_CHARACTERS, collect, filed_with_rows, run_rows, story_rows, to_json
from connectors.record import Record
from schemas.codec import encode
from schemas.ids import RequestId, RunId, occurrence_run_id, request_run_id
from schemas.result import Result
from schemas.status import Attempt, Missed, RunStatus, Transition
from schemas.words import AttemptEnd, RunKind, RunState
from tests.support.raw_json import raw

MONDAY = date(2026, 11, 16)
AT = datetime(2026, 11, 21, 23, 59, 59, 500_000, tzinfo=UTC)
STATUS, DEADLETTER = "t.status", "t.deadletter"
IDS = {STATUS: "status-id", DEADLETTER: "deadletter-id"}


def status(version=1, run="j@1", **changes):
    transitions = tuple(Transition(version=each, at=AT, state=RunState.QUEUED, attempt=1) for each in range(version))
    plain = {
        "run_id": RunId(run),
        "job_id": "j",
        "tenant": "default",
        "kind": RunKind.SCHEDULED,
        "nominal_time": AT,
        "scheduled_time": AT,
        "state": RunState.RUNNING,
        "version": version,
        "transitions": transitions,
    }
    return RunStatus(**(plain | changes))


def record(value, offset=0, topic=STATUS, partition=0, headers=None, key=b"j@1"):
    data = encode(value) if isinstance(value, RunStatus) else value
    return Record(topic=topic, partition=partition, offset=offset, at=AT, key=key, value=data, headers=headers or {})


def batch_of(*records):
    return collect(records, STATUS, IDS)


def test_the_newest_version_of_a_run_is_written():
    found = batch_of(record(status(2), 0), record(status(3), 1), record(status(1), 2))
    assert [run.version for run in found.runs] == [3]


def test_a_dag_run_with_its_nodes_counted_is_a_row_like_others():
    found = batch_of(record(status(kind=RunKind.DAG, dag_id="j", nodes={RunState.SUCCEEDED: 2, RunState.FAILED: 1})))
    (row,) = orjson.loads(to_json(run_rows(found.runs, found.filed)))
    assert (row["kind"], row["dag_id"], row["node_id"]) == ("dag", "j", None)
    assert row["nodes"] == {"succeeded": 2, "failed": 1}


def test_a_result_is_in_the_row_with_its_size_and_its_place():
    small = Result(bytes=9, value=raw({"rows": 3}), uri="s3://b/k", sha256="ab")
    found = batch_of(record(status(result=small, next_nodes=("b",))), record(status(run="j@2"), 1))
    first, second = orjson.loads(to_json(run_rows(found.runs, found.filed)))
    names = ("result", "result_bytes", "result_uri", "next_nodes")
    assert [first[name] for name in names] == [{"rows": 3}, 9, "s3://b/k", ["b"]]
    assert [second.get(name) for name in names] == [None] * 4


def test_the_next_offset_follows_the_last_record_of_each_partition():
    found = batch_of(record(status(1), 7), record(status(2), 9), record(None, 4, partition=1))
    assert found.ends == {(STATUS, 0): 10, (STATUS, 1): 5}


def test_a_tombstone_moves_the_offset_and_nothing_else():
    found = batch_of(record(None, 3))
    assert (found.runs, found.problems, found.ends) == ([], [], {(STATUS, 0): 4})


def test_an_invalid_status_becomes_a_problem_and_others_are_written():
    found = batch_of(record(b"{", 0), record(status(1), 1), record(b'{"run_id": 5}', 2), record(b"\xff\xfe", 3))
    assert [run.version for run in found.runs] == [1]
    assert [row["record_offset"] for row in found.problems] == [0, 2, 3]
    first = found.problems[0]
    assert first["reason"].startswith("record t.status@0 is not JSON")
    assert (first["source_topic"], first["topic_id"], first["owner"], first["record"]) == (
        STATUS,
        "status-id",
        "j@1",
        "{",
    )


def test_a_dead_letter_tells_its_source():
    headers = {
        "source_topic": b"t.cdc",
        "source_partition": b"5",
        "source_offset": b"77",
        "kind": b"dead_letter",
        "code": b"request_refused",
        "request_id": b"r",
        "reason": "kaputt: ü".encode(),
    }
    (row,) = batch_of(record(b"abc", 9, topic=DEADLETTER, headers=headers, key=b"owner")).problems
    assert row == {
        "at": AT,
        "partition": 0,
        "record_offset": 9,
        "topic_id": "deadletter-id",
        "source_topic": "t.cdc",
        "source_partition": 5,
        "source_offset": 77,
        "owner": "owner",
        "kind": "dead_letter",
        "code": "request_refused",
        "reason": "kaputt: ü",
        "request_id": "r",
        "run_id": None,
        "record": "abc",
    }


def test_a_dead_letter_with_invalid_headers_is_still_a_problem():
    headers = {"source_partition": b"99999999999", "source_offset": b"-1", "kind": b"x", "code": b"no word of ours"}
    (row,) = batch_of(record(b"\xff", topic=DEADLETTER, headers=headers, key=b"k" * 5000)).problems
    assert (row["source_partition"], row["source_offset"]) == (None, None)
    assert (row["kind"], row["code"], row["reason"]) == ("dead_letter", "other", "no reason was given")
    assert len(row["owner"]) == MAX_OWNER_CHARACTERS


def test_weeks_follow_the_day_a_run_became_known_and_the_time_of_problems():
    ten_years_ago = status(1, run="j@2", nominal_time=AT - timedelta(days=3650))
    next_week = status(1, run="j@3", filed_on=date(2026, 11, 23), finished_at=AT + timedelta(days=9))
    found = batch_of(record(ten_years_ago, 0), record(next_week, 1), record(b"", 2))
    assert found.weeks(found.filed) == {MONDAY: AT, MONDAY + timedelta(days=7): AT + timedelta(days=9)}
    only_a_problem = batch_of(record(b"", 0))
    assert only_a_problem.weeks(only_a_problem.filed) == {MONDAY: None}


def test_a_run_is_filed_where_it_first_became_known_and_a_node_with_its_dag_run():
    again = {"version": 9, "rerun_id": "r", "filed_on": MONDAY + timedelta(days=9)}
    lives = status(1, run="d@1", filed_on=MONDAY), status(run="d@1", **again)
    node = status(run="d@1/a", node_id="a", **again)
    found = batch_of(*(record(each, number) for number, each in enumerate((*lives, node))))
    assert found.filed == {"d@1": MONDAY, "d@1/a": MONDAY}
    asked = {(row["run_id"], row["filed_with"]) for row in filed_with_rows(found.runs, found.filed)}
    assert asked == {("d@1", "d@1"), ("d@1/a", "d@1/a"), ("d@1/a", "d@1")}


def test_a_former_life_of_an_occurrence_is_searched_from_its_time_and_of_a_request_everywhere():
    nominal = AT - timedelta(days=3)
    occurrence, request = occurrence_run_id("d", nominal), request_run_id("d", RequestId("q"))
    runs = [
        status(run=run, job_id="d", nominal_time=nominal, rerun_id="r", node_id=node)
        for run, node in ((occurrence, None), (f"{occurrence}/a", "a"), (request, None))
    ]
    found = batch_of(*(record(each, number) for number, each in enumerate(runs)))
    since = {row["run_id"]: row["since"] for row in filed_with_rows(found.runs, found.filed)}
    day_before = nominal.date() - timedelta(days=1)
    assert since == {occurrence: day_before, f"{occurrence}/a": day_before, request: date.min}


def test_a_record_without_a_day_is_filed_by_its_first_transition():
    assert status(3, filed_on=None).filed == AT.date()
    bare = status(filed_on=None, transitions=())
    assert (bare.filed, status(transitions=(), queued_at=AT + timedelta(days=1)).filed) == (
        AT.date(),
        AT.date() + timedelta(days=1),
    )


def test_fields_of_rows_equal_the_columns():
    attempt = Attempt(attempt=1, token=7, timeout_class="10s", dispatched_at=AT, end=AttemptEnd.LOST)
    run = status(2, attempts=(attempt,), missed=Missed(first=AT, last=AT, count=3, at_least=True))
    filed = {run.run_id: run.filed}
    (row,) = orjson.loads(to_json(run_rows([run], filed)))
    assert row["missed_count"] == 3
    assert row["missed_at_least"] is True
    assert row["state"] == "running"
    assert row["filed_on"] == "2026-11-21"
    (row,) = orjson.loads(to_json(story_rows([run], filed)))
    assert row["attempts"][0]["ended_as"] == "lost"
    assert "end" not in row["attempts"][0]
    assert [each["version"] for each in row["transitions"]] == [0, 1]


def test_a_nul_in_any_text_of_a_process_is_replaced():
    attempt = Attempt(attempt=1, token=7, timeout_class="10s", dispatched_at=AT, output="a\x00b")
    run = status(attempts=(attempt,))
    (row,) = orjson.loads(to_json(story_rows([run], {run.run_id: run.filed})))
    assert row["attempts"][0]["output"] == "a\ufffdb"


def test_a_nul_is_replaced_and_a_backslash_u_stays():
    run = status(1, reason="a\x00b \\u0000")
    (row,) = orjson.loads(to_json(run_rows([run], {run.run_id: run.filed})))
    assert row["reason"] == "a\ufffdb \\u0000"
