"""The list of runs: filters, pages, counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tidemill.web import run_list

HOUR = timedelta(hours=1)


def shown(site, query=""):
    """The runs of a list, in its order, and its page."""
    page = site.get(f"/runs{query}")
    assert page.status == 200
    return [each.partition('"')[0] for each in page.text.split('class="id" title="')[1:]], page.text


@pytest.fixture
def due(database):
    rows = database.all("select date_trunc('second', now()) as at")
    return rows[0]["at"]


@pytest.fixture
def some(database, due):
    database.job()
    database.run("j#old", "succeeded", due=due - 30 * HOUR, took=29 * HOUR)
    database.run("j#failed", "failed", due=due - 3 * HOUR, reason="exit code 1", reason_code="exit_code")
    database.run("k#dead", "dead", due=due - 2 * HOUR, tenant="crm")
    database.run("d#r", "running", due=due - HOUR, kind="dag")


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ("", ["d#r", "k#dead", "j#failed", "j#old"]),
        ("?job=j", ["j#failed", "j#old"]),
        ("?state=dead&state=failed", ["k#dead", "j#failed"]),
        ("?job=j&state=dead", []),
        ("?tenant=crm", ["k#dead"]),
        ("?kind=dag", ["d#r"]),
        ("?reason=exit_code", ["j#failed"]),
        ("?from=150m", ["d#r", "k#dead"]),
        ("?time=finished&from=150m", ["k#dead", "j#old"]),
        ("?job=&tenant=+", ["d#r", "k#dead", "j#failed", "j#old"]),
    ],
)
def test_the_url_holds_the_filters(site, query, runs):
    assert shown(site, query)[0] == runs


@pytest.mark.parametrize("query", ["?state=fine", "?kind=odd", "?from=soon", "?after=%20x", "?after=AAAA"])
def test_a_word_that_does_not_exist_is_refused_with_a_sentence(site, query):
    page = site.get(f"/runs{query}")
    assert page.status == 422
    assert 'role="alert"' in page.text


def test_pages_have_each_run_once_also_with_equal_times(site, database, due):
    for number in range(120):
        database.run(f"j#{number:03}", due=due - (number // 7) * HOUR)
    seen, query = [], ""
    while True:
        runs, text = shown(site, query)
        seen += runs
        if 'rel="next"' not in text:
            break
        query = text.partition('rel="next"')[0].rpartition('href="/runs')[2].partition('"')[0].replace("&amp;", "&")
    assert sorted(seen) == [f"j#{number:03}" for number in range(120)]
    assert len(seen) == 120


def test_a_count_stops_at_its_limit(site, database, due, monkeypatch):
    monkeypatch.setattr(run_list, "MOST_COUNTED", 10)
    monkeypatch.setattr(run_list, "MOST_READ", 11)
    for number in range(12):
        database.run(f"j#{number}", "failed" if number > 2 else "dead", due=due)
    assert "<strong>10+</strong>" in shown(site)[1]
    assert "<strong>3</strong>" in shown(site, "?state=dead")[1]


def test_a_rare_filter_reads_a_bounded_number_of_rows_and_can_be_continued(site, database, due, monkeypatch):
    monkeypatch.setattr(run_list, "MOST_SEARCHED", 5)
    for number in range(8):
        database.run(f"j#{number}", due=due - number * HOUR, tenant="rare" if number == 7 else "default")
    runs, text = shown(site, "?tenant=rare")
    assert runs == []
    assert "The search stopped" in text
    query = text.partition('rel="next"')[0].rpartition('href="/runs')[2].partition('"')[0].replace("&amp;", "&")
    assert shown(site, query)[0] == ["j#7"]


def test_an_empty_list_says_why(site):
    assert "no job has been due or requested yet" in shown(site)[1]
    assert "No run matches all filters" in shown(site, "?state=dead")[1]


def test_a_state_that_is_named_twice_counts_once(site, database):
    database.job()
    database.run(state="failed")
    page = site.get("/runs?state=failed&state=failed")
    assert "<strong>1</strong> run " in page.text
