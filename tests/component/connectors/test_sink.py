"""The sink as a process on a real Kafka and Postgres: the tables always match the topic."""

from __future__ import annotations

import itertools
import signal
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from connectors.topics import create
from schemas.codec import encode
from schemas.ids import RunId
from schemas.partition import partition_of
from schemas.topics import DEADLETTER, STATUS
from schemas.words import RunKind
from tests.support.request_cases import TRACEPARENT
from tests.support.run_histories import START, histories, latest_by_run
from tests.support.servers.kafka_node import running_kafka
from tests.support.servers.sink_under_test import EXIT_SECONDS, FLUSH_SECONDS, SinkBench
from tests.support.waiting import eventually

MANY_RUNS = 3_000
"""About 10,000 records."""
KILLS = 3
_numbers = itertools.count()


@pytest.fixture(scope="module")
def bootstrap():
    with running_kafka() as address:
        yield address


@pytest.fixture
def bench(bootstrap, tables_dsn, tmp_path):
    found = SinkBench(bootstrap, tables_dsn, f"sink{next(_numbers)}.", tmp_path)
    yield found
    found.close()


@pytest.fixture
def another_bench(bootstrap, empty_migrated_dsn, tmp_path_factory):
    found = SinkBench(bootstrap, empty_migrated_dsn, f"sink{next(_numbers)}.", tmp_path_factory.mktemp("another"))
    yield found
    found.close()


@pytest.fixture
def empty_migrated_dsn(empty_dsn):
    from connectors.migrate import migrate  # noqa: PLC0415 - only here

    migrate(empty_dsn)
    return empty_dsn


def one_status(run=0, **changes):
    status = list(latest_by_run(histories(run + 1)).values())[run]
    return msgspec.structs.replace(status, **changes)


def runs_in(bench):
    return dict(bench.database.execute("select run_id, version from tidemill.runs").fetchall())


def test_kills_replays_and_compaction_give_the_same_tables(bench, another_bench):
    history = list(histories(MANY_RUNS))
    count = bench.produce(history)
    assert count > 9_000
    for kill in range(1, KILLS + 1):
        process = bench.start()
        bench.wait_for(count * kill // (KILLS + 2))
        process.kill()
        process.wait(EXIT_SECONDS)
    bench.start()
    bench.wait_for(count)
    tables = bench.tables()
    expected = latest_by_run(iter(history))
    assert runs_in(bench) == {run_id: status.version for run_id, status in expected.items()}
    assert len(tables["attempts"]) == sum(len(status.attempts) for status in expected.values())
    assert len(tables["transitions"]) == sum(len(status.transitions) for status in expected.values())

    bench.processes[-1].kill()
    bench.processes[-1].wait(EXIT_SECONDS)
    bench.forget_offsets()
    bench.start()
    bench.wait_for(count)
    assert bench.tables() == tables, "replayed from zero over the same tables"

    another_bench.start()
    another_bench.wait_for(another_bench.produce(expected.values()))
    assert another_bench.tables() == tables, "only the last record of each run was left"


def test_after_a_rollback_the_sink_says_which_release_has_migrated_the_database_and_goes_on(bench):
    bench.database.execute("insert into tidemill.migrations values ('9999_later.sql', 'x', '9.0.0')")
    bench.start()
    bench.wait_for(bench.produce([one_status()]))
    assert "release 9.0.0 has migrated this database (9999_later.sql)" in bench.log_text()


def test_an_attempt_says_what_it_used(bench):
    status = one_status()
    attempt = msgspec.structs.replace(status.attempts[-1], peak_memory=2**40, cpu_seconds=0.25)
    bench.start()
    bench.wait_for(bench.produce([msgspec.structs.replace(status, attempts=(attempt,))]))
    query = "select peak_memory, cpu_seconds from tidemill.attempts"
    assert bench.database.execute(query).fetchall() == [(2**40, 0.25)]


def test_an_older_version_changes_nothing(bench):
    newer = one_status(version=9, reason="newer")
    bench.start()
    bench.wait_for(bench.produce([newer]))
    tables = bench.tables()
    bench.wait_for(1 + bench.produce([msgspec.structs.replace(newer, version=8, reason="older")]))
    assert bench.tables() == tables


def test_a_frozen_sink_changes_nothing_after_it_resumes(bench):
    count = bench.produce(histories(MANY_RUNS))
    frozen = bench.start()
    bench.wait_for(1)
    frozen.send_signal(signal.SIGSTOP)
    bench.database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tidemill-sink'"
    )
    bench.start()
    bench.wait_for(count)
    tables = bench.tables()
    offsets = bench.consumed()
    frozen.send_signal(signal.SIGCONT)
    eventually(lambda: "sink_interrupted" in bench.log_text(), what=bench.log_text)
    more = bench.produce([one_status(version=10_000_000)])
    bench.wait_for(offsets + more)
    assert bench.consumed() == offsets + more
    assert len(bench.tables()["runs"]) == len(tables["runs"])


def test_two_concurrent_sinks_write_everything_once(bench):
    bench.start()
    bench.start()
    history = list(histories(MANY_RUNS // 3))
    bench.wait_for(bench.produce(history))
    assert runs_in(bench) == {run_id: status.version for run_id, status in latest_by_run(iter(history)).items()}
    assert bench.consumed() == len(history)


def test_a_lost_connection_loses_nothing(bench):
    history = list(histories(MANY_RUNS // 3))
    count = bench.produce(history)
    bench.start()
    for part in (1, count // 3, count // 2):
        bench.wait_for(part)
        bench.database.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tidemill-sink'"
        )
    bench.wait_for(count)
    assert runs_in(bench) == {run_id: status.version for run_id, status in latest_by_run(iter(history)).items()}


def test_an_invalid_record_is_a_problem_and_others_are_written(bench):
    impossible = one_status(0, exit_code=2**40)
    with_nul = one_status(1, reason="a\x00b")
    good = one_status(2)
    records = [(each.job_id, each.run_id, encode(each)) for each in (impossible, with_nul, good)]
    nonsense = [("job-0", "job-0@x", b"{"), ("job-0", "job-0@x", b'{"run_id": "x"}'), ("job-0", "gone", None)]
    bench.start()
    bench.wait_for(bench.produce_raw([*nonsense, *records]))
    assert set(runs_in(bench)) == {with_nul.run_id, good.run_id}
    problems = bench.database.execute("select reason, source_topic, owner from tidemill.problems").fetchall()
    reasons = sorted(reason for reason, _, _ in problems)
    assert len(reasons) == 3
    said = ("is not JSON", "is not a valid RunStatus", 'is refused by Postgres: value "1099511627776"')
    assert all(any(each in reason for reason in reasons) for each in said)
    assert {topic for _, topic, _ in problems} == {bench.connections.topic(STATUS)}


@pytest.mark.parametrize("value", [None, b""], ids=["tombstone", "empty"])
def test_a_record_without_a_value_that_comes_alone_moves_the_offset(bench, value):
    bench.start()
    for count in (1, 2):
        bench.produce_raw([("job-0", "gone", value)])
        bench.wait_for(count, seconds=20)


def test_each_dead_letter_is_one_problem_with_its_source(bench):
    producer = Producer(bench.connections.kafka())
    headers = {"source_topic": "x.cdc", "source_partition": "3", "source_offset": "42", "reason": "is not JSON"}
    producer.produce(bench.connections.topic(DEADLETTER), b"{oops", key="nightly", headers=headers)
    assert producer.flush(FLUSH_SECONDS) == 0
    process = bench.start()
    bench.wait_for(1)
    query = "select source_topic, source_partition, source_offset, owner, reason, record from tidemill.problems"
    row = ("x.cdc", 3, 42, "nightly", "is not JSON", "{oops")
    assert bench.database.execute(query).fetchall() == [row]
    process.kill()
    process.wait(EXIT_SECONDS)
    bench.forget_offsets()
    bench.start()
    bench.wait_for(1)
    assert bench.database.execute(query).fetchall() == [row]


def test_records_of_aborted_transactions_are_never_seen(bench):
    status = one_status()
    topic, partition = bench.connections.topic(STATUS), partition_of(status.job_id, bench.connections.partitions)
    producer = Producer(bench.connections.kafka(transactional_id="owner"))
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(
        topic, encode(msgspec.structs.replace(status, run_id=RunId("aborted"))), key="aborted", partition=partition
    )
    assert producer.flush(FLUSH_SECONDS) == 0
    producer.abort_transaction()
    bench.start()
    bench.produce([status])
    eventually(lambda: runs_in(bench), what=bench.log_text)
    assert set(runs_in(bench)) == {status.run_id}


def test_a_recreated_topic_is_read_from_its_beginning(bench):
    process = bench.start()
    bench.wait_for(bench.produce(histories(50)))
    process.terminate()
    assert process.wait(EXIT_SECONDS) == 0
    admin = AdminClient(bench.connections.kafka())
    (future,) = admin.delete_topics([bench.connections.topic(STATUS)]).values()
    future.result(FLUSH_SECONDS)
    gone = bench.connections.topic(STATUS)
    eventually(lambda: gone not in admin.list_topics(timeout=FLUSH_SECONDS).topics, what="the topic's end")
    create(bench.connections)
    bench.start()
    bench.produce([one_status(60)])
    eventually(lambda: one_status(60).run_id in runs_in(bench), what=bench.log_text)


def test_the_sink_ends_cleanly_and_soon_on_sigterm(bench):
    process = bench.start()
    bench.wait_for(bench.produce(histories(10)))
    process.terminate()
    assert process.wait(EXIT_SECONDS) == 0


def test_old_days_are_pruned(bench):
    long_ago = datetime.now(UTC) - timedelta(days=40)  # noqa: TID251 - pruning goes by the clock of Postgres
    bench.produce(histories(3, start=long_ago))
    bench.produce(histories(3, start=datetime.now(UTC)))  # noqa: TID251 - as above
    bench.start(TIDEMILL_RETENTION_INTERVAL="PT0.2S", TIDEMILL_HISTORY_TTL="P30D")
    bench.wait_for(18)
    eventually(lambda: len(runs_in(bench)) == 3, what=bench.log_text)


def test_an_idle_sink_writes_a_status_at_once(bench):
    bench.start()
    bench.wait_for(bench.produce([one_status(0)]))
    seconds = []
    for number in range(1, 41):
        status = one_status(number)
        bench.produce([status])
        produced = time.monotonic()
        eventually(lambda run_id=status.run_id: run_id in runs_in(bench), what=bench.log_text)
        seconds.append(time.monotonic() - produced)
    median = sorted(seconds)[len(seconds) // 2]
    print(f"status to row, p50: {median * 1000:.0f} ms")
    assert median < 0.5


def test_the_history_before_a_rerun_is_kept(bench):
    last = one_status()
    born = msgspec.structs.replace(last.transitions[0], version=last.version + 10)
    again = one_status(version=born.version, rerun_id="again", transitions=(born,), attempts=())
    count = bench.produce([last, again])
    bench.start()
    bench.wait_for(count)
    tables = bench.tables()
    assert len(tables["transitions"]) == len(last.transitions) + 1
    assert len(tables["attempts"]) == len(last.attempts)


def test_the_row_of_a_run_names_its_trace(bench):
    bench.produce([one_status(traceparent=TRACEPARENT)])
    bench.start()
    bench.wait_for(1)
    assert bench.database.execute("select traceparent from tidemill.runs").fetchall() == [(TRACEPARENT,)]


@pytest.mark.parametrize("apart", [True, False])
def test_a_rerun_weeks_later_updates_the_same_row(bench, apart):
    last = one_status()
    at = last.transitions[-1].at + timedelta(days=20)
    born = msgspec.structs.replace(last.transitions[0], version=last.version + 10, at=at)
    again = one_status(version=born.version, rerun_id="again", transitions=(born,), attempts=(), filed_on=at.date())
    bench.start()
    for number, each in enumerate((last, again) if apart else (), 1):
        bench.produce([each])
        bench.wait_for(number)
    bench.produce([] if apart else [last, again])
    bench.wait_for(2)
    filed = bench.database.execute("select filed_on, version from tidemill.runs").fetchall()
    assert filed == [(last.filed, again.version)]
    assert {row[0] for row in bench.database.execute("select filed_on from tidemill.stories")} == {last.filed}
    assert len(bench.tables()["transitions"]) == len(last.transitions) + 1


def test_a_backfill_of_a_thousand_weeks_writes_one_week(bench):
    statuses = [
        msgspec.structs.replace(each, nominal_time=START - week * timedelta(days=7), kind=RunKind.BACKFILLED)
        for week, each in enumerate(latest_by_run(histories(1000)).values())
    ]
    bench.start()
    bench.wait_for(bench.produce(statuses))
    found = bench.database.execute("select child from tidemill.week_partitions() where parent = 'runs'").fetchall()
    assert len(found) <= 4, "that of the runs, and those that are made ahead"
    assert len(runs_in(bench)) == 1000
