"""The page of a run: its story, log and payload, and the rows that its buttons write."""

from __future__ import annotations

import pytest

HOSTILE = "<img src=x onerror=alert(1)>"
PATH = "/runs/j%23r"


def test_a_run_shows_its_story_its_attempt_and_its_output(site, database):
    database.job()
    database.run()
    database.attempt(output="said this\n", output_bytes=10, peak_memory=37 << 20, cpu_seconds=1.25)
    page = site.get(PATH)
    assert page.status == 200
    for each in (
        "j#r ran, and failed",
        "Attempt 1 failed after 2 s",
        "said this",
        "Fencing token",
        "<svg",
        "1.2 s",
        "37 MB",
    ):
        assert each in page.text
    assert site.get(f"{PATH}/log.txt?attempt=1").text == "said this\n"
    assert site.get(f"{PATH}?attempt=9").status == 404


def test_names_and_output_are_escaped(site, database):
    database.job(HOSTILE)
    run_id = f"{HOSTILE}#r"
    database.run(run_id, reason=HOSTILE)
    database.attempt(run_id, output=f"{HOSTILE}\x1b[31m", output_bytes=9, executor_id=HOSTILE, reason=HOSTILE)
    for path in ("/runs", "/runs/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%23r"):
        page = site.get(path)
        assert page.status == 200
        assert "<img src=x" not in page.text
        assert "\x1b" not in page.text
        assert "&lt;img src=x" in page.text


def test_the_payload_of_the_request_is_shown_with_its_numbers_as_they_are(site, database):
    database.job()
    database.connection.execute(
        "insert into tidemill.requests (request_id, job_id, payload) values (%s, %s, %s)",
        ["r", "j", '{"id": 12345678901234567890}'],
    )
    database.run(request_id="r")
    assert "12345678901234567890" in site.get(PATH).text


def test_a_run_id_with_a_slash_is_one_segment(site, database):
    database.run("d#r/load", kind="node")
    assert site.get("/runs/d%23r%2Fload").status == 200


def test_a_run_that_does_not_exist_is_not_found(site, database):
    database.job()
    assert site.get("/runs/x").status == 404
    assert site.get("/runs/j%23none").status == 404


def test_a_requested_run_without_a_row_says_why(site, database):
    database.job()
    database.connection.execute("insert into tidemill.requests (request_id, job_id) values ('r', 'j')")
    page = site.get(PATH)
    assert page.status == 200
    assert "it is not decided yet" in page.text


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
def test_a_button_stops_an_open_run(site, database, verb):
    database.job()
    database.run(state="running")
    answer = site.post(f"{PATH}/{verb}", {"note": "why"})
    assert (answer.status, answer.headers["location"]) == (303, f"{PATH}?asked={verb}")
    (row,) = database.all("select kind, run_id, note from tidemill.requests")
    assert row == {"kind": verb, "run_id": "j#r", "note": "why"}
    assert "asked to stop" in site.get(answer.headers["location"]).text


def test_a_run_that_has_ended_is_not_stopped(site, database):
    database.job()
    database.run()
    answer = site.post(f"{PATH}/cancel")
    assert answer.status == 404
    assert "has ended: it is failed" in answer.text
    assert database.all("select * from tidemill.requests") == []


def test_a_button_runs_an_ended_run_again(site, database):
    database.job()
    database.run()
    assert site.post(f"{PATH}/rerun", {"payload": '{"a": 1}'}).status == 303
    (row,) = database.all("select kind, run_id, payload, downstream from tidemill.requests")
    assert row == {"kind": "rerun", "run_id": "j#r", "payload": {"a": 1}, "downstream": False}


def test_the_databases_refusal_is_shown(site, database):
    database.job()
    database.run(state="running")
    answer = site.post(f"{PATH}/rerun")
    assert answer.status == 422
    assert 'role="alert"' in answer.text
    assert site.post(f"{PATH}/rerun", {"payload": "{"}).status == 422


def test_the_reader_chooses_a_zone(site, database):
    database.job()
    database.run()
    answer = site.post("/zone", {"timezone": "Asia/Tokyo", "back": PATH})
    assert (answer.status, answer.headers["location"]) == (303, PATH)
    page = site.get(PATH, Cookie=answer.headers["set-cookie"].partition(";")[0])
    assert "21 Nov 11:00:00" in page.text
    assert site.post("/zone", {"timezone": "Nowhere"}).status == 409
    assert site.post("/zone", {"timezone": "UTC", "back": "//evil.example"}).headers["location"] == "/"


def test_a_result_with_half_a_character_is_shown(site, database):
    database.job()
    database.run(state="succeeded")
    database.connection.execute("update tidemill.runs set result = %s, result_bytes = 8", [r'"\ud800"'])
    page = site.get("/runs/j%23r")
    assert page.status == 200
    assert r"\ud800" in page.text


def test_a_log_that_s3_does_not_give_is_an_error_not_an_empty_file(site, database):
    database.job()
    database.run()
    database.attempt(output_bytes=10**6, log_uri="s3://bucket/logs/")
    assert site.get("/runs/j%23r/log.txt").status == 409
