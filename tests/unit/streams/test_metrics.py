"""What a stream worker's threads report becomes metrics and health; tests/component/streams has a real worker."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from observe.health import STARTING, Health
from observe.registry import Registry
from schemas.topics import CDC
from streams.metrics import PARTITION_LIMIT, OwnersCollector, PartitionMetrics, Readiness, Shown, StreamMetrics
from streams.owner.failures import RetryQuarantinedError
from streams.owner.figures import Figures, WaitingRuns
from streams.owner.records import InRecord, OutRecord, Transaction
from streams.owner.session_calls import LogFailedError
from streams.owner.stall_detector import Observation
from tests.support.simulated.log import START

S = timedelta(seconds=1)
NO_RUNS = WaitingRuns(count=0, oldest=None)


def figures(**fields):
    plain = {"held": 0, "jobs": 0, "quarantined": 0, "unscheduled": 0, "watermark": START, "waiting": {"10s": NO_RUNS}}
    return Figures(**{**plain, **fields})


class Worker:
    """The metrics of a worker with one partition thread."""

    def __init__(self, *, has_readers=True):
        self.now, self.health, self.registry = 0.0, Health(lambda: self.now), Registry()
        self.metrics = StreamMetrics(self.registry, self.health, has_readers=has_readers)
        self.thread = PartitionMetrics(3, self.metrics)

    def value(self, name, **labels):
        return self.registry.prometheus.get_sample_value(name, labels)


def collected(*shown, seen=None, now=START):
    """By (name, values of labels): the value of each series."""
    families = OwnersCollector(lambda: shown, lambda: seen, lambda: now).collect()
    return {
        (sample.name.removeprefix("tidemill_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_figures_of_an_owner_are_series_of_its_partition():
    waiting = {"10s": WaitingRuns(count=4, oldest=START - 7 * S, unmet=2), "1m": NO_RUNS}
    owner = figures(held=1, jobs=2, quarantined=3, unscheduled=5, watermark=START - 2 * S, waiting=waiting)
    assert collected(Shown(partition=3, is_deciding=True, figures=owner, watermark=owner.watermark)) == {
        ("partition_owned", "3"): 1,
        ("watermark_lag_seconds", "3"): 2,
        ("held_runs", "3"): 1,
        ("jobs", "3"): 2,
        ("quarantined_jobs", "3"): 3,
        ("unscheduled_jobs", "3"): 5,
        ("ready_runs", "3", "10s"): 4,
        ("ready_oldest_seconds", "3", "10s"): 7,
        ("unmet_runs", "3", "10s"): 2,
        ("ready_runs", "3", "1m"): 0,
        ("ready_oldest_seconds", "3", "1m"): 0,
        ("unmet_runs", "3", "1m"): 0,
    }


def test_a_partition_without_owner_has_no_figures_but_the_lag_of_its_last_watermark():
    failed = Shown(partition=3, watermark=START - 40 * S)
    assert collected(failed) == {("partition_owned", "3"): 0, ("watermark_lag_seconds", "3"): 40}
    assert collected(Shown(partition=3)) == {("partition_owned", "3"): 0}


@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_threads_of_one_partition_the_one_that_decides_is_shown(is_first):
    old, new = Shown(partition=3, is_deciding=True, figures=figures(jobs=9)), Shown(partition=3)
    found = collected(*((old, new) if is_first else (new, old)))
    assert (found["partition_owned", "3"], found["jobs", "3"]) == (1, 9)


def test_the_applied_lag_is_what_the_watchdog_saw_of_the_partitions_that_are_here():
    applied = {(CDC, 3): 10, (CDC, 4): 0, ("events", 3): -1}
    ends = {(CDC, 3): 15, (CDC, 4): 100, ("events", 3): 0}
    seen = Observation(boot_seconds=0, applied=applied, ends=ends, recovering={})
    lags = {labels: lag for labels, lag in collected(Shown(partition=3), seen=seen).items() if "lag" in labels[0]}
    assert lags == {("applied_lag_records", "3", CDC): 4, ("applied_lag_records", "3", "events"): 0}
    assert not any("lag" in name for name, *_ in collected(Shown(partition=3), seen=None))


def test_an_owner_that_fails_stops_showing_figures_and_its_failure_is_counted_by_cause():
    worker = Worker()
    worker.thread.look(figures)
    worker.thread.recovered()
    assert (worker.thread.shown.is_deciding, worker.thread.shown.figures) == (True, figures())
    for error in (LogFailedError("no answer"), RuntimeError("a bug"), RetryQuarantinedError()):
        worker.thread.failed(error, as_planned=False)
    assert worker.thread.shown == Shown(partition=3, watermark=START)
    causes = ("kafka", "core", "retry")
    assert [worker.value("tidemill_owner_failures_total", cause=each) for each in causes] == [1, 1, 1]


def test_a_handover_is_no_failure():
    worker = Worker()
    worker.thread.failed(LogFailedError("fenced"), as_planned=True)
    assert worker.value("tidemill_owner_failures_total", cause="kafka") == 0


def test_without_a_port_nobody_takes_figures():
    worker = Worker(has_readers=False)
    worker.thread.look(lambda: pytest.fail("the figures were taken"))
    assert worker.thread.shown.figures is None


def row(**fields):
    return InRecord(topic=CDC, offset=0, key=b"job", value=orjson.dumps(fields), appended_at=START)


def committed(first_captured):
    worker = Worker()
    records = OutRecord(topic="state", key="a", value=b"12345"), OutRecord(topic="state", key="b", value=None)
    transaction = Transaction(records=records, applied={}, first_captured=first_captured)
    worker.thread.committed(transaction, 0.2, START + 2 * S)
    return worker


def test_a_transaction_is_measured():
    worker = committed(None)
    names = [f"tidemill_transaction_{each}_sum" for each in ("seconds", "records", "bytes")]
    assert [worker.value(name) for name in names] == [0.2, 2, 5]
    assert worker.value("tidemill_cdc_lag_seconds_count") == 0


def test_the_lag_of_a_row_counts_from_its_commit_in_postgres():
    worker = committed(row(__op="c", __source_ts_ms=int((START - S).timestamp() * 1000)))
    assert worker.value("tidemill_cdc_lag_seconds_sum") == 3


@pytest.mark.parametrize("fields", [{"__op": "r", "__source_ts_ms": 1}, {"__op": "c"}, {"__source_ts_ms": "x"}])
def test_a_row_without_a_time_of_commit_has_no_lag(fields):
    assert committed(row(**fields)).value("tidemill_cdc_lag_seconds_count") == 0


def test_a_worker_is_ready_when_all_its_partitions_are_recovered_and_the_brokers_answer():
    health = Health()
    readiness, said = Readiness(health), [health.why_not_ready]
    for change, unrecovered in (({}, []), ({"is_assigned": True}, [2, 1]), ({}, []), ({"has_brokers": False}, [])):
        for name, value in change.items():
            setattr(readiness, name, value)
        readiness.tell(unrecovered)
        said.append(health.why_not_ready)
    assert said == [
        STARTING,
        "its group has not assigned partitions to it yet",
        "it takes over the partitions 1, 2",
        None,
        "Kafka does not answer",
    ]


def test_a_partition_thread_is_watched_from_its_start_to_its_end():
    worker = Worker()
    worker.now = PARTITION_LIMIT.total_seconds() + 1
    assert worker.health.why_not_live == "the loop 'partition 3' has not turned for 121 s; 120 s are allowed"
    worker.thread.turn()
    assert worker.health.why_not_live is None
    worker.now *= 3
    worker.thread.end()
    assert worker.health.why_not_live is None
