"""Under any order of inputs, time, crashes and unknown outcomes, every occurrence runs once and nothing is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.event import EndCause
from schemas.ids import occurrence_run_id
from schemas.partition import partition_of
from schemas.words import NEVER_RAN, OverlapPolicy
from streams.core.room import Bounds
from streams.owner.records import Forwarding
from tests.support import checkers
from tests.support.simulated.crashing_owner import CrashScenario, Fate
from tests.support.simulated.log import START, Log, ended, started

SECONDS = 60
SMALL_TRANSACTION = 4
"""So small that ticks are interrupted in many places."""


fates = st.sampled_from([Fate.COMMITTED] * 6 + [Fate.LOST, Fate.UNKNOWN])


@pytest.fixture(autouse=True, scope="module")
def small_transactions():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "bounds", Bounds(effects=SMALL_TRANSACTION))
        yield


ends = st.tuples(st.sampled_from([0, 1]), st.sampled_from(list(EndCause)))
stops = st.sampled_from([False] * 5 + [True])
turns = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.3, 1.0, 5.0, 17.0]), fates, st.none() | ends, st.sampled_from([False] * 5 + [True])
    ),
    max_size=40,
)


def occurrences(until_seconds: float, every: int) -> set[str]:
    return {occurrence_run_id("job", START + timedelta(seconds=s)) for s in range(every, int(until_seconds) + 1, every)}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_occurrence_is_decided_once_whenever_the_owner_crashes(data: st.DataObject) -> None:
    scenario = CrashScenario()
    policy = data.draw(st.sampled_from([each.value for each in OverlapPolicy]))
    scenario.log.define(schedule="@every 5s", overlap_policy=policy, catchup_policy="all", max_attempts=3)
    scenario.owner = scenario.log.recover()
    elapsed = 0.0
    for number, (pause, fate, end, is_stopped) in enumerate(data.draw(turns)):
        elapsed += pause
        if is_stopped:
            scenario.owner.offer(scenario.log.request(f"stop-{number}", kind="cancel"))
        scenario.turn(fate, pause)
        if end:
            scenario.execute(*end)
    scenario.log.define(version=2, deleted=True)
    scenario.owner = scenario.log.recover()
    scenario.settle()
    history = scenario.history()
    expected = occurrences(elapsed, 5)
    assert checkers.materialized_once(history) == []
    assert checkers.legal_history(history) == []
    assert checkers.nothing_lost(history, expected) == []
    assert checkers.dispatched_once(scenario.log.dispatches()) == []
    assert checkers.no_dispatch_after_stop(history, scenario.log.dispatches()) == []
    if policy != "allow_all":
        assert checkers.one_run_at_a_time(history) == []
    if policy in {"allow_all", "buffer_all"}:
        assert not {status.run_id for status in history if status.state in NEVER_RAN}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_request_runs_once_whenever_the_owner_crashes(data: st.DataObject) -> None:
    scenario = CrashScenario()
    scenario.owner = scenario.log.recover()
    is_defined = False
    sent: list[str] = []
    for number in range(12):
        if not is_defined and data.draw(st.booleans()):
            scenario.owner.offer(scenario.log.define())
            is_defined = True
        sent.append(f"r{number}")
        again = data.draw(st.sampled_from(sent))
        for request_id in (sent[-1], again):
            scenario.owner.offer(scenario.log.request(request_id))
        scenario.turn(data.draw(fates), data.draw(st.sampled_from([0.0, 0.4])))
        scenario.execute(0, EndCause.EXITED)
    if not is_defined:
        scenario.owner.offer(scenario.log.define())
    scenario.settle()
    history = scenario.history()
    assert checkers.materialized_once(history) == []
    assert checkers.legal_history(history) == []
    assert checkers.nothing_lost(history, {f"job#{request_id}" for request_id in sent}) == []
    assert checkers.dispatched_once(scenario.log.dispatches()) == []


def arrive(home: CrashScenario, moved: list[Forwarding]) -> None:
    for each in moved:
        home.owner.offer(home.log.append_public(each.value, each.key.encode(), is_forwarded=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_request_by_table_or_topic_in_any_partition_runs_once_despite_crashes(data: st.DataObject) -> None:
    home = CrashScenario(Log(partition_of("job", 2), 2))
    away = CrashScenario(Log(1 - home.log.partition, 2))
    home.log.define()
    home.owner, away.owner = home.log.recover(), away.log.recover()
    writers = [(home, home.log.request), (home, home.log.request_by_topic), (away, away.log.request_by_topic)]
    sent, moved = [], 0
    for number in range(8):
        sent.append(f"r{number}")
        for request_id in (sent[-1], data.draw(st.sampled_from(sent))):
            scenario, write = data.draw(st.sampled_from(writers))
            scenario.owner.offer(write(request_id))
        away.turn(data.draw(fates), 0.1)
        arrive(home, away.log.forwarded[moved:])
        moved = len(away.log.forwarded)
        home.turn(data.draw(fates), data.draw(st.sampled_from([0.0, 0.4])))
        home.execute(0, EndCause.EXITED)
    away.settle()
    arrive(home, away.log.forwarded[moved:])
    home.settle()
    history = home.history()
    assert checkers.materialized_once(history) == []
    assert checkers.nothing_lost(history, {f"job#{request_id}" for request_id in sent}) == []
    assert checkers.dispatched_once(home.log.dispatches()) == []
    assert away.history() == []


def test_the_next_owner_finishes_an_interrupted_tick() -> None:
    scenario = CrashScenario()
    scenario.log.define(schedule="* * * * * *", overlap_policy="allow_all", misfire_grace=timedelta(seconds=90))
    scenario.owner = scenario.log.recover()
    scenario.turn(Fate.COMMITTED, 0)
    scenario.log.now += timedelta(seconds=SECONDS)
    cuts = 0
    while not cuts or scenario.owner.state.durable.cursor:
        scenario.turn(Fate.UNKNOWN, 0.01)
        cuts += 1
    assert cuts >= SECONDS // SMALL_TRANSACTION
    assert {status.run_id for status in scenario.history()} == occurrences(SECONDS, 1)
    assert checkers.materialized_once(scenario.history()) == []


def test_a_tick_interrupted_between_two_schedules_decides_neither_twice() -> None:
    log = Log()
    schedules = {"every": "* * * * * *", "second": "*/2 * * * * *"}
    for job_id, schedule in schedules.items():
        log.define(job_id=job_id, schedule=schedule, overlap_policy="allow_all", misfire_grace=timedelta(seconds=90))
    log.turn(log.recover())
    log.now += timedelta(seconds=10)
    for _ in range(60):
        log.turn(log.recover())
        for dispatch in log.dispatches():
            log.report(started(dispatch, log.now), ended(dispatch, log.now))
    wanted = {occurrence_run_id("every", START + timedelta(seconds=each)) for each in range(1, 11)}
    wanted |= {occurrence_run_id("second", START + timedelta(seconds=each)) for each in range(2, 11, 2)}
    assert log.statuses().keys() == wanted
    assert checkers.materialized_once(log.history()) == []


def test_the_rest_of_an_interrupted_tick_is_late_from_the_start_of_the_tick() -> None:
    log = Log()
    log.define(
        schedule="* * * * * *", overlap_policy="allow_all", catchup_policy="skip", misfire_grace=timedelta(seconds=9)
    )
    log.turn(log.recover())
    log.now += timedelta(seconds=8)
    log.turn(log.recover())
    log.now += timedelta(seconds=300)
    for _ in range(60):
        log.turn(log.recover())
    made = {run_id for run_id, status in log.statuses().items() if status.state not in NEVER_RAN}
    assert occurrences(8, 1) <= made
