"""The timeline of a run: its spans, their places, and the drawing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidemill.web.scale import BREAK_WIDTH, LEAST_WIDTH, scale
from tidemill.web.spans import spans
from tidemill.web.timeline import summary, timeline

DUE = datetime(2026, 11, 21, 2, tzinfo=UTC)
RUN = {"state": "running", "kind": "scheduled", "rerun_id": None, "queued_at": DUE, "scheduled_time": DUE}
NEVER = {"dispatched_at": None, "claimed_at": None, "started_at": None, "finished_at": None, "ended_as": None}


def at(seconds):
    return DUE + timedelta(seconds=seconds)


def attempt(dispatched, claimed=None, started=None, finished=None, ended_as=None):
    times = zip(NEVER, (dispatched, claimed, started, finished), strict=False)
    return NEVER | {name: None if each is None else at(each) for name, each in times} | {"ended_as": ended_as}


def drawn(run, attempts, now=100):
    return [
        (each.lane, each.work, (each.begin - DUE).total_seconds(), (each.end - DUE).total_seconds(), each.is_open)
        for each in spans(RUN | run, attempts, at(now))
    ]


def test_an_attempt_goes_from_the_queue_through_claim_and_fetch_to_its_process():
    assert drawn({"state": "succeeded"}, [attempt(1, 2, 5, 9, "succeeded")]) == [
        (0, "queue", 0, 1, False),
        (0, "claim", 1, 2, False),
        (0, "fetch", 2, 5, False),
        (0, "process", 5, 9, False),
    ]


def test_what_has_not_ended_lasts_until_now():
    assert drawn({"state": "queued"}, []) == [(0, "queue", 0, 100, True)]
    assert drawn({}, [attempt(1)])[-1] == (0, "claim", 1, 100, True)
    assert drawn({}, [attempt(1, 2)])[-1] == (0, "fetch", 2, 100, True)
    assert drawn({}, [attempt(1, None, 2)])[-1] == (0, "process", 2, 100, True)


def test_the_wait_for_the_next_attempt_is_in_its_lane():
    first = attempt(1, None, 2, 10, "failed")
    assert drawn({"state": "retry_wait"}, [first])[-1] == (1, "retry", 10, 100, True)
    second = attempt(60, None, 61, 62, "failed")
    assert (1, "retry", 10, 60, False) in drawn({"state": "dead"}, [first, second])


def test_an_attempt_that_never_reported_its_end_has_no_end_after_the_runs():
    assert drawn({"state": "dead"}, [attempt(1, None, 2, None, "lost")])[-1][1] != "process"


@pytest.mark.parametrize("change", [{"kind": "node"}, {"kind": "backfilled"}, {"rerun_id": "r"}])
def test_a_run_that_was_due_long_ago_waits_from_when_it_was_queued(change):
    queued = {"queued_at": at(50), "state": "queued"}
    assert drawn(queued | change, []) == [(0, "queue", 50, 100, True)]


def test_a_long_idle_stretch_has_a_fixed_width_and_the_rest_is_in_proportion():
    busy = [(at(0), at(10)), (at(5_000), at(5_030))]
    found = scale(busy, [], 1000)
    widths = [round(each.width, 3) for each in found.stretches]
    room = 1000 - BREAK_WIDTH - 2 * LEAST_WIDTH
    assert widths == [round(LEAST_WIDTH + room / 4, 3), BREAK_WIDTH, round(LEAST_WIDTH + room * 3 / 4, 3)]
    assert [each.is_compressed for each in found.stretches] == [False, True, False]
    assert found.at(at(0)) == 0
    assert found.at(at(5_030)) == pytest.approx(1000)


def test_places_grow_with_time_and_stay_on_the_line():
    busy = [(at(0), at(1)), (at(90), at(3_000))]
    found = scale(busy, [at(80), at(100_000)], 500)
    places = [found.at(at(each)) for each in range(0, 100_001, 250)]
    assert places == sorted(places)
    assert places[0] >= 0
    assert places[-1] <= 500.01


def test_nothing_is_drawn_without_a_span():
    assert timeline([], "UTC", at(0)) is None
    assert scale([], [at(0)], 100) is None


def test_the_drawing_says_in_words_what_it_shows():
    found = spans(RUN | {"state": "failed"}, [attempt(1, None, 2, 10, "failed")], at(100))
    assert summary(found).endswith("attempt 1: process 8 s, failed")
    text = str(timeline(found, "UTC", at(100)))
    assert 'role="img"' in text
    assert "e-failed" in text
    assert "style=" not in text
