"""Addresses, cursors, times and the vendored files."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.words import AttemptEnd, RunState
from tidemill.target import UsageError
from tidemill.web import assets, vendor
from tidemill.web.ask import Ask, fields
from tidemill.web.marks import SHAPES, mark
from tidemill.web.paging import Cursor, read, written
from tidemill.web.pieces import clock, instant, run_url

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ASK = Ask(
    path="/runs", parts={}, query={"job": ("a&b",), "state": ("failed", "dead")}, form={}, timezone="UTC", now=NOW
)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)), st.text())
def test_a_cursor_survives_the_url(at, key):
    cursor = Cursor(at=at, id=key)
    assert read(written(cursor)) == cursor


@given(st.text())
def test_any_other_text_is_refused_with_a_sentence(text):
    try:
        read(text)
    except UsageError:
        return
    assert read(written(read(text))) == read(text)


def test_a_run_id_is_one_segment_of_the_path():
    assert run_url("etl#r1/load", "log") == "/runs/etl%23r1%2Fload/log"


def test_a_link_keeps_the_filters():
    assert ASK.url(after="x y") == "/runs?job=a%26b&state=failed&state=dead&after=x+y"
    assert ASK.url(job=None, state=None) == "/runs"


def test_untouched_fields_of_a_form_are_no_filters():
    assert fields([("a", " "), ("b", "1"), ("b", " 2 "), ("b", "")]) == {"b": ("1", "2")}


def test_a_time_is_as_short_as_the_day_allows():
    assert clock(NOW, "Asia/Tokyo", NOW) == "21:00:00"
    assert clock(NOW - timedelta(days=1), "UTC", NOW) == "29 Nov 12:00:00"
    assert clock(NOW - timedelta(days=365), "UTC", NOW) == "30 Nov 2025 12:00:00"


def test_the_jobs_time_is_beside_the_readers_where_they_differ():
    assert "Asia/Tokyo" in str(instant(ASK, NOW, "Asia/Tokyo"))
    assert "Africa/Abidjan" not in str(instant(ASK, NOW, "Africa/Abidjan"))
    assert 'title="2026-11-30T12:00:00.000Z (UTC)"' in str(instant(ASK, NOW))


@pytest.mark.parametrize("word", [*(each.value for each in RunState), *(each.value for each in AttemptEnd)])
def test_every_state_has_a_sign_of_its_own_shape(word):
    assert SHAPES["unknown"] not in str(mark(word))


def test_no_two_states_of_a_run_have_one_sign():
    shapes = [SHAPES[each.value] for each in RunState]
    assert len(set(shapes)) == len(shapes)


@pytest.mark.parametrize("each", vendor.locked(), ids=lambda each: each.file)
def test_a_vendored_file_is_the_locked_one(each):
    assert each.license
    vendor.checked(each, assets.content(f"vendor/{each.file}"))
    with pytest.raises(vendor.VendorError):
        vendor.checked(each, b"another file")


def test_the_files_of_a_first_load_leave_room_for_the_page():
    """100 KB for a first load as it is sent, compressed; a page may have 70 of them."""
    assert sum(len(gzip.compress(assets.content(name))) for name in assets.NAMES) <= 30_000
