"""The audit matches occurrences and records one to one, and says what does not match."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tidemill.audit.calendar import Terms
from tidemill.audit.expected import Version
from tidemill.audit.findings import Finding, Tally
from tidemill.audit.matching import Record, Span, match

START = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = START - timedelta(days=30)
HOURLY, HALF_PAST = Terms("0 * * * *"), Terms("30 * * * *")
END = START + timedelta(hours=6)


def at(hours):
    return START + timedelta(hours=hours)


def version(number=1, valid_from=LONG_AGO, terms=HOURLY, **more):
    return Version(number=number, valid_from=valid_from, terms=terms, **more)


def run(hours, state="succeeded", code=None):
    return Record(run_id=f"j@{hours}", at=at(hours), state=state, reason_code=code)


def not_run(first, last, count, code="paused", state="skipped"):
    return Record(run_id=f"j@{first}", at=at(first), last=at(last), count=count, state=state, reason_code=code)


def audited(versions, records):
    tally = Tally()
    found = list(match("j", versions, Span(START, END), sorted(records, key=lambda each: each.at), tally))
    return [(each.finding, each.first, each.count) for each in found], tally


def test_when_each_occurrence_has_one_run_nothing_is_found():
    found, tally = audited([version()], [run(each) for each in range(1, 7)])
    assert found == []
    assert (tally.expected, tally.unsure, tally.runs) == (6, 0, 6)


def test_successive_occurrences_without_a_record_are_one_finding():
    found, _ = audited([version()], [run(1), run(5), run(6)])
    assert found == [(Finding.MISSING, at(2), 3)]


def test_two_records_of_an_occurrence_are_found():
    found, _ = audited([version()], [run(3), *[run(each) for each in range(1, 7)]])
    assert found == [(Finding.TWICE, at(3), 1)]


def test_a_run_and_a_range_for_one_occurrence_are_found():
    found, _ = audited([version()], [run(1), not_run(2, 4, 3), run(3), run(5), run(6)])
    assert found == [(Finding.TWICE, at(3), 1)]


def test_a_run_at_another_time_is_unexpected():
    found, _ = audited([version()], [*[run(each) for each in range(1, 7)], run(2.5)])
    assert found == [(Finding.UNEXPECTED, at(2.5), 1)]


@pytest.mark.parametrize(("count", "finding"), [(2, Finding.MISSING), (4, Finding.UNEXPECTED)])
def test_a_range_with_another_number_of_occurrences_is_found(count, finding):
    found, _ = audited([version()], [run(1), not_run(2, 4, count), run(5), run(6)])
    assert found == [(finding, at(2), 1)]


def test_a_range_with_the_right_number_explains_its_occurrences_by_its_code():
    found, tally = audited([version()], [run(1), not_run(2, 4, 3, code="catchup_skip", state="missed"), run(5), run(6)])
    assert found == []
    assert tally.not_run == {"catchup_skip": 3}


@pytest.mark.parametrize("state", ["failed", "skipped", "missed", "dead"])
def test_a_run_that_did_not_succeed_needs_a_code(state):
    found, _ = audited([version()], [*[run(each) for each in range(2, 7)], run(1, state)])
    assert found == [(Finding.UNEXPLAINED, at(1), 1)]


def test_next_to_a_change_either_version_may_have_decided():
    changed = at(3) + timedelta(seconds=20)
    versions = [version(), version(2, changed, HALF_PAST)]
    kept = [run(1), run(2), run(3.5), run(4.5), run(5.5)]
    assert audited(versions, [*kept, run(3)])[0] == []
    soon = [version(), version(2, at(3) - timedelta(seconds=20), HALF_PAST)]
    assert audited(soon, kept)[0] == []
    assert audited(soon, [*kept, run(3)])[0] == []


def test_long_after_a_change_only_the_new_version_decides():
    versions = [version(), version(2, at(2.2), HALF_PAST)]
    found, _ = audited(versions, [run(1), run(2), run(2.5), run(3), run(3.5), run(4.5), run(5.5)])
    assert found == [(Finding.UNEXPECTED, at(3), 1)]


def test_the_occurrences_of_a_pause_that_goes_on_need_no_record():
    versions = [version(), version(2, at(2.2), paused=True)]
    assert audited(versions, [run(1), run(2)])[0] == []


def test_the_occurrences_of_a_pause_that_ended_need_one():
    versions = [version(), version(2, at(2.2), paused=True), version(3, at(5.2))]
    assert audited(versions, [run(1), run(2), run(6)])[0] == [(Finding.MISSING, at(3), 3)]
    assert audited(versions, [run(1), run(2), not_run(3, 5, 3), run(6)])[0] == []


def test_after_the_pause_of_a_schedule_that_changed_nothing_is_missing():
    versions = [version(), version(2, at(2.2), paused=True), version(3, at(5.2), HALF_PAST)]
    assert audited(versions, [run(1), run(2), run(5.5)])[0] == []


def test_after_max_runs_nothing_is_missing_until_the_row_changes():
    done = [run(1), run(2), run(3, "skipped", "max_runs")]
    assert audited([version()], done)[0] == []
    changed = [version(), version(2, at(4.5))]
    assert audited(changed, done)[0] == [(Finding.MISSING, at(5), 2)]


def test_a_deleted_job_has_no_occurrences():
    versions = [version(), version(2, at(2.2), None)]
    assert audited(versions, [run(1), run(2)])[0] == []


def test_an_instant_that_was_past_when_it_was_written_needs_a_record():
    versions = [version(valid_from=at(4), terms=Terms("@at 2026-01-01T01:00:00Z"))]
    assert audited(versions, [])[0] == [(Finding.MISSING, at(1), 1)]
    assert audited(versions, [run(1, "missed", "past")])[0] == []


def test_of_a_range_that_begins_before_the_audit_only_its_part_counts():
    found, tally = audited([version()], [not_run(-3, 3, 7), run(4), run(5), run(6)])
    assert found == []
    assert tally.expected == 6
