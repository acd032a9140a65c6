"""The reconciler between a real Postgres and a real Kafka: what it heals, what it waits for, what it refuses."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import psycopg
import pytest
from confluent_kafka import Producer

from connectors import topics
from connectors.reconciler import HEAL_AFTER, LOUD_AFTER, Reconciler
from connectors.roles import DEFAULT_PREFIX
from connectors.sink_metrics import SinkMetrics
from infra.process_roles import dsn_as
from observe.catalogue import sink as catalogue
from observe.registry import Registry
from schemas.codec import encode
from schemas.digest import digest_of
from schemas.job import JobSpec
from schemas.partition import partition_of
from schemas.settings import Connections
from schemas.topics import CDC, STATE
from streams.core.stored import Applied, StoredClock, StoredJob
from tests.support.dag_rows import put
from tests.support.servers.kafka_node import running_kafka

PARTITIONS = 2
ROUND_SECONDS = 10.0
ROUNDS = 12
"""Two minutes: as long as a healing may take."""
AT = datetime(2026, 3, 1, tzinfo=UTC)
_numbers = itertools.count()


@pytest.fixture(scope="module")
def bootstrap():
    with running_kafka() as address:
        yield address


class Deployment:
    """A database, its slot, and streams that hold what the test lets them hold."""

    def __init__(self, bootstrap, dsn):
        self.connections = Connections(
            kafka_bootstrap=bootstrap,
            postgres_dsn=dsn_as(dsn, f"{DEFAULT_PREFIX}sink"),
            topic_prefix=f"r{next(_numbers)}.",
            partitions=PARTITIONS,
        )
        topics.create(self.connections)
        self.database = psycopg.connect(dsn, autocommit=True)
        self.slot = f"slot_{self.database.info.dbname}"
        self.database.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [self.slot])
        self.registry, self.now = Registry(), 0.0
        self.reconciler = Reconciler(self.connections, self.slot, SinkMetrics(self.registry), lambda: self.now)
        self._producer = Producer(self.connections.kafka())
        self.held = {}
        self.apply()

    def close(self):
        self.database.execute("select pg_drop_replication_slot(%s)", [self.slot])
        self.database.close()

    def value(self, query, *values):
        return self.database.execute(query, values).fetchone()[0]

    def put(self, *jobs):
        for job in jobs:
            self.database.execute(
                "insert into tidemill.jobs (job_id, executable) values (%s, 's3://bucket/key') "
                "on conflict (job_id) do update set executable = excluded.executable || 'x'",
                [job],
            )

    def delete(self, job):
        self.database.execute("delete from tidemill.jobs where job_id = %s", [job])

    def rows(self):
        return dict(self.database.execute("select job_id, version from tidemill.jobs").fetchall())

    def apply(self, *, but=()):
        """The streams apply what the connector sends: all definitions but those of these owners."""
        found = self.database.execute("select owner, version, deleted from tidemill.definitions order by version")
        for owner, version, deleted in found.fetchall():
            if owner not in but:
                self.hold(owner, version, deleted=deleted)
        self.commit()

    def hold(self, owner, version, *, deleted=False):
        self.held[owner] = None if deleted else version
        stored = StoredJob(
            version=version, valid_from=AT, since=AT, deleted=deleted, spec=JobSpec(job_id=owner, executable="x")
        )
        self._write(partition_of(owner, PARTITIONS), f"def/{owner}", encode(stored))

    def commit(self, topic_id=None):
        """Each owner writes its clock. `topic_id`: of the topic `cdc` that it reads."""
        name = self.connections.topic(CDC)
        cdc = topic_id or topics.topic_ids(self.connections, [name])[name]
        for number in range(PARTITIONS):
            mine = [each for owner, each in self.held.items() if partition_of(owner, PARTITIONS) == number and each]
            clock = StoredClock(
                watermark=AT, cursor=None, token=0, newest_requests={}, newest_version=max(mine, default=0),
                applied=(Applied(topic=CDC, topic_id=cdc, offset=-1),), digest=digest_of(mine),
            )  # fmt: skip
            self._write(number, "clock", encode(clock))
        assert self._producer.flush(30) == 0

    def confirm(self):
        """The connector confirms all WAL, as after its heartbeat."""
        self.database.execute("update tidemill.heartbeat set at = clock_timestamp()")
        self.database.execute("select pg_replication_slot_advance(%s, pg_current_wal_lsn())", [self.slot])

    def rounds(self, count=ROUNDS, *, confirmed=True):
        for _ in range(count):
            self.now += ROUND_SECONDS
            if confirmed:
                self.confirm()
            self.reconciler.round()

    def healed(self, what):
        return self.registry.counter(catalogue.DEFINITIONS_HEALED).labels(what).value

    def problems(self, code):
        return self.database.execute("select reason from tidemill.problems where code = %s", [code]).fetchall()

    def _write(self, partition, key, value):
        self._producer.produce(self.connections.topic(STATE), value, key, partition)


@pytest.fixture
def deployment(bootstrap, tables_dsn):
    made = Deployment(bootstrap, tables_dsn)
    yield made
    made.close()


def test_equal_definitions_are_left_alone(deployment):
    deployment.put("a", "b")
    deployment.delete("b")
    for beginning in (70_000, 5_000_000_000, 1 << 50):
        deployment.database.execute("select setval('tidemill.definition_version', %s)", [beginning])
        deployment.put(*(f"job-{beginning}-{number}" for number in range(5)))
    with deployment.database.transaction():
        put(deployment.database, {"one": []}, "dag")
    deployment.apply()
    before = deployment.rows()
    deployment.rounds()
    assert deployment.rows() == before
    assert deployment.value("select differing from tidemill.reconciliation") == 0
    assert deployment.value("select compared_at is not null from tidemill.reconciliation")


def test_a_change_that_was_lost_is_appended_again_after_a_minute_and_counted(deployment):
    deployment.put("a", "b", "c")
    deployment.apply(but=("c",))
    deployment.put("a")
    before = deployment.rows()
    deployment.rounds(int(HEAL_AFTER / ROUND_SECONDS))
    assert deployment.rows() == before, "it may be on its way"
    deployment.rounds()
    after = deployment.rows()
    assert {job for job in before if after[job] != before[job]} == {"a", "c"}
    assert min(after["a"], after["c"]) > max(before.values())
    newest = deployment.database.execute(
        "select version, deleted, spec ->> 'job_id' from tidemill.definitions where owner = 'a' order by version"
    ).fetchall()
    assert newest[-1] == (after["a"], False, "a")
    ((reason,),) = deployment.problems("definitions_healed")
    assert "job 'a', job 'c'" in reason
    assert deployment.value("select healed from tidemill.reconciliation") == 2


def test_a_deletion_that_was_lost_is_appended_again(deployment):
    deployment.put("a", "b")
    deployment.apply()
    deployment.delete("b")
    lost = deployment.value("select max(version) from tidemill.definitions")
    deployment.rounds()
    found = deployment.database.execute(
        "select owner, deleted from tidemill.definitions where version > %s", [lost]
    ).fetchall()
    assert found == [("b", True)]
    deployment.apply()
    deployment.rounds(1)
    assert deployment.value("select differing from tidemill.reconciliation") == 0


def test_what_the_connector_has_not_sent_is_on_its_way_and_becomes_loud_after_ten_minutes(deployment):
    deployment.put("a")
    before = deployment.rows()
    deployment.rounds(int(LOUD_AFTER / ROUND_SECONDS), confirmed=False)
    assert deployment.problems("definitions_differ") == []
    deployment.rounds(3, confirmed=False)
    assert deployment.rows() == before
    ((reason,),) = deployment.problems("definitions_differ")
    assert "the connector has not confirmed" in reason


def test_a_slot_that_was_made_again_confirms_nothing_before_its_snapshot_is_sent(deployment):
    deployment.put("a")
    before = deployment.rows()
    deployment.rounds(3, confirmed=False)
    deployment.database.execute("select pg_drop_replication_slot(%s)", [deployment.slot])
    deployment.database.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [deployment.slot])
    deployment.rounds(confirmed=False)
    assert deployment.rows() == before


def test_records_that_lie_unread_in_cdc_are_on_their_way(deployment):
    deployment.put("a")
    before = deployment.rows()
    producer = Producer(deployment.connections.kafka())
    producer.produce(deployment.connections.topic(CDC), b"{}", "a", partition_of("a", PARTITIONS))
    assert producer.flush(30) == 0
    deployment.rounds()
    assert deployment.rows() == before


def test_owners_that_read_a_topic_which_was_created_again_are_reported(deployment):
    deployment.put("a")
    deployment.commit("the topic before")
    before = deployment.rows()
    deployment.rounds(int(LOUD_AFTER / ROUND_SECONDS) + 3)
    assert deployment.rows() == before
    ((reason,),) = deployment.problems("definitions_differ")
    assert "restart the stream workers" in reason


def test_jobs_that_change_all_the_time_are_no_difference(deployment):
    for number in range(ROUNDS * 2):
        job = f"job-{number}"
        deployment.put(job)
        deployment.rounds(1)
        deployment.apply()
    assert deployment.problems("definitions_healed") == []


def test_streams_that_are_ahead_of_the_database_are_reported_and_nothing_is_healed(deployment):
    """A restore whose sequence has caught up before a sink looked."""
    deployment.put("a", "b", "c")
    deployment.apply()
    deployment.put("b")
    behind = deployment.rows()
    deployment.hold("a", 6)
    deployment.hold("lost", 5)
    deployment.commit()
    deployment.database.execute("select setval('tidemill.definition_version', 100)")
    deployment.rounds()
    assert deployment.rows() == behind
    ((reason,),) = deployment.problems("definitions_differ")
    assert "job 'a', job 'lost'" in reason
    assert deployment.value("select refusal from tidemill.reconciliation") == reason


def test_a_database_that_is_known_to_be_restored_is_not_healed(deployment):
    deployment.put("a", "b")
    deployment.apply()
    deployment.hold("lost", 50)
    deployment.commit()
    deployment.rounds()
    assert len(deployment.problems("database_restored")) == 1
    assert deployment.problems("definitions_healed") == []
    assert "tidemill restored" in deployment.value("select refusal from tidemill.reconciliation")


def test_a_second_loss_of_a_job_heals_as_soon_as_the_first(deployment):
    deployment.put("a")
    deployment.rounds(8)
    deployment.apply()
    healed = deployment.rows()["a"]
    deployment.put("a")
    deployment.rounds(8)
    assert deployment.rows()["a"] > healed + 1
    assert deployment.problems("definitions_differ") == []


def test_a_definition_that_the_streams_refuse_each_time_is_appended_less_and_less_often(deployment):
    deployment.put("a")
    deployment.rounds(60)
    versions = deployment.value("select count(*) from tidemill.definitions where owner = 'a'")
    assert 2 < versions < 5
    assert {"refused each new version" in reason for (reason,) in deployment.problems("definitions_differ")} == {True}
