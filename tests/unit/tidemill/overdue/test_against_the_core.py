"""No false alarm: whatever happens to a job, the owner has recorded every occurrence that is expected."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ids import occurrence_run_id
from schemas.reasons import ReasonCode
from schemas.times import rfc3339
from streams.core.schedule.occurrences import parse_schedule
from tests.support.simulated.log import START
from tests.support.simulated.watched_owner import WatchedOwner
from tidemill.overdue.expected import Version, in_force, last_expected
from tidemill.time import Plan

SOON = timedelta(minutes=7)
SCHEDULES = [None, "* * * * *", "*/5 * * * *", "@every 90s", f"@at {rfc3339(START + SOON)}"]
EDITS = st.fixed_dictionaries(
    {"schedule": st.sampled_from(SCHEDULES)},
    optional={
        "paused": st.booleans(),
        "deleted": st.booleans(),
        "max_runs": st.sampled_from([1, 3]),
        "catchup_policy": st.sampled_from(["skip", "latest", "all"]),
        "catchup_after_pause": st.sampled_from(["skip", "latest", "all"]),
        "overlap_policy": st.sampled_from(["skip", "buffer_one", "allow_all", "cancel_other"]),
        "start_deadline": st.just(timedelta(seconds=30)),
        "ends_at": st.just(START + 2 * SOON),
    },
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([1, 20, 61, 90, 200, 600]),
        st.none() | EDITS,
        st.sampled_from([0, 5, 50]),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


class Story:
    """A job, its owner, and the rows of `definitions`, which have the time of the statement, not of the commit."""

    def __init__(self):
        self.owner = WatchedOwner()
        self.versions: list[Version] = []
        self._committed = START

    def change(self, edit, open_seconds):
        now = self.owner.log.now
        written = max(self._committed, now - timedelta(seconds=open_seconds))
        self._committed = now
        edit = {"paused": False, "deleted": False, "max_runs": None, **edit}
        self.owner.define(**edit)
        is_off = edit["paused"] or edit["deleted"] or edit["schedule"] is None
        plan = None if is_off else Plan(
            schedule=parse_schedule(edit["schedule"]), timezone="UTC", ends_at=edit.get("ends_at")
        )  # fmt: skip
        self.versions.append(
            Version(
                owner="job",
                version=len(self.versions) + 1,
                valid_from=written,
                plan=plan,
                max_runs=edit["max_runs"],
            )
        )

    def is_recorded(self, at):
        statuses = self.owner.log.statuses()
        ranges = [each.missed for each in statuses.values() if each.missed]
        return occurrence_run_id("job", at) in statuses or any(each.first <= at <= each.last for each in ranges)

    def is_finished(self, at):
        version = in_force(self.versions, at)
        return version.max_runs is not None and any(
            each.reason_code is ReasonCode.MAX_RUNS and version.valid_from < each.nominal_time <= at
            for each in self.owner.log.statuses().values()
        )

    def false_alarm(self):
        at = last_expected(self.versions, START, self.owner.log.now)
        return None if at is None or self.is_recorded(at) or self.is_finished(at) else at


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_every_expected_occurrence_has_a_record_once_its_owner_has_decided(steps):
    story = Story()
    for seconds, edit, open_seconds, is_decided in steps:
        story.owner.log.now += timedelta(seconds=seconds)
        if edit is not None:
            story.change(edit, open_seconds)
        if is_decided:
            story.owner.until_idle()
            assert story.false_alarm() is None
    story.owner.until_idle(seconds=120)
    assert story.false_alarm() is None


def test_with_an_owner_that_is_away_the_newest_occurrence_is_an_alarm():
    story = Story()
    story.change({"schedule": "* * * * *"}, 0)
    story.owner.until_idle(seconds=300)
    assert story.false_alarm() is None
    story.owner.log.now += timedelta(seconds=300)
    assert story.false_alarm() == START + timedelta(seconds=600)
