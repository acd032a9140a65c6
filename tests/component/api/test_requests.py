"""Requests over HTTP: the key asks once, the run's id is known at once, and a batch is all or nothing."""

from __future__ import annotations

import json
import threading
import time
from urllib.parse import quote

import pytest

DUE = "2026-11-21T02:00:00Z"
RUN = """insert into tidemill.runs
             (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, queued_at, finished_at,
              request_id, version)
         values (%(run_id)s, %(job_id)s, 'default', 'requested', %(due)s, %(due)s, %(state)s, 1, %(due)s, %(due)s,
                 %(request_id)s, 1)"""


def rows(database, owner):
    query = "select *, payload::text as payload from tidemill.requests where owner = %s order by request_id"
    return database.execute(query, (owner,)).fetchall()


def add_run(database, job_id, request_id, state="succeeded"):
    run_id = f"{job_id}#{request_id}"
    values = {"run_id": run_id, "job_id": job_id, "due": DUE, "state": state, "request_id": request_id}
    database.execute(RUN, values)


def test_a_trigger_is_a_row_whose_run_is_known_at_once(api, database):
    api.create("t")
    asked = api("POST", "/jobs/t/trigger", '{"payload": {"n": 1.50}}', Idempotency_Key='"r-1"')
    assert asked.status == 202
    assert asked.headers["location"] == "/v1/runs/t%23r-1"
    assert asked.json == {"request_id": "r-1", "kind": "run", "owner": "t", "run_id": "t#r-1"}
    (row,) = rows(database, "t")
    assert (row["request_id"], row["payload"]) == ("r-1", '{"n": 1.50}')


def test_the_same_key_and_body_is_the_same_answer_and_another_body_is_refused(api, database):
    api.create("once")
    body = {"job_id": "once", "payload": {"day": 1}, "run_at": "2100-01-01T00:00:00+01:00", "note": "why"}
    first = api("POST", "/requests", body, Idempotency_Key="k")
    again = api("POST", "/requests", body | {"request_id": "k"})
    assert (first.status, again.status) == (202, 202)
    assert again.json == first.json
    for other in (body | {"payload": {"day": 2}}, body | {"note": "other"}, {"job_id": "once", "kind": "cancel"}):
        refused = api("POST", "/requests", other, Idempotency_Key="k")
        assert refused.status == 422, other
        assert refused.json["type"] == "tidemill:idempotency-mismatch"
    assert len(rows(database, "once")) == 1
    assert api("POST", "/requests", body | {"request_id": "other"}, Idempotency_Key="k").status == 422


def test_without_a_key_each_call_is_a_request(api, database):
    api.create("many")
    ids = {api("POST", "/jobs/many/trigger", {}).json["request_id"] for _ in range(3)}
    assert len(ids) == len(rows(database, "many")) == 3


def test_a_request_that_the_database_refuses_has_its_sentence(api):
    refused = api("POST", "/requests", {"job_id": "t", "kind": "rerun"})
    assert refused.status == 422
    assert "kind rerun needs the id of the run" in refused.json["detail"]
    refused = api("POST", "/requests", {"job_id": "a#b"})
    assert refused.status == 422
    assert refused.json["errors"][0]["pointer"] == "/job_id"
    assert api("POST", "/requests", {"kind": "jump", "job_id": "t"}).status == 422


def test_a_batch_is_written_as_a_whole_or_not_at_all(api, database):
    api.create("batch")
    good = [{"job_id": "batch", "request_id": f"b{number}", "payload": number} for number in range(100)]
    assert api("POST", "/requests:batch", {"items": good}).status == 202
    assert len(rows(database, "batch")) == 100
    bad = [{"job_id": "batch", "request_id": "c"}, {"job_id": "batch", "kind": "rerun"}]
    assert api("POST", "/requests:batch", {"items": bad}).status == 422
    assert len(rows(database, "batch")) == 100
    assert api("POST", "/requests:batch", {"items": []}).status == 422


def test_whoever_asks_may_wait_for_the_end(api, database):
    api.create("wait")

    def end_soon():
        while not rows(database, "wait"):
            time.sleep(0.02)
        add_run(database, "wait", "w")

    thread = threading.Thread(target=end_soon)
    thread.start()
    waited = api("POST", "/jobs/wait/trigger", {}, Idempotency_Key="w", Prefer="wait=20")
    thread.join()
    assert (waited.status, waited.json["state"]) == (200, "succeeded")
    assert waited.headers["preference-applied"] == "wait=20"
    slow = api("POST", "/jobs/wait/trigger", {}, Idempotency_Key="x", Prefer="wait=0")
    assert (slow.status, slow.json["run_id"]) == (202, "wait#x")


def test_what_became_of_a_request(api, database):
    api.create("fate")
    api("POST", "/jobs/fate/trigger", {}, Idempotency_Key="f")
    assert api("GET", "/requests/f").json["state"] is None
    add_run(database, "fate", "f", "failed")
    said = api("GET", "/requests/f?owner=fate").json
    assert (said["run_id"], said["state"], said["refused"]) == ("fate#f", "failed", None)
    assert api("GET", "/requests/none").status == 404


def test_the_same_id_of_two_jobs_needs_the_job(api):
    for name in ("two-a", "two-b"):
        api.create(name)
        api("POST", f"/jobs/{name}/trigger", {}, Idempotency_Key="same")
    assert api("GET", "/requests/same").status == 409
    assert api("GET", "/requests/same?owner=two-a").json["owner"] == "two-a"


@pytest.mark.parametrize("request_id", ["ä ü", "100%", "a b+c"])
def test_any_id_that_the_database_takes_can_be_asked_for(api, database, request_id):
    api.create("ids")
    asked = api("POST", "/requests", {"job_id": "ids", "request_id": request_id})
    assert asked.status == 202
    add_run(database, "ids", request_id)
    run = api("GET", asked.headers["location"].removeprefix("/v1"))
    assert run.json["run_id"] == f"ids#{request_id}"
    assert api("GET", f"/requests/{quote(request_id, safe='')}").json["request_id"] == request_id


def test_a_request_id_of_the_caller_is_returned(api):
    assert api("GET", "/jobs", X_Request_ID="my-id").headers["x-request-id"] == "my-id"
    assert api("GET", "/jobs").headers["x-request-id"] != api("GET", "/jobs").headers["x-request-id"]


def test_a_browser_of_another_site_cannot_ask(api):
    api.create("safe")
    body = json.dumps({})
    assert api("POST", "/jobs/safe/trigger", body, Origin="https://evil.example").status == 403
    assert api("POST", "/jobs/safe/trigger", body, Sec_Fetch_Site="cross-site").status == 403
    assert api("POST", "/jobs/safe/trigger", body, Content_Type="text/plain").status == 415
    assert api("POST", "/jobs/safe/trigger", body).status == 202
