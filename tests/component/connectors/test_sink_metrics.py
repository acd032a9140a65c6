"""The port of a sink on a real Kafka and Postgres: its figures are those of the topics, its probes tell the truth."""

from __future__ import annotations

import itertools
import signal
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.promtool import check_metrics
from tests.support.run_histories import histories
from tests.support.servers.kafka_node import running_node
from tests.support.servers.sink_under_test import EXIT_SECONDS, SinkBench
from tests.support.waiting import eventually

RUNS = 300
_numbers = itertools.count()


@pytest.fixture(scope="module")
def node():
    with running_node() as found:
        yield found


@pytest.fixture
def bench(node, tables_dsn, tmp_path):
    found = SinkBench(node.address, tables_dsn, f"observed{next(_numbers)}.", tmp_path)
    yield found
    found.close()


@contextmanager
def postgres_away(postgres_server, bench):
    """The database refuses the sink: its sessions end, and new ones do not begin."""
    database = bench.database.info.dbname
    with psycopg.connect(postgres_server("postgres"), autocommit=True) as admin:
        admin.execute(f"alter database {database} allow_connections false")
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid != %s",
            [database, bench.database.info.backend_pid],
        )
        yield
        admin.execute(f"alter database {database} allow_connections true")


def lag(bench, topic="status"):
    return bench.observed.figure("tidemill_sink_lag_records", topic=topic)


def test_what_is_written_is_counted_and_nothing_waits_then(bench):
    count = bench.produce(histories(RUNS))
    bench.start_observed()
    bench.wait_for(count)
    eventually(lambda: bench.observed.figure("tidemill_sink_batch_records_sum") == count, what=bench.log_text)
    writes = bench.observed.figure("tidemill_sink_batch_records_count")
    assert 0 < writes <= count
    assert bench.observed.figure("tidemill_sink_transaction_seconds_count") == writes
    assert bench.observed.figure("tidemill_sink_transaction_seconds_sum") > 0
    eventually(lambda: bench.observed.figure("tidemill_sink_lag_seconds") == 0, what=bench.log_text)
    assert lag(bench) == lag(bench, "deadletter") == 0
    check_metrics(bench.observed.get("/metrics")[1])


def test_a_problem_is_counted_by_its_code(bench):
    bench.start_observed()
    eventually(lambda: bench.observed.is_ready, what=bench.log_text)
    code = {"kind": "dead_letter", "code": "status_refused"}
    assert bench.observed.figure("tidemill_problems_total", **code) == 0
    bench.produce_raw([("job", "key", b"{"), ("job", "key", b"[]")])
    eventually(lambda: bench.observed.figure("tidemill_problems_total", **code) == 2, what=bench.log_text)


def test_a_sink_is_not_ready_while_postgres_is_away_and_what_waits_grows_old(bench, postgres_server):
    bench.start_observed()
    eventually(lambda: bench.observed.is_ready, what=bench.log_text)
    with postgres_away(postgres_server, bench):
        eventually(lambda: bench.observed.get("/readyz")[0] == 503, what=bench.log_text)
        assert bench.observed.get("/readyz")[1].startswith("it cannot write: ")
        count = bench.produce(histories(1))
        age = bench.observed.figure("tidemill_sink_lag_seconds")
        eventually(lambda: bench.observed.figure("tidemill_sink_lag_seconds") > age > 0, what=bench.log_text)
        assert bench.observed.is_live
        assert bench.observed.figure("tidemill_process_ready") == 0
    bench.wait_for(count)
    eventually(lambda: bench.observed.is_ready, what=bench.log_text)
    eventually(lambda: bench.observed.figure("tidemill_sink_lag_seconds") == 0, what=bench.log_text)
    assert bench.observed.figure("tidemill_sink_interruptions_total") >= 1


def test_a_sink_is_not_ready_while_no_broker_answers_and_needs_no_record_to_be_ready_again(bench, node):
    bench.start_observed()
    eventually(lambda: bench.observed.is_ready, what=bench.log_text)
    node.kill()
    try:
        eventually(lambda: bench.observed.get("/readyz") == (503, "no broker of Kafka answers\n"), what=bench.log_text)
        assert bench.observed.is_live
        eventually(lambda: bench.observed.figure("tidemill_sink_lag_seconds") > 0, what=bench.log_text)
    finally:
        node.start()
    eventually(lambda: bench.observed.is_ready, 60, bench.log_text)
    eventually(lambda: bench.observed.figure("tidemill_sink_lag_seconds") == 0, what=bench.log_text)


def test_a_sink_that_stops_is_not_ready_from_the_signal_on_though_a_write_goes_on(bench):
    process = bench.start_observed()
    eventually(lambda: bench.observed.is_ready, what=bench.log_text)
    with bench.database.transaction():
        bench.database.execute("lock table tidemill.sink_offsets")
        bench.produce(histories(1))
        eventually(lambda: bench.observed.figure("tidemill_sink_lag_seconds") > 0, what=bench.log_text)
        process.send_signal(signal.SIGTERM)
        eventually(lambda: bench.observed.get("/readyz") == (503, "it is stopping\n"), what=bench.log_text)
        assert bench.observed.is_live
    assert process.wait(EXIT_SECONDS) == 0


def test_records_that_wait_are_counted(bench):
    count = bench.produce(histories(RUNS))
    bench.start(TIDEMILL_OBSERVE_LISTEN=bench.observed.address, TIDEMILL_SINK_BATCH_RECORDS="1")
    seen = eventually(lambda: lag(bench), what=bench.log_text)
    assert 0 < seen < count
    eventually(lambda: lag(bench) == 0, what=bench.log_text)
    assert bench.consumed() == count
