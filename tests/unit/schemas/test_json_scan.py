"""JSON is checked in pieces, and tells the same as if it were read whole."""

from __future__ import annotations

import json
import random
import tracemalloc

import pytest

from schemas import json_scan
from schemas.codec import read_result
from schemas.json_scan import check_utf8, depth_of, has_nul

CASES = 500
LARGE_BYTES = 2 * 1024 * 1024


def depth(value):
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def made(chance, levels):
    kind = chance.random()
    if levels == 0 or kind < 0.3:
        return "".join(chance.choice('[]{}"\\ab') for _ in range(chance.randrange(6)))
    if kind < 0.7:
        return [made(chance, levels - 1) for _ in range(chance.randrange(4))]
    return {f"{made(chance, 0)}{number}": made(chance, levels - 1) for number in range(chance.randrange(4))}


@pytest.mark.parametrize("piece", [2, 3, 7, 64])
def test_the_depth_does_not_depend_on_the_pieces(monkeypatch, piece):
    monkeypatch.setattr(json_scan, "_PIECE_BYTES", piece)
    chance = random.Random(piece)
    for _ in range(CASES):
        value = made(chance, 6)
        text = json.dumps(value).encode()
        assert depth_of(text, depth(value)) == depth(value)


@pytest.mark.parametrize("piece", [1, 2, 3, 64])
@pytest.mark.parametrize("text", [b"a\xffb", "\u00fc\u2603".encode() + b"\xc3", b"\xe2\x98x", "\u2603".encode()])
def test_what_is_not_utf8_is_found_at_its_place(monkeypatch, piece, text):
    monkeypatch.setattr(json_scan, "_PIECE_BYTES", piece)

    def place(check):
        try:
            check(text)
        except UnicodeDecodeError as error:
            return error.start
        return None

    assert place(check_utf8) == place(bytes.decode)


def test_an_escaped_backslash_before_u0000_is_no_nul():
    assert [has_nul(each) for each in (rb'"\u0000"', rb'"\\u0000"', rb'"\\\u0000"')] == [True, False, True]


@pytest.mark.parametrize("item", [b"[]", b'""', b'{"a":"\\\\"}'])
def test_a_result_of_many_values_takes_little_memory(item):
    data = b"[" + b",".join([item] * (LARGE_BYTES // (len(item) + 1))) + b"]"
    tracemalloc.start()
    read_result(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * LARGE_BYTES
