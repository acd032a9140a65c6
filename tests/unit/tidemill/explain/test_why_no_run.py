"""The text of `tidemill explain` without a run, case by case, for the versions of a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from schemas.job import JobSpec
from schemas.words import DstGap
from tidemill.explain.command import as_text
from tidemill.explain.history import Moment, Version, last_due, moments
from tidemill.explain.telling import Local
from tidemill.explain.why_no_run import Nothing, next_one, why_no_run
from tidemill.target import UsageError

BERLIN = "Europe/Berlin"
DUE = datetime(2026, 11, 21, 2, tzinfo=UTC)
"""Three in the morning in Berlin."""
NOW = DUE + timedelta(hours=6)
WRITTEN = DUE - timedelta(days=10)
NIGHTLY = JobSpec(job_id="nightly", executable="s3://b/k", schedule="0 3 * * *", timezone=BERLIN)


def after(seconds: float) -> datetime:
    return DUE + timedelta(seconds=seconds)


def changed(**columns) -> JobSpec:
    return msgspec.structs.replace(NIGHTLY, **columns)


def versions(*specs: JobSpec | None, days: float = 1) -> list[Version]:
    """Versions at intervals, from ten days before the occurrence on."""
    return [Version(valid_from=WRITTEN + timedelta(days=days * number), spec=spec) for number, spec in enumerate(specs)]


def nothing(*specs: JobSpec | None, at: datetime = DUE, days: float = 1, **known) -> Nothing:
    known = {"moment": Moment(instant=at), "now": NOW} | known
    return Nothing(owner="nightly", history=versions(*specs, days=days), **known)


QUARANTINED = {"at": DUE - timedelta(days=1), "reason": "job 'nightly' is quarantined until its definition changes: x"}
FINISHED = {"nominal_time": DUE - timedelta(days=1), "reason": "all 2 runs are made; nothing more is due"}

NOT_WRITTEN = {
    "before it was there": (nothing(NIGHTLY, at=WRITTEN - timedelta(days=1, hours=6)), "did_not_exist", "oldest"),
    "deleted": (nothing(NIGHTLY, None), "deleted", "it was deleted at 2026-11-12 03:00:00 +01:00"),
    "deleted, and made again since": (nothing(NIGHTLY, None, NIGHTLY, days=6), "deleted", "It was made again"),
    "on request": (nothing(changed(schedule=None)), "on_request", "no schedule"),
    "before starts_at": (nothing(changed(starts_at=NOW)), "before_start", "2026-11-21 09:00:00 +01:00"),
    "after ends_at": (nothing(changed(ends_at=DUE)), "after_end", "a later ends_at"),
    "another time": (nothing(NIGHTLY, at=after(60)), "no_occurrence", "2026-11-22 03:00:00 +01:00"),
    "paused since then": (nothing(NIGHTLY, changed(paused=True, paused_note="x")), "paused", "since 2026-11-12"),
    "paused twice": (nothing(changed(paused=True), changed(paused=True, timeout=None)), "paused", "since 2026-11-11"),
    "paused then": (nothing(changed(paused=True), NIGHTLY, days=12), "paused", "It was changed after that"),
    "still paused": (
        nothing(changed(paused=True)),
        "paused",
        "tidemill job resume nightly resumes it; --catchup",
    ),
    "due tomorrow": (nothing(NIGHTLY, at=DUE + timedelta(days=1)), "to_come", "in 18 h"),
    "paused, due tomorrow": (nothing(changed(paused=True), at=DUE + timedelta(days=1)), "paused", "will not run"),
    "due a moment ago": (nothing(NIGHTLY, now=after(3)), "just_due", "a few seconds"),
    "all runs made": (nothing(changed(max_runs=2), finished=FINISHED), "max_runs", "a greater max_runs"),
    "quarantined": (nothing(NIGHTLY, problem=QUARANTINED), "quarantined", "could not be decided"),
    "quarantined before a change": (nothing(NIGHTLY, NIGHTLY, days=9.5, problem=QUARANTINED), "not_there", "doctor"),
    "not there": (nothing(NIGHTLY), "not_there", "tidemill doctor"),
    "not kept": (nothing(NIGHTLY, now=NOW + timedelta(days=5), week_is_kept=False), "not_kept", "not kept any more"),
    "long ago, on a day that is kept": (nothing(NIGHTLY, now=NOW + timedelta(days=5)), "not_there", "tidemill doctor"),
}


@pytest.mark.parametrize("case", NOT_WRITTEN)
def test_where_no_run_is_written_the_versions_of_the_job_say_why(case):
    seen, answer, said = NOT_WRITTEN[case]
    told = why_no_run(seen)
    assert told.answer == answer
    assert said in as_text(told)


def asked(text: str, **columns) -> tuple[str, str]:
    """The answers about a past local time in Berlin."""
    spec = changed(**columns)
    history = [Version(valid_from=datetime(2020, 1, 1, tzinfo=UTC), spec=spec)]
    told = [
        why_no_run(Nothing(owner="nightly", moment=each, now=NOW + timedelta(days=400), history=history))
        for each in moments(text, BERLIN, NOW)
    ]
    return [each.answer for each in told], "\n".join(as_text(each) for each in told)


def test_a_time_that_the_clock_leaves_out_was_due_shifted_or_not_at_all():
    answers, said = asked("2027-03-28 02:30", schedule="30 2 * * *")
    assert answers == ["not_there"]
    assert "shifted from 2027-03-28 02:30:00, which the clock leaves out" in said
    answers, said = asked("2027-03-28 02:30", schedule="30 2 * * *", dst_gap=DstGap.SKIP)
    assert answers == ["no_occurrence"]
    assert "the clock skips this time on that day, and dst_gap is 'skip'" in said
    answers, said = asked("2027-03-28 02:30")
    assert "2027-03-28 03:00:00 +02:00  The nearest occurrence after that time" in said
    assert answers == ["no_occurrence"]


def test_a_time_that_the_clock_shows_twice_may_be_due_once_or_twice():
    assert asked("2026-10-25 02:15", schedule="15 2 * * *")[0] == ["not_there", "no_occurrence"]
    answers, said = asked("2026-10-25 02:15", schedule="15 * * * *")
    assert answers == ["not_there", "not_there"]
    assert "first of two" in said
    assert "second of two" in said


def test_a_time_has_the_zone_of_the_job_unless_it_has_an_offset():
    assert moments("2026-11-21 03:00", BERLIN, NOW) == [Moment(instant=DUE)]
    assert moments("2026-11-21T02:00:00Z", BERLIN, NOW) == [Moment(instant=DUE)]
    with pytest.raises(UsageError, match="--at 'soon' is not a time"):
        moments("soon", BERLIN, NOW)


def test_what_was_due_last_follows_from_the_version_that_was_in_force():
    hourly = changed(schedule="0 * * * *")
    assert last_due(versions(NIGHTLY), NOW) == DUE
    assert last_due(versions(NIGHTLY), DUE) == DUE
    assert last_due(versions(hourly, NIGHTLY, days=10), NOW) == DUE  # a change at exactly this time does not count
    assert last_due([*versions(hourly), Version(valid_from=after(1), spec=NIGHTLY)], NOW) == DUE
    assert last_due([*versions(NIGHTLY), Version(valid_from=after(1), spec=None)], NOW) == DUE
    assert last_due([Version(valid_from=after(1), spec=NIGHTLY)], NOW) is None
    assert last_due(versions(changed(ends_at=DUE)), NOW) == DUE - timedelta(days=1)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (NIGHTLY, "nightly is due at 2026-11-22 03:00:00 +01:00, in 18 h."),
        (changed(paused=True), "in 18 h, but it is paused."),
        (changed(ends_at=NOW), "never, its schedule or its ends_at is in the past"),
        (changed(schedule=None), "only on request"),
        (None, "it is deleted"),
    ],
)
def test_the_next_time_is_told_or_why_there_is_none(spec, said):
    assert said in next_one("nightly", versions(NIGHTLY, spec), NOW, Local(BERLIN)).sentence
