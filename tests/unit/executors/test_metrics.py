"""An attempt is counted once, and each phase that is shown is measured when the attempt leaves it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from executors.attempt import Fact, Phase
from executors.claim import ClaimDecision
from executors.clock import boot_seconds
from executors.in_hand import Attempt, move
from executors.s3 import ObjectStore
from executors.slots import Slots
from observe.registry import Registry
from schemas.event import EndCause
from schemas.settings import Connections
from tests.support.attempt_runner import RecordingProducer, claim, make_runner
from tests.support.executor_figures import new_metrics, value

NOWHERE = ObjectStore(Connections(s3_endpoint="http://127.0.0.1:9"))


@pytest.fixture
def registry():
    return Registry()


def ends(registry):
    """The causes that are not at 0, with their counts."""
    (family,) = [each for each in registry.prometheus.collect() if each.name == "tidemill_executor_ends"]
    found = {each.labels["cause"]: each.value for each in family.samples if each.name.endswith("_total")}
    return {cause: count for cause, count in found.items() if count}


def claimed(registry, folder, *claims, then=lambda runner: None):
    async def body():
        async with asyncio.TaskGroup() as tasks:
            runner = make_runner(RecordingProducer(), NOWHERE, folder, tasks, registry=registry)
            runner.on_claimed("10s", claims)
            then(runner)
            runner.close()
            runner.link.close()

    asyncio.run(body())


def test_an_expired_dispatch_counts_as_expired(registry, tmp_path):
    claimed(registry, tmp_path, claim(decision=ClaimDecision.EXPIRED))
    assert ends(registry) == {"expired": 1}


def test_an_attempt_whose_claim_is_void_counts_as_void(registry, tmp_path):
    claimed(registry, tmp_path, claim(claim_grace=timedelta(0)))
    assert ends(registry) == {"void": 1}


def test_an_attempt_that_cannot_run_counts_as_rejected(registry, tmp_path):
    claimed(registry, tmp_path, claim(executable="no address"))
    assert ends(registry) == {"rejected": 1}


def test_an_attempt_that_is_stopped_counts_by_its_cause(registry, tmp_path):
    claimed(registry, tmp_path, claim(), then=lambda runner: runner.stop(0.0))
    assert ends(registry) == {EndCause.STOPPED.value: 1}


def test_an_attempt_is_measured_in_the_phases_that_are_shown(registry):
    metrics = new_metrics(registry)
    attempt = Attempt(
        number=1, dispatch=claim().polled.dispatch, timeout_class="10s", partition=0, read=0.0, committed=0.0
    )
    for fact, seconds in ((Fact.CACHED, 0), (Fact.ACKNOWLEDGED, 2), (Fact.SPAWNED, 3), (Fact.EXITED, 5)):
        attempt.since = boot_seconds() - seconds
        move(attempt, fact, metrics)
    assert attempt.phase is Phase.ENDED
    assert value(registry, "tidemill_started_ack_seconds_sum") == pytest.approx(2, abs=0.5)
    assert value(registry, "tidemill_spawn_seconds_sum") == pytest.approx(3, abs=0.5)
    assert value(registry, "tidemill_fetch_seconds_count") == 0


def test_a_request_to_stop_a_running_process_ends_no_phase(registry):
    metrics = new_metrics(registry)
    attempt = Attempt(
        number=1, dispatch=claim().polled.dispatch, timeout_class="10s", partition=0, read=0.0, committed=0.0
    )
    attempt.phase = Phase.SPAWNING
    move(attempt, Fact.STOP_REQUESTED, metrics)
    assert value(registry, "tidemill_spawn_seconds_count") == 0


def test_a_claim_is_measured_by_class_and_never_negative(registry):
    metrics = new_metrics(registry)
    metrics.claimed("1m", timedelta(seconds=2))
    metrics.claimed("1m", timedelta(seconds=-1))
    series = "tidemill_claim_seconds_sum"
    assert value(registry, series, **{"class": "1m"}) == 2
    assert value(registry, series, **{"class": "10s"}) == 0


def test_a_scrape_shows_the_slots_and_the_heartbeat_of_that_moment(registry):
    metrics, slots, age = new_metrics(registry), Slots({"10s": 3, "1m": 1}), [float("inf")]
    metrics.watch(slots, lambda: age[0])
    assert value(registry, "tidemill_heartbeat_age_seconds") == float("inf")
    slots.take("10s", 2)
    age[0] = 1.5
    assert value(registry, "tidemill_executor_slots", **{"class": "10s", "state": "busy"}) == 2
    assert value(registry, "tidemill_executor_slots", **{"class": "10s", "state": "free"}) == 1
    assert value(registry, "tidemill_heartbeat_age_seconds") == 1.5
