"""Settings of the deployment on a real broker and in real tables: created once, obeyed, changed in a safe order."""

from __future__ import annotations

import itertools
from concurrent.futures import Future, ThreadPoolExecutor

import confluent_kafka
import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from connectors.cluster import (
    LOCK_KEY,
    ChangedElsewhereError,
    ClassInUseError,
    allow_classes,
    change,
    establish,
    look,
    open_to_jobs,
)
from connectors.owner_clocks import FIRST_LOOK_BACK, latest_clocks
from schemas.cluster import Cluster, DisagreementError
from schemas.cluster_record import settle
from schemas.codec import encode
from schemas.settings import AgreedSettings, Connections
from schemas.topics import EXECUTOR_TOPICS, STATE, STREAM_TOPICS, TopicMismatchError
from streams.core.stored import StoredClock
from streams.owner.transaction_records import CLOCK_KEY
from tests.support.servers.kafka_node import running_kafka
from tests.support.waiting import eventually
from tidemill.target import wall_clock

SECONDS = 30
JOB = """insert into tidemill.jobs (job_id, executable, timeout_class) values (%s, 's3://bucket/key', %s)"""
_numbers = itertools.count()


@pytest.fixture(scope="module")
def bootstrap():
    with running_kafka() as address:
        yield address


@pytest.fixture
def place(bootstrap, tables_dsn):
    return Connections(kafka_bootstrap=bootstrap, postgres_dsn=tables_dsn, topic_prefix=f"c{next(_numbers)}.")


@pytest.fixture
def made(place):
    """A deployment with three partitions; yields settings without that number."""
    establish(place.model_copy(update={"partitions": 3}), AgreedSettings())
    return place


def anything(_cluster: Cluster) -> None:
    pass


def try_job(place, job_id, timeout_class):
    with psycopg.connect(place.postgres_dsn) as postgres:
        postgres.execute(JOB, [job_id, timeout_class])


def test_the_first_migration_writes_the_record_and_later_ones_obey_it(made):
    assert look(made).cluster == Cluster()
    again = establish(made, AgreedSettings())
    assert (again.made, again.connections.partitions) == ([], 3)
    with pytest.raises(TopicMismatchError, match="the topics have 3 partitions"):
        establish(Connections(**made.model_dump(exclude_unset=True), partitions=5), AgreedSettings())
    with pytest.raises(DisagreementError, match="TIDEMILL_LEASE is PT7S"):
        establish(made, AgreedSettings(lease="PT7S"))


@pytest.mark.parametrize("topics", [STREAM_TOPICS, EXECUTOR_TOPICS])
def test_a_process_takes_n_from_the_topics(made, topics):
    place, cluster = settle(made, confluent_kafka, topics, with_runs=True)
    assert (place.partitions, cluster) == (3, Cluster())
    wrong = Connections(**made.model_dump(exclude_unset=True), partitions=4)
    with pytest.raises(DisagreementError, match="TIDEMILL_PARTITIONS is 4, and the topics have 3"):
        settle(wrong, confluent_kafka, topics, with_runs=True)


def test_asking_for_a_topic_does_not_create_it(made):
    producer = Producer(made.kafka(message_timeout_ms=500))
    told = []
    producer.produce(made.topic("nobody-made-it"), b"x", on_delivery=lambda error, _: told.append(error))
    producer.flush(SECONDS)
    assert told[0] is not None
    assert made.topic("nobody-made-it") not in AdminClient(made.kafka()).list_topics(timeout=SECONDS).topics


def test_an_added_class_has_its_topic_before_the_record_names_it(made):
    here = made.model_copy(update={"partitions": 3})
    before, after = change(here, {"timeout_classes": "6h,10s,1m,1h"}, anything)
    assert (before.version, after.version, after.timeout_classes) == (1, 2, "10s,1m,1h,6h")
    found = look(made)
    assert found.cluster == after
    assert found.counts[made.topic("runs.6h")] == 3
    assert change(here, {"timeout_classes": "10s,1m,1h,6h"}, anything) == (after, after)


def test_jobs_can_use_an_allowed_class_and_it_stays_while_they_do(made):
    here = made.model_copy(update={"partitions": 3})
    with pytest.raises(psycopg.errors.CheckViolation, match="timeout classes of this deployment are 10s, 1m, 1h"):
        try_job(made, "a", "6h")
    _, after = change(here, {"timeout_classes": "10s,1m,1h,6h"}, anything)
    allow_classes(made.postgres_dsn, list(after.classes))
    for number in range(7):
        try_job(made, f"job-{number}", "6h")
    with pytest.raises(ClassInUseError, match=r'job "job-0" \(6h\), .* and 2 more; give these another timeout_class'):
        change(here, {"timeout_classes": "10s,1m,1h"}, anything)
    assert look(made).cluster == after, "the record was changed although jobs use the class"
    with psycopg.connect(made.postgres_dsn) as postgres:
        postgres.execute("update tidemill.jobs set timeout_class = null")
    change(here, {"timeout_classes": "10s,1m,1h"}, anything)
    with pytest.raises(psycopg.errors.CheckViolation):
        try_job(made, "b", "6h")


def test_classes_of_a_record_that_another_change_has_replaced_are_not_opened(made):
    here = made.model_copy(update={"partitions": 3})
    before, after = change(here, {"timeout_classes": "10s,1m"}, anything)
    open_to_jobs(here, before)
    with pytest.raises(psycopg.errors.CheckViolation):
        try_job(made, "long", "1h")
    open_to_jobs(here, after)
    try_job(made, "short", "1m")


def test_a_change_that_running_members_refuse_changes_nothing(made):
    def refuse(cluster: Cluster) -> None:
        raise DisagreementError(f"lease is {cluster.lease}")

    with pytest.raises(DisagreementError):
        change(made.model_copy(update={"partitions": 3}), {"lease": AgreedSettings(lease="PT4S").lease}, refuse)
    assert look(made).cluster == Cluster()


WAITS = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


def test_two_concurrent_changes_both_survive(made):
    here, seconds = made.model_copy(update={"partitions": 3}), AgreedSettings().lease * 2
    with ThreadPoolExecutor(1) as pool, psycopg.connect(made.postgres_dsn, autocommit=True) as postgres:
        others: list[Future[object]] = []

        def is_made_or_waits() -> bool:
            return others[0].done() or postgres.execute(WAITS).fetchone() == (1,)

        def meanwhile(_cluster: Cluster) -> None:
            """Somebody else asks for another change after the record was read, and before it is written."""
            others.append(pool.submit(change, here, {"lease": seconds}, anything))
            eventually(is_made_or_waits, SECONDS, "the other change to be made, or to wait")

        change(here, {"claim_grace": seconds}, meanwhile)
        before, after = others[0].result(SECONDS)
    found = look(made).cluster
    assert (found.lease, found.claim_grace, found.version) == (seconds, seconds, 3)
    assert (before.claim_grace, after) == (seconds, found)


def test_a_change_that_waits_too_long_says_for_what(made, monkeypatch):
    monkeypatch.setattr("connectors.cluster.LOCK_SECONDS", 0.2)
    with psycopg.connect(made.postgres_dsn, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [LOCK_KEY])
        with pytest.raises(ChangedElsewhereError, match="another `tidemill cluster set` has not ended"):
            change(made.model_copy(update={"partitions": 3}), {"lease": AgreedSettings().lease * 2}, anything)
    assert look(made).cluster == Cluster()


class Owner:
    """Writes `state` as owners do: each transaction ends with the clock record."""

    def __init__(self, place):
        self._topic = place.topic(STATE)
        self._producer = Producer(place.kafka(transactional_id=f"{place.topic_prefix}owner"))
        self._producer.init_transactions()

    def begin(self, records):
        self._producer.begin_transaction()
        for number in range(records):
            self._producer.produce(self._topic, b"{}", f"run/{number}", 0)
        self._producer.flush()

    def commit(self, watermark, version):
        clock = StoredClock(
            watermark=watermark, cursor=None, token=1, applied=(), newest_requests={}, newest_version=version
        )
        self._producer.produce(self._topic, encode(clock), CLOCK_KEY, 0)
        self._producer.commit_transaction()

    def abort(self):
        self._producer.abort_transaction()


def test_the_last_clock_of_an_owner_is_found_below_open_and_aborted_transactions(made):
    here, now = made.model_copy(update={"partitions": 3}), wall_clock().replace(microsecond=0)
    assert latest_clocks(here) == {}
    owner = Owner(made)
    owner.begin(1)
    owner.commit(now, 7)
    owner.begin(3 * FIRST_LOOK_BACK)
    assert latest_clocks(here)[0].clock.newest_version == 7, "while the next one is open"
    owner.abort()
    (found,) = latest_clocks(here).values()
    assert (found.clock.watermark, found.clock.newest_version) == (now, 7)
    owner.begin(3 * FIRST_LOOK_BACK)
    owner.commit(now, 8)
    assert latest_clocks(here)[0].clock.newest_version == 8
