"""The lines of the durations are named so that no name covers another."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta

from tidemill.web.durations import WORDS, durations

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def run(number, seconds):
    at = NOW - timedelta(minutes=number)
    return {
        "run_id": f"j#{number}", "state": "succeeded", "started_at": at,
        "finished_at": at + timedelta(seconds=seconds), "seconds": seconds,
    }  # fmt: skip


def places(runs, limit=None):
    text = str(durations(runs, limit, "UTC", NOW))
    return [float(y) for y in re.findall(r'y="([\d.]+)"[^>]*>(?:p50|p95|limit)<', text)]


def test_names_of_lines_that_are_near_stand_above_each_other():
    found = places([run(number, 60.0 + number / 1000) for number in range(20)], timedelta(seconds=61))
    assert len(found) == 3
    assert all(below - above >= WORDS - 0.01 for below, above in itertools.pairwise(found))


def test_names_of_lines_that_are_far_stand_at_their_lines():
    few = places([run(number, 1.0 if number < 15 else 50.0) for number in range(20)])
    assert few[0] - few[1] > 3 * WORDS
