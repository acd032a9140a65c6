"""Runs over HTTP: filters, pages, one run with its attempts and its log."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import psycopg
import pytest

from tests.support.read_model_rows import add_story, allow_writes

START = datetime(2026, 11, 21, tzinfo=UTC)
ATTEMPT = {
    "attempt": 1, "token": 7, "timeout_class": "10s", "executor_id": "e.1", "ended_as": "failed", "exit_code": 1,
    "dispatched_at": "2026-11-21T02:00:00Z", "started_at": "2026-11-21T02:00:01Z",
    "finished_at": "2026-11-21T02:00:03Z", "output": "first line\nsecond line\n",
}  # fmt: skip
RUN = """insert into tidemill.runs
             (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, queued_at, finished_at,
              reason_code, version)
         values (%s, %s, %s, 'scheduled', %s, %s, %s, 1, %s, %s, %s, 1)"""


@pytest.fixture(scope="module", autouse=True)
def history(module_dsn):
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        allow_writes(connection)
        for number in range(60):
            due = START + timedelta(minutes=number)
            state = "failed" if number % 10 == 0 else "succeeded"
            run = (f"j@{number:02}", "j", "even" if number % 2 == 0 else "odd", due, due, state, due, due, None)
            connection.execute(RUN, run)
        add_story(connection, "j@10", attempts=[ATTEMPT])


def ids(answer):
    return [each["run_id"] for each in answer.json["items"]]


def test_runs_are_listed_page_by_page_and_counted(api):
    first = api("GET", "/runs?limit=25&count=true")
    assert first.json["count"] == {"value": 60, "relation": "eq"}
    second = api("GET", f"/runs?limit=25&cursor={first.json['next']}")
    third = api("GET", f"/runs?limit=25&cursor={second.json['next']}")
    assert [*ids(first), *ids(second), *ids(third)] == [f"j@{number:02}" for number in reversed(range(60))]
    assert third.json["next"] is None
    assert second.json["count"] is None


def test_filters_hold_together_and_a_cursor_of_others_is_refused(api):
    found = api("GET", "/runs?state=failed&job=j&from=2026-11-21T00:10:00Z&to=2026-11-21T00:40:00Z")
    assert ids(found) == ["j@30", "j@20", "j@10"]
    assert ids(api("GET", "/runs?tenant=odd&limit=2")) == ["j@59", "j@57"]
    assert ids(api("GET", "/runs?state=failed&state=dead&limit=1")) == ["j@50"]
    page = api("GET", "/runs?state=succeeded&limit=5")
    refused = api("GET", f"/runs?state=failed&limit=5&cursor={page.json['next']}")
    assert (refused.status, "other filters" in refused.json["detail"]) == (400, True)
    assert api("GET", "/runs?cursor=nonsense").status == 400


@pytest.mark.parametrize("query", ["state=happy", "from=yesterday", "reason=no", "limit=-1", "kind=x", "time=never"])
def test_a_filter_that_does_not_exist_is_refused(api, query):
    refused = api("GET", f"/runs?{query}")
    assert refused.status == 400
    assert query.partition("=")[0] in refused.json["detail"]


def test_one_run_with_its_attempts_and_transitions(api):
    run = api("GET", f"/runs/{quote('j@10', safe='')}")
    assert (run.status, run.json["state"], run.json["nominal_time"]) == (200, "failed", "2026-11-21T00:10:00.000Z")
    (attempt,) = api("GET", "/runs/j%4010/attempts").json["items"]
    assert (attempt["exit_code"], attempt["ended_as"]) == (1, "failed")
    assert api("GET", "/runs/j%4010/transitions").status == 200
    assert api("GET", "/runs/none%23x").status == 404
    assert api("GET", "/runs/none%23x/attempts").status == 404


def test_a_run_that_has_ended_is_not_waited_for(api):
    assert api("GET", "/runs/j%4010?wait=20").json["state"] == "failed"
    assert api("GET", "/runs/j%4010", Prefer="wait=20").headers["preference-applied"] == "wait=20"
    assert api("GET", "/runs/j%4010?wait=61").status == 400


def test_a_run_that_is_not_there_yet_is_waited_for(api, database):
    due = START - timedelta(days=1)

    def appear():
        for state in ("running", "succeeded"):
            time.sleep(0.3)
            database.execute("delete from tidemill.runs where run_id = 'late@1'")
            database.execute(RUN, ("late@1", "late", "t", due, due, state, due, due, None))

    thread = threading.Thread(target=appear)
    thread.start()
    assert api("GET", "/runs/late%401?wait=20").json["state"] == "succeeded"
    thread.join()
    assert api("GET", "/runs/never%401?wait=0.1").status == 404


def test_the_log_can_be_read_in_parts(api):
    whole = api("GET", "/runs/j%4010/log")
    assert (whole.status, whole.raw) == (200, ATTEMPT["output"].encode())
    part = api("GET", "/runs/j%4010/log", Range="bytes=6-9")
    assert (part.status, part.raw, part.headers["content-range"]) == (206, b"line", "bytes 6-9/*")
    assert api("GET", "/runs/j%4010/log", Range="bytes=11-").raw == b"second line\n"
    assert api("GET", "/runs/j%4010/log", Range="bytes=1000-").status == 416
    assert api("GET", "/runs/j%4010/log?attempt=2").status == 404
    assert api("GET", "/runs/j%4011/log").status == 404


def test_why_a_run_ended_as_it_did_is_told(api):
    told = api("GET", "/runs/j%4010/explain")
    assert told.status == 200
    assert told.json["sentence"]
