"""`tidemill audit` over the tables of users, triggers and the sink, with planted mistakes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.component.tidemill.test_overdue import RUN, change, database, now, put  # noqa: F401 - fixtures
from tests.support.read_model_rows import add_story
from tidemill.audit.command import look
from tidemill.audit.findings import Finding
from tidemill.audit.matching import Span
from tidemill.audit.tables import Scope

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STARTED = timedelta(milliseconds=20)


@pytest.fixture
def last(now):  # noqa: F811
    """The last full hour."""
    return now.replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def audited(database, last):  # noqa: F811
    def audit(**scope):
        report = look(database, Scope(span=Span(last - 6 * HOUR, last), **scope))
        return [(each.finding, each.owner, each.run_id, each.first) for each in report.found], report

    return audit


def ran(database, job, at, state="succeeded", code=None, attempts=None, **row):  # noqa: F811
    values = {"run_id": f"{job}@{at:%H%M}", "job": job, "at": at, "state": state, "code": code}
    database.execute(RUN, values | dict.fromkeys(("first", "last", "count")) | row)
    default = {"attempt": 1, "token": 1, "started_at": at + STARTED, "finished_at": at + MINUTE, "ended_as": state}
    states = [{"version": 1, "at": at, "state": each, "attempt": 1} for each in ("queued", state)]
    add_story(
        database,
        values["run_id"],
        attempts=[{k: str(v) if hasattr(v, "year") else v for k, v in each.items()} for each in attempts or [default]],
        transitions=[each | {"at": str(each["at"])} for each in states],
    )
    return values["run_id"]


def hours(last, without=()):
    return [last - each * HOUR for each in range(6) if each not in without]


def test_a_job_whose_occurrences_all_ran_is_proven(database, last, audited):  # noqa: F811
    put(database, "well")
    for at in hours(last):
        ran(database, "well", at)
    found, report = audited()
    assert found == []
    assert (report.tally.expected, report.tally.runs, report.tally.owners) == (6, 6, 1)


def test_an_occurrence_without_a_record_is_missing_with_the_version_that_asks_for_it(database, last, audited):  # noqa: F811
    put(database, "gap")
    for at in hours(last, without={2, 3}):
        ran(database, "gap", at)
    found, report = audited()
    assert found == [(Finding.MISSING, "gap", None, last - 3 * HOUR)]
    assert report.found[0].count == 2
    (version,) = database.execute("select version from tidemill.definitions where owner = 'gap'").fetchall()
    assert report.found[0].versions == (version["version"],)


def test_two_attempts_of_a_run_at_once_are_found(database, last, audited):  # noqa: F811
    put(database, "double")
    for at in hours(last, without={0}):
        ran(database, "double", at)
    first = {"attempt": 1, "token": 1, "started_at": last, "finished_at": last + MINUTE, "ended_as": "failed"}
    second = first | {"attempt": 2, "token": 2, "started_at": last + MINUTE / 2, "ended_as": "succeeded"}
    run_id = ran(database, "double", last, attempts=[first, second])
    assert audited()[0] == [(Finding.TWICE, "double", run_id, last)]


@pytest.mark.parametrize(
    ("ended_as", "started", "named"),
    [("lost", True, True), ("lost", False, False), ("failed", True, False)],
)
def test_a_job_that_was_executed_again_after_a_lost_lease_is_named_and_no_finding(
    database,  # noqa: F811
    last,
    audited,
    ended_as,
    started,
    named,
):
    put(database, "again")
    for at in hours(last, without={0}):
        ran(database, "again", at)
    first = {"attempt": 1, "token": 7, "finished_at": last + MINUTE, "ended_as": ended_as}
    first |= {"started_at": last + STARTED} if started else {}
    second = {"attempt": 2, "token": 9, "started_at": last + 2 * MINUTE, "finished_at": last + 3 * MINUTE}
    run_id = ran(database, "again", last, attempts=[first, second | {"ended_as": "succeeded"}])
    database.execute("update tidemill.runs set attempt = 2 where run_id = %s", [run_id])
    found, report = audited()
    assert found == []
    assert [(each.run_id, each.attempt, each.token, each.next_attempt) for each in report.again] == (
        [(run_id, 1, 7, 2)] if named else []
    )


def test_runs_of_one_job_at_once_are_found_if_its_policy_forbids_them(database, last, audited):  # noqa: F811
    for job, policy in (("serial", "skip"), ("parallel", "allow_all")):
        put(database, job, overlap_policy=policy)
        for at in hours(last, without={1}):
            ran(database, job, at)
        at = last - HOUR
        long = {"attempt": 1, "token": 1, "started_at": at, "finished_at": at + 2 * HOUR, "ended_as": "succeeded"}
        ran(database, job, at, attempts=[long])
    assert audited()[0] == [(Finding.OVERLAPPING, "serial", f"serial@{last:%H%M}", last)]


def test_a_run_overlaps_with_each_one_that_starts_before_its_end(database, last, audited):  # noqa: F811
    """However many start before its end; but the end of a lost attempt is only noticed late."""
    for job, end in (("busy", "succeeded"), ("lost", "lost")):
        put(database, job, schedule="@every 1m", overlap_policy="skip")
        first, *others = [last - 6 * HOUR + number * MINUTE for number in range(1, 361)]
        long = {"attempt": 1, "token": 1, "started_at": first, "finished_at": last - 5 * HOUR, "ended_as": end}
        ran(database, job, first, state="failed", code="failed", attempts=[long])
        for at in others:
            quick = {"attempt": 1, "token": 1, "started_at": at, "finished_at": at, "ended_as": "succeeded"}
            ran(database, job, at, attempts=[quick])
    found = [each for each in audited()[0] if each[0] is Finding.OVERLAPPING]
    assert {each[1] for each in found} == {"busy"}
    assert len(found) == 58


def test_a_process_that_started_before_its_time_is_found(database, last, audited):  # noqa: F811
    put(database, "early")
    for at in hours(last, without={0}):
        ran(database, "early", at)
    soon = {"attempt": 1, "token": 1, "started_at": last - MINUTE, "finished_at": last, "ended_as": "succeeded"}
    run_id = ran(database, "early", last, attempts=[soon])
    assert audited()[0] == [(Finding.EARLY, "early", run_id, last)]


def test_a_success_without_a_successful_attempt_is_a_lie(database, last, audited):  # noqa: F811
    put(database, "liar")
    for at in hours(last, without={0}):
        ran(database, "liar", at)
    failed = {"attempt": 1, "token": 1, "started_at": last, "finished_at": last, "ended_as": "failed"}
    run_id = ran(database, "liar", last, attempts=[failed])
    assert audited()[0] == [(Finding.STATUS_LIE, "liar", run_id, last)]


def test_a_request_without_a_run_or_a_problem_is_missing(database, last, audited):  # noqa: F811
    put(database, "asked", schedule=None)
    database.execute("alter table tidemill.requests disable trigger user")
    database.execute(
        "insert into tidemill.requests (request_id, job_id, owner, created_at) values ('r', 'asked', 'asked', %s)",
        (last - MINUTE,),
    )
    assert audited()[0] == [(Finding.MISSING, "asked", None, last - MINUTE)]


def test_all_rows_are_kept_from_the_week_on_after_the_newest_reduced_one(database):  # noqa: F811
    def kept_from():
        return database.execute("select tidemill.kept_from() as at").fetchone()["at"]

    database.execute("alter table tidemill.weeks disable trigger user")
    database.execute("delete from tidemill.weeks")
    assert kept_from() == datetime(1970, 1, 1, tzinfo=UTC)
    weeks = [datetime(2026, 11, day, tzinfo=UTC) for day in (2, 9, 16)]
    for each in weeks:
        database.execute("insert into tidemill.weeks (week) values (%s)", (each.date(),))
    assert kept_from() == weeks[0]
    database.execute("update tidemill.weeks set reduced = 1 where week = %s", (weeks[1].date(),))
    assert kept_from() == weeks[2]


def test_a_request_belongs_to_the_tenant_of_its_job(database, last, audited):  # noqa: F811
    put(database, "asked", schedule=None, tenant="a")
    database.execute("alter table tidemill.requests disable trigger user")
    database.execute(
        "insert into tidemill.requests (request_id, job_id, owner, created_at) values ('r', 'asked', 'asked', %s)",
        (last - MINUTE,),
    )
    assert audited(tenant="b")[0] == []
    assert [each[1] for each in audited(tenant="a")[0]] == ["asked"]


def test_only_the_asked_job_or_tenant_is_audited(database, last, audited):  # noqa: F811
    put(database, "mine", tenant="a")
    put(database, "yours", tenant="b")
    assert {each[1] for each in audited()[0]} == {"mine", "yours"}
    assert {each[1] for each in audited(owner="mine")[0]} == {"mine"}
    assert {each[1] for each in audited(tenant="b")[0]} == {"yours"}


def test_a_change_of_the_schedule_is_followed(database, last, audited):  # noqa: F811
    put(database, "changed", schedule="0 * * * *")
    change(database, "changed", timedelta(hours=3, minutes=10), schedule="30 * * * *")
    now_minus = database.execute("select max(valid_from) as at from tidemill.definitions").fetchone()["at"]
    for at in hours(last):
        if at < now_minus:
            ran(database, "changed", at)
    half_past = [at for each in range(6) if (at := last - each * HOUR - HOUR / 2) > now_minus]
    for at in half_past:
        ran(database, "changed", at)
    assert audited()[0] == []
