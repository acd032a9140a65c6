"""What a forecast amounts to: counts, processes at once, lateness, and the difference to another one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidemill.simulate.forecast import Forecast, Occurrence
from tidemill.simulate.summary import Changed, Lateness, difference, percentile, summary_of

BEGIN = datetime(2026, 12, 1, tzinfo=UTC)


def at(seconds):
    return None if seconds is None else BEGIN + timedelta(seconds=seconds)


def occurrence(nominal, state="succeeded", code=None, started=None, count=1):
    return Occurrence(
        nominal_time=at(nominal),
        scheduled_time=at(nominal),
        state=state,
        reason_code=code,
        started_at=at(started),
        finished_at=None,
        count=count,
    )


def forecast(occurrences=(), processes=(), until=100):
    return Forecast(
        begin=BEGIN,
        until=at(until),
        occurrences=list(occurrences),
        processes=sorted((at(start), at(end)) for start, end in processes),
        problems=[],
    )


def test_runs_are_counted_by_end_and_the_others_by_reason():
    found = summary_of(
        forecast(
            [
                occurrence(0),
                occurrence(1, "running", "overlap_waiting"),
                occurrence(2, "skipped", "overlap_skipped"),
                occurrence(3, "missed", "catchup_latest", count=4),
            ]
        )
    )
    assert (found.occurrences, found.runs) == (7, 2)
    assert found.ends == {"open": 1, "succeeded": 1}
    assert found.not_run == {"overlap_skipped": 1, "catchup_latest": 4}


@pytest.mark.parametrize(
    ("processes", "most", "usual"),
    [
        ([], 0, 0),
        ([(0, 50)], 1, 1),
        ([(0, 50), (50, 100)], 1, 1),  # one ends when the next one starts
        ([(0, 100), (0, 6)], 2, 2),
        ([(0, 100), (0, 5)], 2, 1),  # two in 5% of the time
        ([(10, 13), (11, 14), (12, 15)], 3, 0),
        ([(10, 10)], 1, 0),  # it took no time
    ],
)
def test_processes_at_once_are_weighed_by_time(processes, most, usual):
    found = summary_of(forecast(processes=processes))
    assert (found.processes_max, found.processes_p95) == (most, usual)


def test_lateness_counts_from_the_nominal_time_to_the_start():
    runs = [occurrence(each, started=each + late) for each, late in enumerate([0] * 18 + [5, 20])]
    assert summary_of(forecast(runs)).late == Lateness(p50=0, p95=5, max=20)
    assert summary_of(forecast([occurrence(0, "skipped", "paused")])).late is None


def test_a_difference_says_what_goes_comes_and_ends_otherwise():
    before = forecast([occurrence(0), occurrence(1), occurrence(2, "skipped", "overlap_skipped")])
    after = forecast([occurrence(1), occurrence(2), occurrence(3)])
    found = difference(before, after)
    assert (found.gone, found.come) == ([at(0)], [at(3)])
    assert found.changed == [Changed(nominal_time=at(2), before="overlap_skipped", after="succeeded")]


def test_a_percentile_is_one_of_the_values():
    assert [percentile(range(1, 101), share) for share in (0.5, 0.95, 1)] == [50, 95, 100]
    assert percentile([7], 0.5) == 7
