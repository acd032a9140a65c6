"""A forecast is what a real owner decides: the same jobs are played by both. And it is bounded and repeatable."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.classes import parse_classes
from schemas.confinement import Sandbox
from schemas.ids import OwnerId
from schemas.job import Definition, JobSpec
from schemas.words import CatchupPolicy, OverlapPolicy
from streams.core.settings import CoreSettings
from tests.support.simulated.log import START
from tests.support.simulated.scenario import EVERY_10S, Scenario
from tidemill.simulate.forecast import Ending, forecast

MINUTES = 2
BEGIN = START + timedelta(milliseconds=1)
"""The owner decides what is after the first version of a definition, and that is of `START`."""


def definition(**fields):
    spec = JobSpec(
        job_id="job", executable="s3://tidemill/x", **{"schedule": EVERY_10S, "timeout_class": "1m"} | fields
    )
    return Definition(owner=OwnerId("job"), version=1, valid_from=START, deleted=False, spec=spec)


def played(takes, *, minutes=MINUTES, most_steps=10_000, **fields):
    """`takes`: the seconds of each process, or a function from the second of an occurrence to those of its process."""
    second_of = takes if callable(takes) else lambda _: takes

    def draw(dispatch):
        long = second_of(int((dispatch.nominal_time - START).total_seconds()))
        return Ending(takes=None if long is None else timedelta(seconds=long))

    end = START + timedelta(minutes=minutes)
    return forecast(
        definition(**fields), BEGIN, end, draw, CoreSettings(),
        stops_in=stops_in, most_steps=most_steps,
    )  # fmt: skip


def stops_in(grace):
    """As in a `Scenario`."""
    return timedelta(seconds=3 if grace else 1)


def by_real_owner(durations, **fields):
    """Second → how the occurrence went, by an owner on a simulated log."""
    scenario = Scenario("", f"until {MINUTES}:00; runs take 1 s")
    scenario._versions = [{"schedule": EVERY_10S, "timeout_class": "1m"} | fields]
    scenario.conditions.takes.update(durations)
    scenario.run(new_owner_each_second=False)
    return {second(each.nominal_time): outcome(each) for each in scenario.log.statuses().values()}


def second(instant):
    return int((instant - START).total_seconds())


def outcome(each):
    words = (getattr(word, "value", word) for word in (each.state, each.reason_code))
    return *words, each.started_at and second(each.started_at), each.finished_at and second(each.finished_at)


POLICIES = st.fixed_dictionaries(
    {"overlap_policy": st.sampled_from(OverlapPolicy), "retry_jitter": st.just(0.0)},
    optional={
        "buffer_limit": st.integers(1, 3),
        "start_deadline": st.sampled_from([timedelta(seconds=5), timedelta(seconds=25)]),
        "max_runs": st.integers(1, 20),
        "max_attempts": st.integers(1, 2),
        "paused": st.booleans(),
        "catchup_policy": st.sampled_from(CatchupPolicy),
        "timeout": st.sampled_from([timedelta(seconds=12), timedelta(seconds=30)]),
        "pause_on_failure": st.integers(1, 3),
    },
)
DURATIONS = st.dictionaries(st.integers(0, 6 * MINUTES).map(lambda number: 10 * number), st.integers(1, 70))


@settings(max_examples=40, deadline=None)
@given(POLICIES, DURATIONS)
def test_each_occurrence_goes_as_a_real_owner_decides_it(fields, durations):
    real = by_real_owner(durations, **fields)
    found = {
        second(each.nominal_time): outcome(each)
        for each in played(lambda at: durations.get(at, 1), **fields).occurrences
    }
    last = 60 * MINUTES  # the forecast ends before this second, and the scenario plays it
    assert found.keys() == {at for at in real if at < last}
    assert over(found, last) == over(real, last)


def over(occurrences, last):
    return {at: each for at, each in occurrences.items() if each[3] is not None and each[3] < last}


def test_the_same_draws_give_the_same_forecast():
    assert played(13, minutes=10) == played(13, minutes=10)


def test_occurrences_of_the_begin_belong_to_it_and_those_of_the_end_do_not():
    found = forecast(
        definition(), START, START + timedelta(seconds=30), lambda _: Ending(takes=timedelta(0)), CoreSettings()
    )
    assert [second(each.nominal_time) for each in found.occurrences] == [0, 10, 20]


def test_it_stops_after_its_steps_with_what_is_decided_until_then():
    whole = played(1, minutes=60, most_steps=10_000)
    part = played(1, minutes=60, most_steps=100)
    assert whole.until == START + timedelta(minutes=60)
    assert START + timedelta(minutes=3) < part.until < START + timedelta(minutes=10)
    assert part.occurrences == [each for each in whole.occurrences if each.nominal_time < part.until]


def test_a_burst_of_ends_that_exceeds_a_transaction_is_applied_in_several():
    """All processes end at the same instant: 6,000 events in one record of an executor."""
    end = START + timedelta(hours=2)

    def draw(dispatch):
        return Ending(takes=max(end - timedelta(seconds=10) - dispatch.nominal_time, timedelta(0)))

    spec = definition(schedule="* * * * * *", overlap_policy=OverlapPolicy.ALLOW_ALL, timeout=timedelta(hours=3))
    spec = msgspec.structs.replace(spec, spec=msgspec.structs.replace(spec.spec, timeout_class="1h", promote=False))
    settings_ = CoreSettings(classes=parse_classes("10s,1m,3h"))
    found = forecast(spec, end - timedelta(seconds=6_010), end, draw, settings_)
    ends = Counter((each.state, each.finished_at) for each in found.occurrences)
    assert ends["succeeded", end - timedelta(seconds=10)] == 6_001


def test_an_executor_gives_all_that_a_sandbox_asks_for():
    assert played(1, minutes=1, sandbox=Sandbox.STRICT, memory=2**20, unveil=("r:/srv",)).problems == []
    found = played(1, minutes=1, sandbox=Sandbox.STRICT, memory=2**20, unveil=("r:/srv",))
    assert {each.state for each in found.occurrences} == {"succeeded"}


def test_a_schedule_that_the_core_cannot_follow_is_said():
    assert "61" in played(1, schedule="61 * * * *").problems[0]
