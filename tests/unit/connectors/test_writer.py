"""A record that cannot be written does not prevent others from being written, whatever the error is."""

from __future__ import annotations

import psycopg
import pytest

from connectors.ledger import StaleOffsetsError
from connectors.record import Record
from connectors.sink_metrics import SinkMetrics
from connectors.writer import MOST_FAILURES, Writer
from observe.registry import Registry
from schemas.codec import encode
from schemas.times import EPOCH
from tests.support.run_histories import histories, latest_by_run

IDS = {"status": "id"}


def a_writer():
    return Writer("status", SinkMetrics(Registry()))


class Store:
    """A ledger that always refuses one of the runs."""

    def __init__(self, poison=None, error=None):
        self.poison, self.error = poison, error
        self.writes = 0
        self.runs, self.problems, self.ends = [], [], {}

    def write(self, batch):
        self.writes += 1
        if self.poison in [run.run_id for run in batch.runs]:
            raise self.error
        self.runs += [run.run_id for run in batch.runs]
        self.problems += [row["record_offset"] for row in batch.problems]
        self.ends |= batch.ends


def records(count):
    statuses = latest_by_run(histories(count)).values()
    made = [
        Record(topic="status", partition=0, offset=number, at=EPOCH, key=b"k", value=encode(status))
        for number, status in enumerate(statuses)
    ]
    return made, [status.run_id for status in statuses]


@pytest.mark.parametrize(
    "error", [psycopg.DataError("x"), psycopg.IntegrityError("x"), TypeError("x"), ValueError("x")]
)
def test_a_permanently_refused_record_is_found_by_halving(error):
    made, names = records(400)
    store = Store(names[137], error)
    a_writer().write(store, made, IDS)
    assert store.problems == [137]
    assert store.runs == [name for name in names if name != names[137]]
    assert store.ends == {("status", 0): 400}
    assert store.writes < 25


@pytest.mark.parametrize("error", [psycopg.errors.QueryCanceled("too slow"), psycopg.InternalError("?")])
def test_a_transient_error_is_retried_with_smaller_batches_down_to_one_record(error):
    made, names = records(400)
    store, writer = Store(names[3], error), a_writer()
    failures, at = 0, 0
    while at < 20:
        take = made[at : at + writer.batch_size(400)]
        try:
            writer.write(store, take, IDS)
            at += len(take)
        except type(error):
            failures += 1
    assert store.problems == [3]
    assert store.runs == [name for name in names[:at] if name != names[3]]
    assert failures > MOST_FAILURES


def test_an_error_of_no_record_is_raised_and_no_record_is_set_aside():
    made, names = records(1)
    writer = a_writer()
    for error in (psycopg.OperationalError("gone"), psycopg.errors.DeadlockDetected("x"), StaleOffsetsError()):
        store = Store(names[0], error)
        for _ in range(2 * MOST_FAILURES):
            with pytest.raises(type(error)):
                writer.write(store, made, IDS)
        assert store.problems == []
