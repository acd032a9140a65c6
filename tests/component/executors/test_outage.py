"""After an outage of the broker, executors report pending ends, claim again, and receive kills."""

from __future__ import annotations

import signal
import time
from datetime import timedelta

import pytest

from executors.clock import cluster_clock
from executors.consumer import Claimer, ClaimerContext
from executors.settings import ExecutorSettings
from executors.slots import Slots
from observe.health import Health
from schemas.confinement import NOTHING_GIVEN
from schemas.event import EndCause, Started
from tests.support.executor_figures import new_metrics
from tests.support.observed import reserved_port

BACK_SECONDS = 15.0
"""From the broker's return to the first new claim."""


@pytest.fixture
def servers(own_servers):
    return own_servers.environment


def test_an_end_during_a_broker_outage_is_reported_afterwards_and_claiming_continues(
    own_servers, owner, executors, objects, trace, until
):
    executors.start(unveil=trace.allowed)
    script = objects.script(f"sleep 1; {trace.script}")
    order = owner.order(script, lease=timedelta(seconds=60), confinement=trace.asked)
    owner.dispatch(order)
    owner.first(order, Started)
    own_servers.kill("kafka")
    until(trace.read)
    own_servers.start("kafka")
    back = time.monotonic()
    ended = owner.end_of(order)
    assert (ended.cause, ended.exit_code) == (EndCause.EXITED, 0)
    assert owner.run(objects.script("true")).exit_code == 0
    assert time.monotonic() - back < BACK_SECONDS
    killed = owner.order(objects.script("sleep 60"))
    owner.dispatch(killed)
    owner.first(killed, Started)
    owner.kill(killed)
    assert owner.end_of(killed).cause is EndCause.CANCELLED


def test_without_brokers_an_executor_is_live_and_not_ready(own_servers, executors, tmp_path, until):
    with reserved_port(tmp_path) as port:
        executors.start(observe_listen=port.address)
        until(lambda: port.is_ready)
        own_servers.kill("kafka")
        until(lambda: not port.is_ready)
        assert "Kafka has not acknowledged a heartbeat for" in port.get("/readyz")[1]
        assert port.is_live
        own_servers.start("kafka")
        until(lambda: port.is_ready)


def test_a_claimer_that_waits_for_brokers_in_a_commit_is_not_stuck(own_servers, connections, owner, until):
    now, may_claim, held, claimed = [0.0], [True], [], []
    health, slots = Health(lambda: now[0]), Slots({"10s": 2})
    context = ClaimerContext(
        timeout_class="10s", slots=slots, clock=cluster_clock(connections), metrics=new_metrics(), health=health,
        given=NOTHING_GIVEN,
        may_claim=lambda: bool(may_claim), is_ill=lambda: False, on_polled=lambda *_: None,
        on_claimed=lambda *each: claimed.append(each), on_assigned=lambda _, partitions: held.append(partitions),
        on_unreadable=lambda *_: None, on_crash=print, capacity=4,
    )  # fmt: skip
    claimer = Claimer(connections, context, client_id="e")
    claimer.start()
    until(lambda: held and len(held[-1]) == connections.partitions)
    owner.dispatch(owner.order(("s3://a/b", "0" * 64)))
    until(lambda: claimed)  # it knows the committed offsets now
    may_claim.clear()
    owner.dispatch(owner.order(("s3://a/b", "0" * 64)))
    until(lambda: len(claimer._records))
    own_servers.kill("kafka")
    may_claim.append(True)
    until(lambda: not slots.free("10s"))
    now[0] = 1_000.0
    assert "the loop 'claim-10s' has not turned for 1000 s" in health.why_not_live
    claimer.excuse()
    assert health.why_not_live is None
    own_servers.start("kafka")
    until(lambda: len(claimed) == 2, 90)
    claimer.stop()


def test_an_executor_that_stops_without_brokers_has_ended_at_its_one_deadline(
    own_servers, owner, executors, objects, until
):
    short = {"drain_timeout": "PT1S", "term_grace": "PT1S", "checkpoint_timeout": "PT1S"}
    executor = executors.start(**short)
    order = owner.order(objects.script("touch started; exec sleep 60"), lease=timedelta(seconds=60))
    owner.dispatch(order)
    until(lambda: executor.made("started"))
    own_servers.kill("kafka")
    executor.signal(signal.SIGTERM)
    began = time.monotonic()
    executor.process.wait(60)
    limit = ExecutorSettings(**{name: timedelta(seconds=1) for name in short}).stop_limit
    assert time.monotonic() - began < limit.total_seconds() + 1
