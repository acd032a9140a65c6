"""Schedules on the real stack: on time, never early, and changes take effect at once without duplicates."""

from __future__ import annotations

from datetime import timedelta
from itertools import count, pairwise

import pytest

from schemas.partition import partition_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

SECOND = timedelta(seconds=1)
EVERY_SECOND = "* * * * * *"
OCCURRENCES = 5
ON_TIME = timedelta(seconds=5)
PAUSE = timedelta(seconds=3)


@pytest.fixture
def job(stack, name):
    """A job that is due every second, with short runs."""
    stack.put_job(name, stack.put_script(name, "true"), schedule=EVERY_SECOND, overlap_policy="allow_all")
    return name


def versions(stack, job):
    return stack.rows("select * from definitions where owner = %s order by version", [job])


def has_run(stack, job, after, count=1):
    """Waits for `count` runs with a nominal time after `after`; returns them."""

    def look():
        found = [each for each in stack.runs_of(job) if each["nominal_time"] > after and each["started_at"]]
        return found if len(found) >= count else None

    return eventually(look, 60, lambda: f"{count} runs of {job} after {after}, which has {len(stack.runs_of(job))},")


def seconds_between(first, last):
    """The whole seconds in (first, last]."""
    start = first.replace(microsecond=0) + SECOND
    return [start + SECOND * number for number in range((last - start) // SECOND + 1)]


def neighbour(job):
    """Another id in the same partition, whose watermark it shares."""
    wanted = partition_of(job, 8)
    return next(each for number in count() if partition_of(each := f"{job}neighbour{number}", 8) == wanted)


def test_occurrences_start_on_time_and_never_early(stack, job):
    (defined,) = versions(stack, job)
    found = has_run(stack, job, defined["valid_from"], OCCURRENCES)
    assert [each["nominal_time"] for each in found] == seconds_between(defined["valid_from"], found[-1]["nominal_time"])
    for run in found:
        assert run["kind"] == "scheduled"
        assert run["run_id"] == f"{job}@{run['nominal_time']:%Y-%m-%dT%H:%M:%SZ}"
        assert run["nominal_time"] == run["scheduled_time"] <= run["queued_at"] <= run["started_at"]
        assert run["started_at"] - run["scheduled_time"] < ON_TIME


def test_a_pause_skips_due_occurrences_with_a_reason(stack, job):
    has_run(stack, job, versions(stack, job)[0]["valid_from"])
    stack.edit_job(job, paused=True)
    until = stack.now() + PAUSE
    eventually(lambda: stack.now() > until, 10, "the end of the pause")
    stack.edit_job(job, paused=False)
    defined, paused, resumed = (each["valid_from"] for each in versions(stack, job))
    last = has_run(stack, job, resumed)[-1]["nominal_time"]
    (range_,) = [each for each in stack.runs_of(job) if each["missed_count"]]
    during = seconds_between(paused, resumed)
    assert (range_["state"], range_["missed_count"], range_["missed_at_least"]) == ("skipped", len(during), False)
    assert (range_["missed_from"], range_["missed_to"]) == (during[0], during[-1])
    assert range_["reason_code"] == "paused"
    ran = [each["nominal_time"] for each in stack.runs_of(job) if not each["missed_count"]]
    before, after = seconds_between(defined, paused), seconds_between(resumed, last)
    assert [each for each in ran if each <= last] == before + after


def test_an_edit_takes_effect_at_once_and_decides_nothing_twice(stack, job):
    has_run(stack, job, versions(stack, job)[0]["valid_from"])
    stack.edit_job(job, schedule="*/2 * * * * *")
    defined, edited = (each["valid_from"] for each in versions(stack, job))
    last = has_run(stack, job, edited, 2)[-1]["nominal_time"]
    after = [each for each in seconds_between(edited, last) if each.second % 2 == 0]
    ran = [each["nominal_time"] for each in stack.runs_of(job) if each["nominal_time"] <= last]
    assert ran == seconds_between(defined, edited) + after


def test_a_deleted_job_is_no_longer_due(stack, job):
    has_run(stack, job, versions(stack, job)[0]["valid_from"])
    stack.delete_job(job)
    defined, deleted = (each["valid_from"] for each in versions(stack, job))
    other = neighbour(job)
    stack.put_job(other, stack.put_script(other, "true"), schedule=EVERY_SECOND, overlap_policy="allow_all")
    has_run(stack, other, deleted, 3)
    stack.delete_job(other)
    assert [each["nominal_time"] for each in stack.runs_of(job)] == seconds_between(defined, deleted)


def test_an_occurrence_while_its_job_still_runs_is_skipped_with_the_reason(stack, name):
    stack.put_job(name, stack.put_script(name, "sleep 1.5"), schedule=EVERY_SECOND)

    def skipped():
        return [each for each in stack.runs_of(name) if each["state"] == "skipped"]

    found = eventually(skipped, 30, "a skipped occurrence")[0]
    assert (found["reason_code"], found["blocked_by"][: len(name) + 1]) == ("overlap_skipped", f"{name}@")
    assert (found["attempt"], found["started_at"]) == (0, None)


def test_an_occurrence_that_replaces_a_run_starts_after_that_run_has_ended(stack, name):
    sleeps = stack.put_script(name, "sleep 60")
    stack.put_job(name, sleeps, schedule="*/2 * * * * *", overlap_policy="Replace", timeout="90 s", on_delete="cancel")

    def replaced():
        found = [each for each in stack.runs_of(name) if each["state"] == "cancelled" and each["started_at"]]
        return sorted(found, key=lambda each: each["nominal_time"]) if len(found) >= 3 else None

    for earlier, later in pairwise(eventually(replaced, 60, "three replaced runs")):
        assert earlier["finished_at"] <= later["started_at"]
        assert earlier["reason_code"] == "overlap_replaced"


@pytest.fixture(autouse=True)
def quiet(stack, name):
    """Deletes the test's jobs: runs every second would disturb later tests."""
    yield
    stack.database.execute("delete from jobs where starts_with(job_id, %s)", [name])
