"""Bounded output: head, tail and the line between them."""

from __future__ import annotations

import re
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from executors.output import Bounded, as_text, is_text
from schemas.event import MAX_OUTPUT_BYTES

LIMIT = 400
TAIL_BYTES = 50_000


def collect(pieces, limit=LIMIT):
    bounded = Bounded(limit)
    head = b"".join(bounded.write(piece) for piece in pieces)
    return head + bounded.rest()


@given(st.lists(st.binary(max_size=150), max_size=20))
def test_output_is_never_longer_than_its_limit_and_keeps_both_ends(pieces):
    whole, kept = b"".join(pieces), collect(pieces)
    if len(whole) <= LIMIT:
        assert kept == whole
    else:
        assert len(kept) <= LIMIT
        assert kept[: LIMIT // 2] == whole[: LIMIT // 2]
        assert kept[-100:] == whole[-100:]


@given(st.lists(st.binary(min_size=1, max_size=150), min_size=10, max_size=20))
def test_the_line_says_how_many_bytes_are_left_out(pieces):
    whole, kept = b"".join(pieces), collect(pieces)
    found = re.search(rb"\n\[\xe2\x80\xa6 (\d+) of (\d+) bytes left out \xe2\x80\xa6\]\n", kept)
    if len(whole) > LIMIT:
        assert int(found[2]) == len(whole)
        assert len(kept) - len(found[0]) + int(found[1]) == len(whole)


@given(st.binary(max_size=2 * MAX_OUTPUT_BYTES))
def test_any_bytes_become_text_that_an_event_may_carry(data):
    text = as_text(data)
    assert len(text.encode()) <= MAX_OUTPUT_BYTES
    assert "\0" not in text


def test_bytes_that_are_no_utf8_do_not_grow_beyond_the_limit():
    assert len(as_text(b"\xff" * MAX_OUTPUT_BYTES).encode()) <= MAX_OUTPUT_BYTES


def test_a_remark_stands_where_what_is_left_out_is_said():
    whole, cut = Bounded(LIMIT), Bounded(LIMIT)
    head = cut.write(b"x" * 1_000)
    assert whole.write(b"said") + whole.rest("12 are missing") == b"said\n[\xe2\x80\xa6 12 are missing \xe2\x80\xa6]\n"
    assert b"bytes left out; 12 are missing \xe2\x80\xa6]\n" in cut.rest("12 are missing")
    assert len(head + cut.rest("12 are missing")) <= LIMIT


def test_a_process_that_writes_a_few_bytes_at_a_time_costs_no_more_memory_than_its_output():
    bounded = Bounded(2 * TAIL_BYTES)
    tracemalloc.start()
    for _ in range(TAIL_BYTES):
        bounded.write(b"%3d" % 7)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 3 * TAIL_BYTES


@given(st.binary(max_size=200))
def test_valid_text_is_returned_unchanged(data):
    assert is_text(data) == (as_text(data).encode() == data)
