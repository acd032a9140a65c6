"""The exporter of traces as a process on a real Kafka: the collector gets every run that ended, also after kills."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from observe.health import STARTING
from schemas.ids import RunId
from tests.support.observed import reserved_port
from tests.support.run_histories import histories, latest_by_run
from tests.support.servers.collector import Collector, running_collector
from tests.support.servers.kafka_node import running_kafka
from tests.support.servers.sink_under_test import EXIT_SECONDS, SinkBench
from tests.support.waiting import eventually

_numbers = itertools.count()
RUNS = 300


@pytest.fixture(scope="module")
def bootstrap():
    with running_kafka() as address:
        yield address


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as found:
        yield found


@pytest.fixture
def bench(bootstrap, tables_dsn, tmp_path):
    found = SinkBench(bootstrap, tables_dsn, f"traces{next(_numbers)}.", tmp_path)
    yield found
    found.close()


def start(bench: SinkBench, collector: Collector, **environment: str) -> subprocess.Popen[bytes]:
    settings = {
        "TIDEMILL_KAFKA_BOOTSTRAP": bench.connections.kafka_bootstrap,
        "TIDEMILL_TOPIC_PREFIX": bench.connections.topic_prefix,
        "TIDEMILL_TRACES_ENDPOINT": collector.url,
    }
    before = bench.log.read_text().count("traces_started") if bench.log.exists() else 0
    with bench.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "connectors.traces"], env={**os.environ, **settings, **environment}, stderr=log
        )
    bench.processes.append(process)
    eventually(lambda: bench.log.read_text().count("traces_started") > before, 30, bench.log.read_text)
    return process


def ended(number: int = RUNS):
    return {run_id for run_id, status in latest_by_run(histories(number)).items() if status.state.is_final}


def test_every_run_that_ended_is_sent_although_the_exporter_is_killed_and_the_collector_was_away(
    bench, collector, tmp_path
):
    token = tmp_path / "headers"
    token.write_text("X-Token: secret\n")
    collector.answer = 503
    first = start(bench, collector, TIDEMILL_TRACES_HEADERS_FILE=str(token))
    bench.produce(histories(RUNS))
    eventually(lambda: collector.posts >= 2, 30, bench.log.read_text)
    first.send_signal(signal.SIGKILL)
    first.wait(EXIT_SECONDS)
    collector.answer = 200
    start(bench, collector, TIDEMILL_TRACES_HEADERS_FILE=str(token))
    eventually(lambda: collector.runs == ended(), 60, lambda: f"{len(collector.runs)} of {len(ended())} runs")
    assert collector.tokens == {"secret"}


def test_a_run_that_the_collector_refuses_is_left_out_alone(bench, collector):
    collector.refuses = "an unreadable name"
    start(bench, collector)
    statuses = list(histories(40))
    (some,) = (each for each in statuses if each.state.is_final and each.run_id == min(ended(40)))
    refused = msgspec.structs.replace(some, run_id=RunId("refused#1"), job_id="an unreadable name")
    bench.produce([*statuses, refused])
    eventually(lambda: collector.runs == ended(40), 30, bench.log.read_text)
    eventually(lambda: "trace_refused" in bench.log.read_text(), 10)


def test_a_stop_ends_a_wait_for_the_collector(bench, collector):
    collector.answer = 503
    process = start(bench, collector)
    bench.produce(histories(10))
    eventually(lambda: collector.posts >= 1, 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(EXIT_SECONDS) == 0


def test_an_exporter_that_waits_for_its_first_broker_is_live_and_not_ready(bench, collector, tmp_path):
    with reserved_port(tmp_path) as port, bench.log.open("ab") as log:
        settings = {
            "TIDEMILL_KAFKA_BOOTSTRAP": "127.0.0.1:1",
            "TIDEMILL_TRACES_ENDPOINT": collector.url,
            "TIDEMILL_OBSERVE_LISTEN": port.address,
        }
        command = [sys.executable, "-m", "connectors.traces"]
        bench.processes.append(subprocess.Popen(command, env={**os.environ, **settings}, stderr=log))
        eventually(lambda: port.is_live, 30, bench.log.read_text)
        assert port.get("/readyz") == (503, f"{STARTING}\n")


def test_without_an_endpoint_the_process_says_what_is_missing():
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_TRACES")}
    done = subprocess.run(
        [sys.executable, "-m", "connectors.traces"], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "TIDEMILL_TRACES_ENDPOINT is not set" in done.stderr
