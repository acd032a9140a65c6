"""A foreign record with a number or a time that nobody can compute with is refused with its place."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from schemas.codec import committed_at, decode_captured, decode_foreign, decode_request
from schemas.dispatch import Dispatch
from schemas.errors import MOST_CHARACTERS, UndecodableError
from schemas.event import EventBatch
from schemas.heartbeat import Heartbeat

AT = "2026-03-01T12:00:00Z"
STARTED = {"type": "started", "run_id": "r", "attempt": 1, "token": 1, "at": AT, "sha256": "x"}
BEAT = {"executor_id": "e", "name": "e", "host": "h", "version": "1", "state": "running", "at": AT, "interval": "PT3S"}
EMPTY = {"slots": [], "windows": [], "attempts": []}
DISPATCH = {
    "run_id": "r", "owner": "o", "job_id": "o", "attempt": 1, "token": 1, "timeout_class": "10s", "nominal_time": AT,
    "scheduled_time": AT, "executable": "s3://b/k", "sha256": None, "args": [], "env": {}, "payload": None,
    "limit": "PT1S", "valid_for": "PT1S", "claim_grace": "PT1S", "lease": "PT1S",
}  # fmt: skip
DEFINITION = {"__table": "definitions", "owner": "o", "kind": "job", "version": 1, "valid_from": AT, "deleted": True}


def events(**change):
    return {"executor_id": "e", "events": [STARTED, STARTED | change]}


def written(value, huge=10**40):
    """Orjson writes no number of more than 64 bits."""
    return orjson.dumps(value).replace(b'"HUGE"', str(huge).encode())


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (EventBatch, events(token="HUGE"), "has more than 64 bits - at `$.events[1].token`"),
        (EventBatch, events(at="2026-03-01T12:00:00"), "or an offset such as +02:00 - at `$.events[1].at`"),
        (EventBatch, events(at="9999-12-31T23:59:59Z"), "must be from 1970 to 2199 - at `$.events[1].at`"),
        (EventBatch, events(at="0001-01-01T00:00:00Z"), "must be from 1970 to 2199 - at `$.events[1].at`"),
        (Heartbeat, BEAT | EMPTY | {"at": "2026-03-01T12:00:00"}, "at `$.at`"),
        (Heartbeat, BEAT | EMPTY | {"interval": "P999999999D"}, "must be at most 3660 days - at `$.interval`"),
        (Dispatch, DISPATCH | {"valid_for": "P999999999D"}, "at `$.valid_for`"),
        (Dispatch, DISPATCH | {"token": "HUGE"}, "at `$.token`"),
    ],
)  # fmt: skip
def test_a_number_or_a_time_out_of_bounds_is_refused_with_its_place(kind, value, said):
    with pytest.raises(UndecodableError) as refused:
        decode_foreign(written(value), kind)
    assert str(refused.value).endswith(said)


def test_what_is_within_the_bounds_is_decoded():
    assert len(decode_foreign(written(events(token=2**63 - 1)), EventBatch).events) == 2
    assert decode_foreign(written(BEAT | EMPTY), Heartbeat).name == "e"
    assert decode_foreign(written(DISPATCH), Dispatch).token == 1


@pytest.mark.parametrize("milliseconds", ["HUGE", -1, 2**62])
def test_a_captured_row_with_an_impossible_time_of_its_commit_is_refused(milliseconds):
    row = written(DEFINITION | {"spec": None, "__op": "c", "__source_ts_ms": milliseconds})
    with pytest.raises(UndecodableError, match=r"__source_ts_ms is .*: it must be milliseconds from 1970 to 2199"):
        decode_captured(row)
    assert committed_at(row) is None


def test_a_request_with_a_number_out_of_bounds_is_refused():
    row = {"request_id": "r", "job_id": "o", "kind": "rerun", "run_id": "o#a", "seen_version": "HUGE"}
    with pytest.raises(UndecodableError, match="seen_version"):
        decode_request(written(row), datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize("character", ["x", "\n", "\x1b", "\u202e", '"'])
def test_the_sentence_of_a_refusal_is_one_line_of_bounded_length(character):
    long = character * 100_000
    sentences = []
    for value, kind in ((events(type=long), EventBatch), (BEAT | EMPTY | {"state": long}, Heartbeat)):
        with pytest.raises(UndecodableError) as refused:
            decode_foreign(written(value), kind)
        sentences.append(str(refused.value))
    for row in ({"__table": long}, DEFINITION | {"spec": None, "kind": long}):
        with pytest.raises(UndecodableError) as refused:
            decode_captured(written(row))
        sentences.append(str(refused.value))
    assert [each for each in sentences if len(each) > MOST_CHARACTERS + 20 or not each.isprintable()] == []
