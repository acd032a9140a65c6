"""The port of an executor: its figures after runs, and what it says of its health while parts fail and at the end."""

from __future__ import annotations

import math
import os
import signal

import pytest

from schemas.event import Ended, Started
from tests.support.observed import reserved_port

INTERVAL_SECONDS = 2
"""Of the heartbeats, for a supervisor that is stopped: it counts as silent after twice this time, and is killed after
four times."""
CAUSES = ("exited", "limit", "cancelled", "lease", "stopped", "rejected", "expired", "void")


@pytest.fixture
def port(tmp_path):
    with reserved_port(tmp_path) as reserved:
        yield reserved


@pytest.fixture
def executor(executors, port):
    return executors.start(observe_listen=port.address, slots="10s=3,1m=2")


def figure(port, name, **labels):
    return port.figure(f"tidemill_{name}", **labels)


def test_every_series_is_there_before_the_first_run(executor, port, until):
    until(lambda: port.is_ready)
    assert port.series("tidemill_executor_ends_total") == {(cause,): 0 for cause in CAUSES}
    assert port.series("tidemill_claim_seconds_count") == {("10s",): 0, ("1m",): 0}
    assert port.series("tidemill_cache_requests_total") == {("hit",): 0, ("miss",): 0}
    assert port.series("tidemill_output_dropped_bytes_total") == {("limit",): 0, ("storage",): 0}
    for name in ("fetch_seconds_count", "started_ack_seconds_count", "spawn_seconds_count", "output_bytes_total"):
        assert figure(port, name) == 0, name
    assert port.series("tidemill_executor_slots", state="busy") == {("10s",): 0, ("1m",): 0}
    assert port.series("tidemill_executor_slots", state="free") == {("10s",): 3, ("1m",): 2}
    assert 0 <= figure(port, "heartbeat_age_seconds") < math.inf


def test_runs_are_counted_and_measured_from_the_claim_to_the_end(executor, port, owner, objects):
    hello = objects.script("echo hello")
    owner.run(hello)
    owner.run(hello)
    owner.run(objects.script("true"), sha256="0" * 64)
    assert figure(port, "claim_seconds_count", **{"class": "10s"}) == 3
    assert port.series("tidemill_cache_requests_total") == {("hit",): 1, ("miss",): 2}
    assert figure(port, "fetch_seconds_count") == 2
    for name in ("started_ack", "spawn"):
        assert figure(port, f"{name}_seconds_count") == 2
        assert 0 < figure(port, f"{name}_seconds_sum") < 20
    ends = port.series("tidemill_executor_ends_total")
    assert {cause: count for (cause,), count in ends.items() if count} == {"exited": 2, "rejected": 1}
    assert figure(port, "output_bytes_total") == 2 * len("hello\n")


def test_a_running_process_takes_a_slot_and_its_output_counts_at_once(executor, port, owner, objects, until):
    order = owner.order(objects.script("echo hello; sleep 60"))
    owner.dispatch(order)
    until(lambda: figure(port, "output_bytes_total") == len("hello\n"))
    assert port.series("tidemill_executor_slots", **{"class": "10s"}) == {("busy",): 1, ("free",): 2}
    owner.kill(order, grace=0)
    owner.end_of(order)
    assert port.series("tidemill_executor_slots", **{"class": "10s"}) == {("busy",): 0, ("free",): 3}
    assert figure(port, "executor_ends_total", cause="cancelled") == 1


def test_output_beyond_the_limit_counts_as_dropped(executors, port, owner, objects):
    executors.start(observe_listen=port.address, log_max_bytes=20_000)
    ended = owner.run(objects.script("head -c 50000 /dev/zero | tr '\\0' x"))
    assert figure(port, "output_bytes_total") == ended.output_bytes == 50_000
    stored = objects.read(ended.log_uri)
    assert figure(port, "output_dropped_bytes_total", cause="limit") == 50_000 - stored.count(b"x")


def test_readiness_goes_first_while_the_run_still_drains(executor, port, owner, objects, until):
    order = owner.order(objects.script("echo > waits; until [ -e go-on ]; do sleep 0.05; done; echo finished"))
    owner.dispatch(order)
    owner.first(order, Started)
    until(lambda: port.is_ready)
    executor.signal(signal.SIGTERM)
    until(lambda: port.get("/readyz")[0] == 503)
    assert "it drains" in port.get("/readyz")[1]
    assert port.is_live
    assert figure(port, "process_ready") == 0
    assert not owner.of(order, Ended)
    until(lambda: executor.made("waits"))[0].with_name("go-on").touch()
    assert owner.end_of(order).output == "finished\n"
    assert executor.process.wait(timeout=10) == 0


def test_an_executor_whose_supervisor_does_not_answer_is_not_ready_until_it_does(executors, port, until):
    executor = executors.start(observe_listen=port.address, heartbeat_interval=f"PT{INTERVAL_SECONDS}S")
    until(lambda: port.is_ready)
    supervisor = executor.supervisor
    os.kill(supervisor, signal.SIGSTOP)
    until(lambda: not port.is_ready)
    assert "its process supervisor has not answered" in port.get("/readyz")[1]
    assert port.is_live
    os.kill(supervisor, signal.SIGCONT)
    until(lambda: port.is_ready)
    assert executor.supervisor == supervisor


def test_a_port_that_is_taken_ends_the_executor_with_a_sentence(executor, executors, port):
    second = executors.start("second", wait=False, observe_listen=port.address)
    assert second.process.wait(timeout=30) == 1
    assert f"TIDEMILL_OBSERVE_LISTEN {port.address} cannot be used" in second.log.read_text()
