"""The process of the metrics on a real Kafka: transactions, kills, a history from before, unreadable records."""

from __future__ import annotations

import itertools
import random
import threading

import pytest
from confluent_kafka import Producer

from connectors.topics import create
from observe.catalogue import status as catalogue
from observe.metric import SECONDS as BOUNDS
from schemas.topics import STATUS
from tests.support import promtool
from tests.support.servers.damaged_batches import broken_body, damage_batch
from tests.support.servers.kafka_node import running_node
from tests.support.servers.metrics_under_test import PARTITIONS, MetricsBench
from tests.support.status_logs import StatusLog, counted
from tests.support.waiting import eventually

ACTIONS = 400
_numbers = itertools.count()


@pytest.fixture(scope="module")
def node():
    with running_node() as node:
        yield node


@pytest.fixture
def bench(node, tmp_path):
    found = MetricsBench(node.address, f"metrics{next(_numbers)}.", tmp_path)
    yield found
    found.close()


@pytest.fixture
def logs():
    return [StatusLog(f"job-{number}") for number in range(PARTITIONS)]


def go_on(logs, seed):
    drawn = random.Random(seed)
    for log in logs:
        for _ in range(ACTIONS):
            log.act(drawn.randrange(2**16))
        log.commit()


def transitions(logs):
    return sum(count for log in logs for (name, _), count in log.counts.items() if name == catalogue.RUNS.name)


def expected_samples(logs):
    found = counted(logs)
    samples = {key: float(count) for key, count in (found.counters | found.gauges).items()}
    for (name, labels), (buckets, total_ms) in found.times.items():
        cumulative = zip((*map(str, BOUNDS), "+Inf"), itertools.accumulate(buckets), strict=True)
        samples |= {(f"{name}_bucket", (*labels, bound)): float(count) for bound, count in cumulative if count}
        samples |= {(f"{name}_count", labels): float(sum(buckets)), (f"{name}_sum", labels): total_ms / 1000}
    return {key: value for key, value in samples.items() if value}


def counted_samples(bench):
    names = tuple(each.name for each in catalogue.FOLDED)
    return {key: value for key, value in bench.samples().items() if key[0].startswith(names)}


class Scraper(threading.Thread):
    """Scrapes without a pause, and keeps each number of transitions that it sees."""

    def __init__(self, bench):
        super().__init__()
        self._bench, self._is_done, self.seen = bench, threading.Event(), []

    def run(self):
        while not self._is_done.is_set():
            self.seen.append(self._bench.transitions())

    def end(self):
        self._is_done.set()
        self.join()


def test_kills_and_restarts_count_each_transition_once_and_no_figure_falls(bench, logs):
    bench.start()
    bench.wait_until_ready()
    go_on(logs, 1)
    bench.write(logs)
    bench.wait_until_read(transitions(logs))
    assert bench.stop() == 0, "it saves what it knows"
    go_on(logs, 2)
    bench.write(logs)
    bench.start()
    bench.wait_until_read(transitions(logs))
    before = transitions(logs)
    scraper = Scraper(bench)
    scraper.start()
    eventually(lambda: scraper.seen)
    bench.kill()
    go_on(logs, 3)
    bench.write(logs)
    bench.start()
    eventually(lambda: bench.transitions() == transitions(logs), what=bench.log_text)
    scraper.end()
    shown = [each for each in scraper.seen if each]
    assert shown == sorted(shown), "a counter fell"
    assert shown[0] == before
    assert counted_samples(bench) == expected_samples(logs)


def test_a_kill_soon_after_the_first_start_loses_nothing(bench, logs):
    go_on(logs, 8)
    bench.write(logs)
    bench.start()
    bench.wait_until_ready()
    before = transitions(logs)
    go_on(logs, 9)
    bench.write(logs)
    bench.wait_until_read(transitions(logs) - before)
    shown = counted_samples(bench)
    bench.kill()
    bench.start()
    bench.wait_until_ready()
    assert counted_samples(bench) == shown


def test_a_first_start_counts_from_now_on_and_knows_the_open_runs(bench, logs):
    go_on(logs, 4)
    bench.write(logs)
    before = [(log.counts.copy(), log.times.copy()) for log in logs]
    bench.start()
    bench.wait_until_ready()
    assert bench.transitions() == 0
    opened = sum(len(log.open) for log in logs)
    assert sum(value for (name, _), value in bench.samples().items() if name == catalogue.OPEN_RUNS.name) == opened
    go_on(logs, 5)
    bench.write(logs)
    for log, (counts, times) in zip(logs, before, strict=True):
        log.counts, log.times = log.counts - counts, log.times - times
    bench.wait_until_read(transitions(logs))
    assert counted_samples(bench) == expected_samples(logs)


def test_records_that_nobody_can_read_are_skipped_and_counted(node, bench, logs):
    topic = bench.connections.topic(STATUS)
    producer = Producer(bench.connections.kafka(linger_ms=1_000, compression_type="lz4"))
    for number in range(20):
        producer.produce(topic, b"x" * 50, b"job#%d" % number, partition=0)
    producer.flush(10)
    producer.produce(topic, b'{"run_id": 7}', b"job#x", partition=0)
    producer.produce(topic, None, b"job#y", partition=0)
    producer.flush(10)
    bench.state.mkdir()
    bench.start(TIDEMILL_METRICS_LAST_SUCCESS="true")
    bench.wait_until_ready()
    assert bench.samples().get((catalogue.UNREADABLE.name, ("record",))) is None, "it was there before"
    bench.stop()
    for number in range(20):
        producer.produce(topic, b"x" * 50, b"job#%d" % number, partition=0)
    producer.flush(10)
    first, last = damage_batch(node.data, topic, 0, 22, broken_body)
    producer.produce(topic, b'{"run_id": 7}', b"job#x", partition=0)
    producer.flush(10)
    bench.start(TIDEMILL_METRICS_LAST_SUCCESS="true")
    go_on(logs, 6)
    bench.write(logs)
    eventually(lambda: bench.transitions() == transitions(logs), 60, bench.log_text)
    assert bench.samples()[catalogue.UNREADABLE.name, ("record",)] == 20 - (last + 1 - first) + 1
    assert bench.samples()[catalogue.UNREADABLE.name, ("batch",)] == 1
    assert {name for name, _ in bench.samples()} >= {catalogue.LAST_SUCCESS.name}


def test_a_topic_that_is_made_anew_goes_on_with_the_same_figures_and_no_open_run(bench, logs):
    bench.start()
    bench.wait_until_ready()
    go_on(logs, 7)
    bench.write(logs)
    bench.wait_until_read(transitions(logs))
    before = {key: value for key, value in bench.samples().items() if key[0] == catalogue.RUNS.name}
    bench.stop()
    bench.delete_topic()
    create(bench.connections)
    bench.start()
    bench.wait_until_ready()
    assert {key: value for key, value in bench.samples().items() if key[0] == catalogue.RUNS.name} == before
    assert catalogue.OPEN_RUNS.name not in {name for name, _ in bench.samples()}
    assert "event=topic_replaced" in bench.log_text()


def test_what_it_shows_follows_prometheus_conventions_and_every_known_series_starts_at_0(bench):
    bench.start()
    bench.wait_until_ready()
    _, text = bench.get("/metrics")
    promtool.check_metrics(text)
    assert 'tidemill_runs_total{class="1h",kind="scheduled",state="dead"} 0.0' in text
    assert 'tidemill_run_lateness_seconds_bucket{class="10s",kind="scheduled",le="5.0"} 0.0' in text
    assert 'tidemill_job_runs_total{job_id="other",state="failed"} 0.0' in text


def test_a_second_process_does_not_count_in_the_same_folder(bench):
    bench.start()
    bench.wait_until_ready()
    second = bench.start(TIDEMILL_OBSERVE_LISTEN="")
    assert second.wait(60) == 1
    assert "another process uses TIDEMILL_METRICS_STATE" in bench.log_text()
