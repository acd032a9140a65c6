"""The log of a run on its page: the chunks in S3, what is new of a running attempt, and a log that is not there."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg.rows import dict_row

from schemas.ids import RunId
from schemas.log_chunks import chunk_key
from tests.support.web_site import running_site

OPEN = {"ended_as": None, "exit_code": None, "finished_at": None, "output": None}
PATH = "/runs/j%23r"


def follower(text):
    """The query of the next look, as htmx sends it."""
    found = re.search(r'hx-vals="{&#34;attempt&#34;: &#34;(\d+)&#34;, &#34;chunk&#34;: &#34;([^&]*)&#34;}"', text)
    return found and "?" + urlencode({"attempt": found[1], "chunk": found[2]})


@pytest.fixture
def running(place, store, rows_of):
    """The page over a running attempt that has written two chunks."""
    with psycopg.connect(place.postgres_dsn, autocommit=True, row_factory=dict_row) as connection:
        rows = rows_of(connection)
        rows.job()
        rows.run(state="running")
        rows.attempt(**OPEN)
        for number, text in enumerate((b"first <b>\n", b"second\n")):
            store.put(chunk_key(RunId("j#r"), 1, number), text)
        with running_site(place) as site:
            yield site


def test_a_running_attempts_chunks_are_shown_and_only_the_new_ones_follow(running, store):
    page = running.get(PATH).text
    assert "first &lt;b&gt;\nsecond\n" in page
    assert "first" not in running.get(f"{PATH}/log{follower(page)}").text
    store.put(chunk_key(RunId("j#r"), 1, 2), b"third\n")
    more = running.get(f"{PATH}/log{follower(page)}").text
    assert "third" in more
    assert "second" not in more
    assert follower(more)
    assert running.get(f"{PATH}/log.txt").text == "first <b>\nsecond\nthird\n"


def test_a_chunk_of_another_log_is_not_where_a_log_begins(running):
    assert "first" in running.get(f"{PATH}/log?attempt=1&chunk=s3://elsewhere/zzz").text


def test_without_s3_the_page_says_that_the_log_is_not_there(site, database):
    database.job()
    database.run(state="running")
    database.attempt(**OPEN)
    page = site.get(PATH)
    assert page.status == 200
    assert "S3 does not answer" in page.text
    assert site.get(f"{PATH}/log.txt").status == 409
