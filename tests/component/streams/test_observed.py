"""The port of a real stream worker: its metrics are true, and its health follows the brokers, its partitions, its end.

No executor runs here, so runs that are due wait for one.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta

import orjson
import pytest
from confluent_kafka import Producer

from connectors.cluster import establish
from infra.ports import Ports
from infra.settings import InfraSettings
from observe.catalogue.streams import ALL
from observe.health import STARTING
from schemas.codec import encode
from schemas.job import JobSpec
from schemas.partition import partition_of
from schemas.settings import AgreedSettings, Connections
from schemas.topics import CDC
from streams.core.settings import CoreSettings
from tests.support.observed import Observed
from tests.support.servers.kafka_node import running_node
from tests.support.waiting import eventually
from tidemill.target import wall_clock

PARTITIONS = 2
LATE = timedelta(seconds=1)
"""How long ago the rows of these tests were committed when they are written to `cdc`."""
CLASS = "10s"
ASKED = CoreSettings().probe_window + 3
"""More runs than are dispatched before an executor is known."""
SECONDS = 60
_numbers = itertools.count()


@pytest.fixture(scope="module")
def node():
    with running_node() as node:
        yield node


@pytest.fixture
def place(node):
    """A deployment of its own."""
    prefix = f"observed{next(_numbers)}."
    place = Connections(kafka_bootstrap=node.address, topic_prefix=prefix, partitions=PARTITIONS)
    return establish(place, AgreedSettings()).connections


@pytest.fixture
def start(place, tmp_path):
    """Starts a stream worker with this name, and returns its port and its process."""
    ports, processes = Ports(tmp_path, InfraSettings().cache.expanduser(), []), []

    def start(name: str, *program: str) -> tuple[Observed, subprocess.Popen[bytes]]:
        address = f"127.0.0.1:{ports.of(name)}"
        own = {
            "TIDEMILL_KAFKA_BOOTSTRAP": place.kafka_bootstrap,
            "TIDEMILL_TOPIC_PREFIX": place.topic_prefix,
            "TIDEMILL_STREAM_GROUP": f"{place.topic_prefix}streams",
            "TIDEMILL_WORKER_ID": name,
            "TIDEMILL_OBSERVE_LISTEN": address,
        }
        env = {**os.environ, **own}
        with (tmp_path / f"{name}.log").open("ab") as log:
            processes.append(
                subprocess.Popen([sys.executable, *(program or ("-m", "streams"))], env=env, stdout=log, stderr=log)
            )
        return Observed(address), processes[-1]

    yield start
    for each in processes:
        each.kill()
        each.wait()
    ports.close()


@pytest.fixture
def worker(start):
    """The port of a worker that has both partitions."""
    port, _ = start("one")
    eventually(lambda: port.is_ready, SECONDS, "a ready worker")
    return port


def job_in(partition: int) -> str:
    names = (f"job-{number}" for number in itertools.count())
    return next(each for each in names if partition_of(each, PARTITIONS) == partition)


def write_row(place, **row: object) -> None:
    """Writes a row to `cdc`, as the connector does."""
    source = {"__op": "c", "__source_ts_ms": int((wall_clock() - LATE).timestamp() * 1000)}
    producer = Producer(place.kafka())
    key = row["owner"]
    producer.produce(place.topic(CDC), orjson.dumps({**row, **source}), key, partition_of(key, PARTITIONS))
    assert producer.flush(SECONDS) == 0


def define(place, job_id: str) -> None:
    spec = encode(JobSpec(job_id=job_id, executable="s3://tidemill/x", timeout_class=CLASS)).decode()
    row = {"owner": job_id, "kind": "job", "version": 1, "valid_from": wall_clock(), "deleted": False, "spec": spec}
    write_row(place, __table="definitions", **row)


def ask(place, job_id: str, request_id: str) -> None:
    row = {"request_id": request_id, "kind": "run", "owner": job_id, "job_id": job_id, "created_at": wall_clock()}
    write_row(place, __table="requests", **row)


def shows(port: Observed, name: str, value: float, **labels: str) -> None:
    eventually(lambda: total(port, name, **labels) == value, SECONDS, lambda: f"{value}, not {port.series(name)},")


def total(port: Observed, name: str, **labels: str) -> float:
    """The sum of these series, of which there is one at least."""
    found = port.series(name, **labels)
    return sum(found.values()) if found else float("nan")


def test_runs_that_wait_for_an_executor_are_shown_where_they_wait(place, worker):
    first, second = job_in(0), job_in(1)
    for each in (first, second):
        define(place, each)
    for number in range(ASKED):
        ask(place, first, f"r{number}")
    shows(worker, "tidemill_ready_runs", ASKED, partition="0", **{"class": CLASS})
    assert total(worker, "tidemill_ready_oldest_seconds", partition="0", **{"class": CLASS}) > 0
    assert total(worker, "tidemill_ready_runs", partition="1") == 0
    assert worker.series("tidemill_jobs") == {("0",): 1, ("1",): 1}
    assert worker.series("tidemill_partition_owned") == {("0",): 1, ("1",): 1}


def test_each_metric_of_a_worker_is_there_and_counts_what_has_happened(place, worker):
    define(place, job_in(0))
    shows(worker, "tidemill_cdc_lag_seconds_count", 1)
    assert LATE.total_seconds() < total(worker, "tidemill_cdc_lag_seconds_sum") < SECONDS
    transactions = total(worker, "tidemill_transaction_seconds_count")
    assert transactions >= PARTITIONS
    assert total(worker, "tidemill_transaction_records_count") == transactions
    assert total(worker, "tidemill_transaction_bytes_sum") > 0
    assert total(worker, "tidemill_recovery_seconds_count") == PARTITIONS
    assert worker.series("tidemill_owner_failures_total") == dict.fromkeys([("kafka",), ("core",), ("retry",)], 0)
    assert total(worker, "tidemill_clock_steady") == total(worker, "tidemill_process_ready") == 1
    assert [labels[:2] for labels in worker.series("tidemill_process_info")] == [("streams", "one")]
    assert max(worker.series("tidemill_watermark_lag_seconds").values()) < SECONDS
    eventually(lambda: len(worker.series("tidemill_applied_lag_records")) == PARTITIONS * 3, SECONDS, "applied lags")
    assert {each.name for each in ALL} <= worker.names()


def test_the_series_of_a_partition_move_with_its_owner(start, worker):
    other, _ = start("two")

    def owned(port: Observed) -> set[tuple[str, ...]]:
        return {partition for partition, value in port.series("tidemill_partition_owned").items() if value}

    eventually(lambda: len(owned(worker)) == len(owned(other)) == 1, SECONDS, "one partition for each")
    assert owned(worker) | owned(other) == {("0",), ("1",)}
    for name in ("tidemill_jobs", "tidemill_watermark_lag_seconds", "tidemill_partition_owned"):
        eventually(lambda name=name: set(worker.series(name)) == owned(worker), SECONDS, f"{name} of its own partition")


def test_every_loop_of_a_worker_is_watched_and_turns(start):
    port, _ = start("one", "-c", WITHOUT_PATIENCE)
    first_seen: dict[str, float] = {}

    def silences() -> dict[str, float]:
        found = {name: float(seconds) for name, seconds in SILENCE.findall(port.get("/livez")[1])}
        for name in found:
            first_seen.setdefault(name, time.monotonic())
        return found

    eventually(lambda: silences().keys() == LOOPS, SECONDS, lambda: f"{sorted(LOOPS)}, not {sorted(silences())},")
    for name in LOOPS:
        eventually(lambda name=name: silences()[name] < time.monotonic() - first_seen[name] - 1, SECONDS, name)


WITHOUT_PATIENCE = """
from datetime import timedelta
from streams import metrics
for name in [each for each in vars(metrics) if each.endswith("_LIMIT")]:
    setattr(metrics, name, timedelta(0))
from streams.__main__ import main
raise SystemExit(main())
"""
"""A worker whose probe names every loop, with the time since its last turn."""
SILENCE = re.compile(r"the loop '([^']+)' has not turned for (\d+) s")
LOOPS = {"faust", "consumer", "watchdog", "clock", "heartbeats", "partition 0", "partition 1"}


def test_a_worker_without_brokers_is_live_and_not_ready(node, start, worker):
    node.kill()
    eventually(lambda: not worker.is_ready, SECONDS, "a worker that says that Kafka is away")
    late, _ = start("late")
    eventually(lambda: late.get("/readyz") == (503, f"{STARTING}\n"), SECONDS, "a worker that waits for Kafka")
    before = total(worker, "tidemill_watermark_lag_seconds", partition="0")
    eventually(lambda: total(worker, "tidemill_watermark_lag_seconds", partition="0") > before + 1, SECONDS, "more lag")
    assert worker.is_live
    assert late.is_live
    node.start()
    eventually(lambda: worker.is_ready and late.is_ready, SECONDS, "ready workers")
    assert total(worker, "tidemill_owner_failures_total", cause="kafka") >= 1


def test_a_worker_that_is_asked_to_end_is_first_of_all_not_ready(start):
    port, process = start("one")
    eventually(lambda: port.is_ready, SECONDS, "a ready worker")
    process.send_signal(signal.SIGTERM)
    said = []
    while process.poll() is None:
        said.append(port.get("/readyz"))
    assert (503, "it is stopping\n") in said
    answers = [status for status, _ in said if status]
    assert answers == sorted(answers), "it was ready again"
