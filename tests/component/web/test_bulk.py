"""Cancel and rerun of all runs of a filter: the preview tells what the action then hits."""

from __future__ import annotations

import html
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

HOUR = timedelta(hours=1)


@pytest.fixture
def due(database):
    return database.all("select date_trunc('second', now()) as at")[0]["at"] - HOUR


@pytest.fixture
def some(database, due):
    for job in ("j", "k"):
        database.job(job)
    database.run("j#running", "running", due=due)
    database.run("j#queued", "queued", due=due)
    database.run("k#queued", "queued", due=due)
    database.run("j#dead", "dead", due=due)
    database.run("j#failed", "failed", due=due)
    database.run("j#ok", "succeeded", due=due)


def seen_at(page):
    return page.text.partition('name="seen_at" value="')[2].partition('"')[0]


def requests(database):
    found = database.all("select kind, run_id, note from tidemill.requests order by run_id")
    return [(each["kind"], each["run_id"], each["note"]) for each in found]


@pytest.mark.usefixtures("some")
def test_the_preview_shows_what_is_cancelled_and_writes_nothing(site, database):
    page = site.get("/bulk/cancel?job=j")
    assert "This hits 2 runs that are cancelling or queued or retry wait or running, of j." in page.text
    assert "j#queued" in page.text
    assert "k#queued" not in page.text
    assert requests(database) == []
    done = site.post("/bulk/cancel?job=j", {"seen_at": seen_at(page), "note": "stop"})
    assert done.headers["location"] == "/runs?job=j&asked=cancel&count=2"
    assert requests(database) == [("cancel", "j#queued", "stop"), ("cancel", "j#running", "stop")]
    assert "2 runs were asked to stop" in site.get(done.headers["location"]).text


@pytest.mark.usefixtures("some")
def test_a_run_that_was_queued_after_the_preview_is_not_hit(site, database, due):
    page = site.get("/bulk/cancel?job=k")
    database.run("k#later", "queued", due=due + 2 * HOUR)
    site.post("/bulk/cancel?job=k", {"seen_at": seen_at(page)})
    assert [run_id for _, run_id, _ in requests(database)] == ["k#queued"]


@pytest.mark.usefixtures("some")
def test_without_a_state_the_failed_runs_run_again(site, database):
    page = site.get("/bulk/rerun?job=j")
    assert "This hits 2 runs" in page.text
    site.post("/bulk/rerun?job=j", {"seen_at": seen_at(page)})
    assert [run_id for _, run_id, _ in requests(database)] == ["j#dead", "j#failed"]


@pytest.mark.usefixtures("some")
def test_a_refused_run_is_named_and_stops_no_other(site, database, due):
    database.run("k#gone", "dead", due=due, request_id="gone")
    page = site.get("/bulk/rerun?state=dead")
    answer = site.post("/bulk/rerun?state=dead", {"seen_at": seen_at(page)})
    assert answer.status == 200
    assert "1 of 2 runs run again" in answer.text
    assert "the row of request gone was removed" in answer.text
    assert [run_id for _, run_id, _ in requests(database)] == ["j#dead"]


def test_nodes_go_with_their_dag_run(site, database, due):
    database.run("d#r", "running", due=due, kind="dag")
    database.run("d#r/load", "running", due=due, kind="node")
    page = site.get("/bulk/cancel?state=running")
    assert "This hits 1 run that is running" in page.text
    assert "1 run of the filter" in page.text


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("path", "status"),
    [("/bulk/rerun?state=running", 422), ("/bulk/cancel?state=dead", 422), ("/bulk/cancel?job=none", 200)],
)
def test_what_does_not_fit_is_said(site, path, status):
    assert site.get(path).status == status
    assert site.post("/bulk/cancel?job=j").status == 422


def test_a_time_relative_to_now_does_not_move_after_the_preview(site, database, due):
    """What was younger than an hour in the preview is not hit because somebody pressed the button later."""
    database.job("j")
    database.run("j#old", "queued", due=due - HOUR)
    preview = site.get("/bulk/cancel?job=j&to=1h").text
    address = html.unescape(preview.partition('method="post" action="/bulk')[2].partition('"')[0])
    times = parse_qs(urlsplit(address).query)
    assert times["job"] == ["j"]
    assert abs(datetime.fromisoformat(times["to"][0]) - due) < HOUR / 2


def test_a_run_that_failed_after_the_preview_is_not_run_again(site, database, due):
    database.job("j")
    database.run("j#dead", "dead", due=due)
    preview = site.get("/bulk/rerun?job=j")
    database.run("j#later", "failed", due=due, took=2 * HOUR)
    site.post("/bulk/rerun?job=j", {"seen_at": seen_at(preview)})
    assert [run_id for _, run_id, _ in requests(database)] == ["j#dead"]
