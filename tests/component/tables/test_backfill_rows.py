"""Requests for backfills: what the trigger refuses and completes, and their progress in the read model."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime

import orjson
import psycopg
import pytest
from psycopg.rows import dict_row

from schemas.codec import decode_captured
from schemas.words import Reprocess, RequestKind
from tests.support.dag_rows import put
from tests.support.read_model_rows import allow_writes

DAY = "2026-03-01"
GOOD = {
    "request_id": "bf",
    "kind": "backfill",
    "job_id": "nightly",
    "backfill_from": f"{DAY}T00:00:00Z",
    "backfill_to": f"{DAY}T12:00:00Z",
}
STATES = {
    0: ("succeeded", 1),
    1: ("failed", 2),
    2: ("dead", 3),
    3: ("cancelled", 1),
    4: ("cancelled", 0),
    5: ("skipped", 0),
    6: ("queued", 0),
    7: ("running", 1),
    12: ("succeeded", 1),
}
"""Hour -> final state and number of attempts of the occurrence."""


@pytest.fixture
def history(tables):
    allow_writes(tables)
    for hour, (state, attempts) in STATES.items():
        add(tables, f"nightly@{DAY}T{hour:02}:00:00Z", hour, state, attempts)
    add(tables, "nightly#asked-for", 1, "succeeded", 1)
    add(tables, "nightly2@2026-03-01T01:00:00Z", 1, "succeeded", 1, job_id="nightly2")
    add(tables, f"nightly@{DAY}T08:00:00Z~{DAY}T09:00:00Z", 8, "missed", 0, missed_count=2)


def add(tables, run_id, hour, state, attempts, **columns):
    row = {
        "run_id": run_id,
        "job_id": "nightly",
        "tenant": "default",
        "kind": "scheduled",
        "nominal_time": f"{DAY}T{hour:02}:00:00Z",
        "scheduled_time": f"{DAY}T{hour:02}:00:00Z",
        "state": state,
        "attempt": attempts,
        "version": 1,
    } | columns
    write(tables, "runs", row)


def write(tables, table, row):
    names, marks = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    tables.execute(f"insert into tidemill.{table} ({names}) values ({marks})", row)


@contextmanager
def refused(fragment):
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        yield
    assert fragment in caught.value.diag.message_primary


@pytest.mark.parametrize(
    ("reprocess", "ran"),
    [
        ("none", {0: None, 1: None, 2: None, 3: None, 6: None, 7: None}),
        ("failed", {0: None, 1: 2, 2: 3, 3: None, 6: None, 7: None}),
        ("completed", {0: 1, 1: 2, 2: 3, 3: 1, 6: None, 7: None}),
    ],
)
def test_a_backfill_request_carries_what_has_run(tables, history, reprocess, ran):
    write(tables, "requests", GOOD | {"reprocess": reprocess})
    (found,) = tables.execute("select ran from tidemill.requests").fetchone()
    assert found == {f"{DAY}T{hour:02}:00:00Z": attempts for hour, attempts in ran.items()}


def test_the_row_decodes_as_the_streams_read_it(tables, history):
    write(tables, "requests", GOOD | {"backfill_from": f"{DAY}T00:30:00.0001Z", "run_backwards": True})
    (row,) = tables.execute("select to_jsonb(r) from tidemill.requests as r").fetchone()
    row["ran"] = orjson.dumps(row["ran"]).decode()
    request = decode_captured(orjson.dumps({**row, "__table": "requests"}))
    asked = request.backfill
    assert (request.kind, request.owner) == (RequestKind.BACKFILL, "nightly")
    assert (asked.reprocess, asked.max_active_runs, asked.run_backwards, asked.dry_run) == (
        Reprocess.NONE,
        1,
        True,
        False,
    )
    assert asked.backfill_from == datetime(2026, 3, 1, 0, 30, 0, 1000, tzinfo=UTC)
    assert asked.ran[f"{DAY}T01:00:00Z"] is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"backfill_from": None}, "backfill_from is null: kind backfill needs it"),
        ({"backfill_to": None}, "backfill_to is null: kind backfill needs it"),
        ({"backfill_from": "1969-01-01"}, "it must be a time from 1970 to 2199"),
        ({"backfill_to": f"{DAY}T00:00:00Z"}, "it must be later than backfill_from"),
        ({"backfill_to": "2190-01-01"}, "it must not be later than now: the schedule runs what is due later"),
        ({"backfill_to": "infinity"}, "it must be a time from 1970 to 2199"),
        ({"reprocess": "all"}, 'reprocess is "all": allowed are none, failed, completed'),
        ({"max_active_runs": 0}, 'max_active_runs is "0": allowed are numbers from 1 to 1000'),
        ({"run_id": "nightly#x"}, "kind backfill does not take it: the schedule decides its runs"),
        ({"run_at": "2030-01-01"}, "only kind run takes it"),
        ({"payload": "{}"}, "only kinds run, rerun and mark take it"),
        ({"job_id": "on-request"}, 'job_id is "on-request": it has no schedule, so nothing was ever due'),
        ({"kind": "run"}, "only kind backfill takes it"),
        ({"kind": "cancel", "backfill_from": None}, 'backfill_to is "2026-03-01T12:00:00'),
    ],
)
def test_an_invalid_backfill_is_refused(tables, change, sentence):
    tables.execute("""insert into tidemill.jobs (job_id, executable) values ('on-request', 's3://tidemill/x')""")
    with refused(sentence):
        write(tables, "requests", GOOD | change)


@pytest.mark.parametrize(
    ("reprocess", "ran"),
    [("none", {1: None, 2: None, 4: None}), ("failed", {1: None, 2: 3, 4: None}), ("completed", {1: 1, 2: 3, 4: None})],
)
def test_a_dag_run_has_run_if_it_has_opened_and_has_as_many_attempts_as_one_of_its_nodes(tables, reprocess, ran):
    put(tables, {"a": [], "b": ["a"]}, "nightly", schedule="@hourly")
    allow_writes(tables)
    for hour, state, nodes in ((1, "succeeded", "{}"), (2, "failed", "{}"), (3, "skipped", None), (4, "queued", None)):
        run_id = f"nightly@{DAY}T{hour:02}:00:00Z"
        add(tables, run_id, hour, state, 0, kind="dag", dag_id="nightly", nodes=nodes)
        if nodes:
            for node_id, attempts in (("a", 1), ("b", 1 if state == "succeeded" else 3)):
                mine = {"kind": "node", "dag_id": "nightly", "node_id": node_id}
                add(tables, f"{run_id}/{node_id}", hour, state, attempts, **mine)
    write(tables, "requests", GOOD | {"job_id": None, "dag_id": "nightly", "reprocess": reprocess})
    (owner, found) = tables.execute("select owner, ran from tidemill.requests").fetchone()
    assert (owner, found) == ("nightly", {f"{DAY}T{hour:02}:00:00Z": attempts for hour, attempts in ran.items()})


def test_a_backfill_over_too_many_past_runs_is_refused(tables, history):
    tables.execute(
        """insert into tidemill.runs
           (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, version)
           select 'nightly@' || n, 'nightly', 'default', 'scheduled', '2026-03-01', '2026-03-01', 'succeeded', 1, 1
           from generate_series(1, 10000) as n"""
    )
    with refused(
        "covers at most 10000 occurrences, and more than that have run in this range already; ask for several"
    ):
        write(tables, "requests", GOOD)


def test_a_backfill_cannot_be_rerun(tables, history):
    add(tables, "nightly#bf", 12, "failed", 0, kind="backfill", request_id="bf")
    with refused("it is a backfill; insert another request of kind backfill instead"):
        write(tables, "requests", {"request_id": "again", "kind": "rerun", "run_id": "nightly#bf"})


@pytest.mark.parametrize("kind", ["backfilled", "dag"])
def test_the_progress_of_a_backfill_follows_its_runs(tables, history, kind):
    write(tables, "requests", GOOD | {"max_active_runs": 3})
    mine = {"request_id": "bf", "rerun_id": "bf"}
    add(tables, "nightly#bf", 12, "running", 0, kind="backfill", request_id="bf")
    for hour, state in ((8, "succeeded"), (9, "running"), (10, "queued"), (11, "dead")):
        add(tables, f"nightly@{DAY}T{hour:02}:00:00Z", hour, state, 1, kind=kind, **mine)
    tables.row_factory = dict_row
    (found,) = tables.execute("select * from tidemill.backfills").fetchall()
    counts = [found[name] for name in ("runs", "queued", "running", "succeeded", "failed", "cancelled")]
    assert counts == [4, 1, 1, 1, 1, 0]
    assert (found["run_id"], found["state"], found["max_active_runs"]) == ("nightly#bf", "running", 3)
