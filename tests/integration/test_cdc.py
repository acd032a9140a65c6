"""From a row in Postgres to a record in `cdc` with the real Debezium, also after failures of a part."""

from __future__ import annotations

import itertools
import math
import time
from datetime import timedelta

import pytest

from connectors import connect_api
from connectors.apply import apply_connector, observe
from connectors.plan import Update
from connectors.settings import SourceSettings
from connectors.source import source_config
from schemas.job import Definition
from schemas.partition import partition_of
from schemas.request import Request
from tests.support.observed import reserved_port
from tests.support.promtool import check_metrics
from tests.support.servers.cdc_under_test import PARTITIONS, CdcReader, running_cdc, with_little_wal
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration
_numbers = itertools.count()
IDLE_WAL_SECONDS = 30


@pytest.fixture(scope="module")
def bench():
    with running_cdc() as found:
        yield found


@pytest.fixture
def reader(bench):
    found = CdcReader(bench.connections)
    yield found
    found.close()


@pytest.fixture
def observed(tmp_path):
    with reserved_port(tmp_path) as found:
        yield found


@pytest.fixture
def name():
    return f"n{next(_numbers)}"


def desired(bench):
    return source_config(bench.connections, SourceSettings())


def test_a_row_becomes_a_record_in_its_owners_partition_soon(bench, reader, name):
    seconds, payload = [], '{"a":  [1.50, "\u00fc"]}'
    with bench.database() as connection:
        for number in range(60):
            job_id = f"{name}-{number}"
            started = time.monotonic()
            connection.execute(
                "insert into tidemill.requests (request_id, job_id, payload) values (%s, %s, %s)",
                [f"r-{job_id}", job_id, payload],
            )
            request = reader.wait_for_request(f"r-{job_id}")
            seconds.append(time.monotonic() - started)
            assert (request.owner, bytes(request.payload), request.run_at) == (job_id, payload.encode(), None)
    assert reader.places == [(key, partition_of(key, PARTITIONS)) for key, _ in reader.places]
    assert len({partition for _, partition in reader.places}) == PARTITIONS
    median, last = sorted(seconds)[len(seconds) // 2], sorted(seconds)[-3]
    print(f"row to record: p50 {median * 1000:.0f} ms, p95 {last * 1000:.0f} ms")
    assert median < 0.25


def test_each_change_of_a_job_is_a_definition_in_order(bench, reader, name):
    with bench.database() as connection:
        connection.execute(
            "insert into tidemill.jobs (job_id, executable, schedule, timeout) "
            "values (%s, 's3://tidemill/examples/hello.sh', '*/5 * * * * *', '90 s')",
            [name],
        )
        connection.execute("update tidemill.jobs set paused = true where job_id = %s", [name])
        connection.execute("delete from tidemill.jobs where job_id = %s", [name])
    reader.wait_for(lambda value: isinstance(value, Definition) and value.owner == name and value.deleted)
    found = [value for value in reader.seen if value.owner == name]
    assert all(isinstance(value, Definition) for value in found)
    assert [value.version for value in found] == sorted(value.version for value in found)
    first, paused, deleted = found
    assert first.spec.timeout.total_seconds() == 90
    assert (first.spec.paused, paused.spec.paused, deleted.spec) == (False, True, None)


def test_rows_of_one_transaction_and_owner_arrive_in_their_order(bench, reader, name):
    with bench.database() as connection, connection.transaction():
        connection.execute("insert into tidemill.requests (request_id, job_id) values (%s, %s)", [f"{name}-1", name])
        connection.execute(
            "insert into tidemill.jobs (job_id, executable) values (%s, 's3://tidemill/examples/hello.sh')", [name]
        )
        connection.execute("insert into tidemill.requests (request_id, job_id) values (%s, %s)", [f"{name}-2", name])
    reader.wait_for_request(f"{name}-2")
    kinds = [type(value) for value in reader.seen if value.owner == name]
    assert kinds == [Request, Definition, Request]


def test_a_job_of_a_transaction_that_stays_open_counts_from_its_commit(bench, reader, name):
    with bench.database() as connection, connection.transaction():
        connection.execute(
            """insert into tidemill.jobs (job_id, executable) values (%s, 's3://tidemill/x')""",
            [name],
        )
        bench.insert_request(f"r-{name}", "another")
        reader.wait_for_request(f"r-{name}")
        before_commit = connection.execute("select clock_timestamp()").fetchone()[0]
    definition = reader.wait_for(lambda value: isinstance(value, Definition) and value.owner == name)
    assert definition.valid_from >= before_commit - timedelta(milliseconds=1)


def test_applying_again_does_nothing_and_another_configuration_is_put_right(bench, reader, name):
    assert apply_connector(bench.connections) == []
    wanted = desired(bench)
    connect_api.put_config(bench.connections.connect_url, wanted["name"], wanted | {"poll.interval.ms": "500"})
    assert apply_connector(bench.connections) == [Update(config=wanted)]
    assert observe(bench.connections, wanted).config == wanted
    bench.insert_request(name, name)
    reader.wait_for_request(name)


def test_an_idle_capture_releases_wal_of_other_writers(bench):
    query = "select confirmed_flush_lsn >= %s::pg_lsn from pg_replication_slots where slot_name = 'tidemill'"
    with bench.database() as connection:
        connection.execute("create table public.somebody_elses as select generate_series(1, 10000) as x")
        (written,) = connection.execute("select pg_current_wal_lsn()::text").fetchone()
        eventually(lambda: connection.execute(query, [written]).fetchone()[0], IDLE_WAL_SECONDS, "a confirmed flush")


def test_rows_written_while_connect_was_dead_arrive(bench, reader, name):
    dead = bench.kill("connect")
    bench.insert_request(f"{name}-meanwhile", name)
    bench.wait_for_restart("connect", dead)
    reader.wait_for_request(f"{name}-meanwhile", 90)


def test_rows_arrive_after_postgres_was_killed(bench, reader, name):
    dead = bench.kill("postgres")
    bench.wait_for_restart("postgres", dead)
    eventually(lambda: _inserted(bench, name), what="an insert")
    reader.wait_for_request(name, 90)


def test_a_dropped_slot_leads_to_a_new_snapshot_and_new_rows_still_arrive(bench, reader, name):
    bench.insert_request(f"{name}-before", name)
    reader.wait_for_request(f"{name}-before")
    with bench.supervisor():
        eventually(lambda: _dropped(bench), what="dropping the slot")
        bench.insert_request(f"{name}-meanwhile", name)
        reader.wait_for_request(f"{name}-meanwhile")
        ids = [value.request_id for value in reader.seen if isinstance(value, Request)]
        assert ids.count(f"{name}-before") == 2, "there was no new snapshot"
        bench.insert_request(f"{name}-after", name)
        reader.wait_for_request(f"{name}-after")


def test_the_supervisor_replaces_a_slot_whose_wal_is_gone(bench, name):
    names = SourceSettings(connector_name="little-source", slot_name="little")
    path = f"/connectors/{names.connector_name}"
    url = bench.connections.connect_url
    with with_little_wal(bench, names) as little:
        reader = CdcReader(little.connections)
        try:
            little.insert_request(f"{name}-before", name)
            reader.wait_for_request(f"{name}-before")
            connect_api._call("PUT", url, f"{path}/stop")
            eventually(lambda: not little.slot()[1], what="the connector's stop")
            little.insert_request(f"{name}-meanwhile", name)
            eventually(lambda: _wal_written(little) and little.slot()[0] == "lost", what="losing the slot")
            connect_api._call("PUT", url, f"{path}/resume")
            with little.supervisor(TIDEMILL_CONNECTOR_NAME="little-source", TIDEMILL_SLOT_NAME="little") as log_text:
                reader.wait_for_request(f"{name}-meanwhile")
                assert "DropLostSlot" in log_text()
                little.insert_request(f"{name}-after", name)
                reader.wait_for_request(f"{name}-after")
            assert little.slot()[0] == "reserved"
        finally:
            reader.close()
            connect_api._call("DELETE", url, path)


def test_the_supervisor_shows_the_connector_and_its_slot_and_is_ready_while_it_reaches_connect(bench, observed):
    with bench.supervisor(TIDEMILL_OBSERVE_LISTEN=observed.address) as log_text:
        eventually(lambda: observed.figure("tidemill_connector_running"), 60, log_text)
        assert observed.is_ready
        eventually(lambda: observed.figure("tidemill_slot_kept_bytes"), what=log_text)
        assert observed.figure("tidemill_slot_kept_bytes") >= observed.figure("tidemill_slot_lag_bytes") >= 0
        assert observed.figure("tidemill_slot_lost") == 0
        check_metrics(observed.get("/metrics")[1])
        dead = bench.kill("connect")
        eventually(lambda: not observed.is_ready, what=log_text)
        assert observed.is_live
        assert observed.figure("tidemill_connector_running") == 0
        bench.wait_for_restart("connect", dead)
        eventually(lambda: observed.figure("tidemill_connector_running"), 90, log_text)
        assert observed.is_ready


def test_the_supervisor_without_postgres_goes_on_and_says_that_the_slot_is_unknown(bench, observed):
    port = str(bench.port("postgres"))
    away = {"TIDEMILL_POSTGRES_DSN": bench.connections.postgres_dsn.replace(f":{port}/", ":1/")}
    for_connect = {"TIDEMILL_CONNECT_POSTGRES_PORT": port}
    with bench.supervisor(TIDEMILL_OBSERVE_LISTEN=observed.address, **away, **for_connect) as log_text:
        eventually(lambda: math.isnan(observed.figure("tidemill_slot_kept_bytes") or 0), what=log_text)
        eventually(lambda: observed.figure("tidemill_connector_running"), 60, log_text)
        assert observed.is_ready


def test_the_supervisor_restarts_a_failed_task(bench, reader, name, observed):
    wanted = desired(bench)
    with bench.database() as connection, bench.supervisor(TIDEMILL_OBSERVE_LISTEN=observed.address) as log_text:
        connection.execute("alter publication tidemill rename to elsewhere")
        connect_api.restart_task(bench.connections.connect_url, wanted["name"], 0)
        eventually(lambda: "RestartTask" in log_text(), 60, log_text)
        counted = "tidemill_connector_actions_total"
        eventually(lambda: observed.figure(counted, action="restart_task"), what=log_text)
        connection.execute("alter publication elsewhere rename to tidemill")
        bench.insert_request(name, name)
        reader.wait_for_request(name, 90)


def _inserted(bench, name):
    try:
        bench.insert_request(name, name)
    except Exception:  # noqa: BLE001 - Postgres is starting
        return False
    return True


def _dropped(bench):
    with bench.as_superuser() as connection:
        connection.execute("select pg_terminate_backend(active_pid) from pg_replication_slots where active")
        drop = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active"
        return connection.execute(drop).rowcount == 1


def _wal_written(bench):
    with bench.database() as connection:
        connection.execute("create table if not exists public.much (x text)")
        connection.execute("insert into public.much select repeat('x', 1000) from generate_series(1, 20000)")
        connection.execute("select pg_switch_wal()")
        connection.execute("checkpoint")
    return True
