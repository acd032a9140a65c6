"""The first page and the problems: what they say, and what they do not read again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.web_site import running_site
from tidemill.web.schedules import read_week

HOUR = timedelta(hours=1)
PROBLEM = """insert into tidemill.problems (at, partition, record_offset, topic_id, source_topic, source_partition,
                                            source_offset, owner, kind, code, reason, record)
             values (%s, 1, %s, 't', 'tidemill.cdc', 2, 33, %s, %s, %s, %s, %s)"""


@pytest.fixture
def now(database):
    return database.all("select now() as at")[0]["at"]


def problem(database, at, number=1, *, owner="j", kind="dead_letter", code="record_refused", reason="it is too deep"):
    database.connection.execute(PROBLEM, (at, number, owner, kind, code, reason, '{"<b>": 1}'))


def test_an_empty_deployment_says_why_it_is_empty(site):
    page = site.get("/")
    assert page.status == 200
    for each in (
        "No run that ended in the last day failed",
        "Nothing waits",
        "No process runs now",
        "No input was set",
    ):
        assert each in page.text


def test_what_fails_waits_and_runs_is_shown(site, database, now):
    database.job()
    database.run("j#1", "failed", due=now - 2 * HOUR, reason="exit code 1")
    database.run("j#2", "dead", due=now - HOUR, reason="all attempts failed")
    database.run("k#1", "queued", due=now - HOUR, reason="waits for j#2", reason_code="overlap_waiting")
    database.run("l#1", "running", due=now - HOUR)
    database.run("m#1", "succeeded", due=now - HOUR)
    page = site.get("/").text
    assert "1 job or DAG failed in the last day" in page
    assert "1 run has waited for longer than a minute" in page
    assert "all attempts failed" in page
    assert "exit code 1" not in page
    assert "waits for j#2" in page
    assert "l#1" in page
    assert "m#1" not in page


def test_a_run_that_started_late_is_shown(site, database, now):
    database.run("j#1", "succeeded", due=now - HOUR)
    database.run("k#1", "succeeded", due=now - HOUR)
    database.run("l#1", "succeeded", due=now - HOUR, kind="backfilled")
    database.connection.execute(
        "update tidemill.runs set started_at = started_at + interval '7 minutes' where job_id in ('k', 'l')"
    )
    page = site.get("/").text
    assert "1 job or DAG started late in the last day" in page
    assert "420 s" in page


def test_a_failure_counts_by_the_time_of_its_end(site, database, now):
    database.run("j#1", "failed", due=now - 30 * HOUR, took=29 * HOUR)
    database.run("k#1", "failed", due=now - 30 * HOUR, took=HOUR)
    page = site.get("/").text
    assert "/jobs/j" in page
    assert "/jobs/k" not in page


def test_the_schedules_are_read_in_the_background(target, database):
    database.job()
    with running_site(target, {"week": lambda: read_week(target)}) as site:
        page = ""
        while "7 starts in the next seven days" not in page:
            page = site.get("/").text
            assert "starts in the next seven days" in page or "The schedules are being read" in page


def test_a_problem_says_what_it_means_and_where_it_came_from(site, database, now):
    problem(database, now, reason="<script>")
    page = site.get("/problems").text
    for each in ("&lt;script&gt;.", "Repair its producer.", "tidemill.cdc, partition 2, offset 33", "&lt;b&gt;"):
        assert each in page
    assert "record refused" in site.get("/").text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", True),
        ("?code=record_refused", True),
        ("?code=run_dead", False),
        ("?kind=alert", False),
        ("?owner=k", False),
    ],
)
def test_problems_are_filtered_by_the_url(site, database, now, query, shown):
    problem(database, now)
    assert ("It is too deep" in site.get(f"/problems{query}").text) is shown
    assert site.get("/problems?kind=odd").status == 422


def test_pages_of_problems_have_each_once(site, database, now):
    for number in range(120):
        problem(database, now - timedelta(seconds=number // 9), number, reason=f"problem {number:03}.")
    seen, query = "", ""
    while True:
        text = site.get(f"/problems{query}").text
        seen += text
        if 'rel="next"' not in text:
            break
        query = text.partition('rel="next"')[0].rpartition('href="/problems')[2].partition('"')[0].replace("&amp;", "&")
    assert [seen.count(f"Problem {number:03}.") for number in range(120)] == [1] * 120


def test_a_database_that_does_not_answer_is_named(target):
    gone = target.model_copy(update={"postgres_dsn": "postgresql://tidemill@127.0.0.1:1/tidemill"})
    with running_site(gone) as site:
        page = site.get("/runs")
        assert page.status == 503
        assert "The database does not answer" in page.text
        assert site.get("/static/style.css").status == 200
