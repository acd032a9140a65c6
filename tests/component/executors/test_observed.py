"""The port of an executor: its figures after runs, and what it says of its health while parts fail and at the end."""

from __future__ import annotations

import math
import os
import signal

import pytest

from schemas.event import Ended, Started
from tests.support.observed_port import ask, figures, free_address

INTERVAL_SECONDS = 2
"""Of the heartbeats, for a supervisor that is stopped: it counts as silent after twice this time, and is killed after
four times."""
CAUSES = ("exited", "limit", "cancelled", "lease", "stopped", "rejected", "expired", "void")


@pytest.fixture
def address():
    return free_address()


@pytest.fixture
def executor(executors, address):
    return executors.start(observe_listen=address, slots="10s=3,1m=2")


def is_ready(address):
    return ask(address, "/readyz") == (200, "ok\n")


def is_live(address):
    return ask(address, "/livez") == (200, "ok\n")


def test_every_series_is_there_before_the_first_run(executor, address, until):
    until(lambda: is_ready(address))
    found = figures(address)
    assert {name: found[("tidemill_executor_ends_total", name)] for name in CAUSES} == dict.fromkeys(CAUSES, 0)
    assert sum(series[0] == "tidemill_executor_ends_total" for series in found) == len(CAUSES)
    for series in (
        ("tidemill_claim_seconds_count", "10s"), ("tidemill_claim_seconds_count", "1m"),
        ("tidemill_fetch_seconds_count",), ("tidemill_started_ack_seconds_count",), ("tidemill_spawn_seconds_count",),
        ("tidemill_cache_requests_total", "hit"), ("tidemill_cache_requests_total", "miss"),
        ("tidemill_output_bytes_total",), ("tidemill_output_dropped_bytes_total", "limit"),
        ("tidemill_output_dropped_bytes_total", "storage"), ("tidemill_executor_slots", "10s", "busy"),
    ):  # fmt: skip
        assert found[series] == 0, series
    assert found[("tidemill_executor_slots", "1m", "free")] == 2
    assert 0 <= found[("tidemill_heartbeat_age_seconds",)] < math.inf


def test_runs_are_counted_and_measured_from_the_claim_to_the_end(executor, address, owner, objects):
    hello = objects.script("echo hello")
    owner.run(hello)
    owner.run(hello)
    owner.run(objects.script("true"), sha256="0" * 64)
    found = figures(address)
    assert found[("tidemill_claim_seconds_count", "10s")] == 3
    assert found[("tidemill_cache_requests_total", "miss")] == 2
    assert found[("tidemill_cache_requests_total", "hit")] == 1
    assert found[("tidemill_fetch_seconds_count",)] == 2
    for name in ("started_ack", "spawn"):
        assert found[(f"tidemill_{name}_seconds_count",)] == 2
        assert 0 < found[(f"tidemill_{name}_seconds_sum",)] < 20
    assert found[("tidemill_executor_ends_total", "exited")] == 2
    assert found[("tidemill_executor_ends_total", "rejected")] == 1
    assert found[("tidemill_output_bytes_total",)] == 2 * len("hello\n")


def test_a_running_process_takes_a_slot_and_its_output_counts_at_once(executor, address, owner, objects, until):
    order = owner.order(objects.script("echo hello; sleep 60"))
    owner.dispatch(order)
    until(lambda: figures(address)[("tidemill_output_bytes_total",)] == len("hello\n"))
    found = figures(address)
    assert found[("tidemill_executor_slots", "10s", "busy")] == 1
    assert found[("tidemill_executor_slots", "10s", "free")] == 2
    owner.kill(order, grace=0)
    owner.end_of(order)
    found = figures(address)
    assert found[("tidemill_executor_slots", "10s", "busy")] == 0
    assert found[("tidemill_executor_ends_total", "cancelled")] == 1


def test_output_beyond_the_limit_counts_as_dropped(executors, address, owner, objects):
    executors.start(observe_listen=address, log_max_bytes=20_000)
    ended = owner.run(objects.script("head -c 50000 /dev/zero | tr '\\0' x"))
    found = figures(address)
    assert found[("tidemill_output_bytes_total",)] == ended.output_bytes == 50_000
    stored = objects.read(ended.log_uri)
    assert found[("tidemill_output_dropped_bytes_total", "limit")] == 50_000 - stored.count(b"x")


def test_readiness_goes_first_while_the_run_still_drains(executor, address, owner, objects, tmp_path, until):
    go_on = tmp_path / "go-on"
    order = owner.order(objects.script(f"until [ -e {go_on} ]; do sleep 0.05; done; echo finished"))
    owner.dispatch(order)
    owner.first(order, Started)
    until(lambda: is_ready(address))
    executor.signal(signal.SIGTERM)
    until(lambda: ask(address, "/readyz")[0] == 503)
    assert "it drains" in ask(address, "/readyz")[1]
    assert is_live(address)
    assert figures(address)[("tidemill_process_ready",)] == 0
    assert not owner.of(order, Ended)
    go_on.touch()
    assert owner.end_of(order).output == "finished\n"
    assert executor.process.wait(timeout=10) == 0


def test_an_executor_whose_supervisor_does_not_answer_is_not_ready_until_it_does(executors, address, until):
    executor = executors.start(observe_listen=address, heartbeat_interval=f"PT{INTERVAL_SECONDS}S")
    until(lambda: is_ready(address))
    supervisor = executor.supervisor
    os.kill(supervisor, signal.SIGSTOP)
    until(lambda: not is_ready(address))
    assert "its process supervisor has not answered" in ask(address, "/readyz")[1]
    assert is_live(address)
    os.kill(supervisor, signal.SIGCONT)
    until(lambda: is_ready(address))
    assert executor.supervisor == supervisor


def test_a_port_that_is_taken_ends_the_executor_with_a_sentence(executor, executors, address):
    second = executors.start("second", wait=False, observe_listen=address)
    assert second.process.wait(timeout=30) == 1
    assert f"TIDEMILL_OBSERVE_LISTEN {address} cannot be used" in second.log.read_text()
