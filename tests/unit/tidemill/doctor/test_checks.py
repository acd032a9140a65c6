"""Each check of the doctor over given facts: its text, its severity, and its remedy."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from connectors.plan import Actual, Task
from connectors.settings import Ttls
from connectors.topics import desired_topics
from schemas.cluster import Cluster, Margins
from schemas.settings import Connections
from tests.unit.tidemill.doctor.test_capable import NAMES
from tidemill.doctor import facts as f
from tidemill.doctor.checks import findings
from tidemill.doctor.finding import Level, is_healthy
from tidemill.retention import Retention

DESIRED = {"name": "tidemill-source", "slot.name": "tidemill", "database.password": "secret"}
TABLES = frozenset({"tidemill.definitions", "tidemill.requests", "tidemill.heartbeat"})
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
HERE = f.Offset(low=-0.001, high=0.001)
OK, WARN, BAD = Level.OK, Level.WARN, Level.BAD

TTLS = Ttls(history=30 * DAY, failed_history=90 * DAY, logs=7 * DAY, failed_logs=30 * DAY, requests=7 * DAY)
RETENTION = Retention(
    oldest_week=NOW.date(), weeks=1, began_at=NOW, finished_at=NOW, next_at=NOW + timedelta(hours=1), failure=None
)
SLOT = f.Slot(
    plugin="pgoutput", database="app", active=True, wal_status="reserved", behind_bytes=2**20, safe_bytes=2**32
)
UNREADABLE = "records 5 to 9 of topic requests cannot be read, and had no effect: it is no lz4"
POSTGRES = f.Postgres(
    version=180004,
    database="app",
    role="worker",
    is_replica=False,
    is_shared=False,
    settings={
        "wal_level": "logical",
        "max_slot_wal_keep_size": "4096",
        "max_replication_slots": "8",
        "max_wal_senders": "8",
        "idle_replication_slot_timeout": "0",
    },
    replication_slots=1,
    may_replicate=True,
    missing_rights=(),
    migrations=f.Migrations(),
    publication=f.Publication(tables=TABLES, inserts=True, updates=True),
    slot_name="tidemill",
    slot=SLOT,
    history=f.History(
        now=NOW, total_bytes=2**20, problems=0, unreadable=None, heartbeat_age=2 * SECOND, retention=RETENTION
    ),
    ttls=TTLS,
    clock=HERE,
    timeout_classes=("10s", "1m"),
)
BROKER = {
    "auto.create.topics.enable": "false",
    "group.consumer.session.timeout.ms": "10000",
    "group.min.session.timeout.ms": "6000",
    "offsets.retention.minutes": "10080",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
}
TOPICS = tuple(
    f.Topic(
        desired=each,
        found=f.FoundTopic(partitions=each.partitions, config=dict(each.config), replicas=3, in_sync=3),
    )
    for each in desired_topics(Connections(replication_factor=3))
)
KAFKA = f.Kafka(
    cluster_id="one",
    brokers=tuple(f.Broker(number=number, settings=BROKER) for number in (1, 2, 3)),
    consumer_protocol=1,
    topics=TOPICS,
    replication_factor=3,
    session_timeout=6 * SECOND,
    clocks={1: HERE, 2: HERE, 3: HERE},
)
CONNECTOR = Actual(config=DESIRED, state="RUNNING", tasks=(Task(number=0, state="RUNNING"),), slot_status="reserved")
CONNECT = f.Connect(
    version="4.3.1",
    cluster_id="one",
    debezium="3.7.0.Final",
    connector=CONNECTOR,
    desired=DESIRED,
)
STREAMS = f.Streams(
    group="tidemill-streams",
    state="stable",
    held={0: "stream-0", 1: "stream-1"},
    partitions=2,
    quiet={0: SECOND, 1: SECOND},
    decided_ahead={},
)
EXECUTOR = f.Executor(
    name="e-0", state="running", version="1", slots={"10s": 4, "1m": 4}, free={"10s": 4, "1m": 4}, settings_version=3
)
EXECUTORS = f.Executors(
    classes=("10s", "1m"),
    executors=(EXECUTOR,),
    held={"10s": frozenset({0, 1}), "1m": frozenset({0, 1})},
    partitions={"10s": 2, "1m": 2},
    margins=(Margins(name="e-0", lease_margin=5 * SECOND, heartbeat_interval=3 * SECOND),),
)
CLUSTER = Cluster(version=3, timeout_classes="10s,1m")
SETTINGS = f.Settings(cluster=CLUSTER, contradictions=())
READERS = tuple(f.Reader(name=name, waiting=0, oldest_age=None) for name in ("sink", "streams", "executors.10s"))
FACTS = f.Facts(
    processes=(f.Process(name="sink", state="running", log="sink.log"),),
    postgres=POSTGRES,
    kafka=KAFKA,
    connect=CONNECT,
    s3=f.S3(where="here", bucket="tidemill"),
    streams=STREAMS,
    executors=EXECUTORS,
    readers=READERS,
    settings=SETTINGS,
    restored=f.Restored(noticed_at=None, given=7, applied=7, now=NOW, compared_at=NOW),
    overdue=f.Overdue(after=120 * SECOND, names=()),
)


def postgres(**changes):
    return replace(FACTS, postgres=replace(POSTGRES, **changes))


def setting(**changes):
    return postgres(settings=POSTGRES.settings | changes)


def retention(**changes):
    known = dataclasses.replace(RETENTION, **changes)
    return postgres(history=replace(POSTGRES.history, retention=known))


def kafka(**changes):
    return replace(FACTS, kafka=replace(KAFKA, **changes))


def brokers(**changes):
    settings = BROKER | {name.replace("_", "."): value for name, value in changes.items()}
    return kafka(brokers=tuple(replace(each, settings=settings) for each in KAFKA.brokers))


def topic(name, **changes):
    return kafka(
        topics=tuple(
            replace(each, found=replace(each.found, **changes)) if each.desired.name == name else each
            for each in TOPICS
        )
    )


def topic_setting(name, key, value):
    (found,) = (each.found for each in TOPICS if each.desired.name == name)
    return topic(name, config=found.config | {key: value})


def connect(**changes):
    return replace(FACTS, connect=replace(CONNECT, **changes))


def connector(**changes):
    return connect(connector=replace(CONNECTOR, **changes))


def streams(**changes):
    return replace(FACTS, streams=replace(STREAMS, **changes))


def executors(*found, **changes):
    return replace(FACTS, executors=replace(EXECUTORS, executors=found or EXECUTORS.executors, **changes))


def settings(**changes):
    return replace(FACTS, settings=replace(SETTINGS, **changes))


def restored(**changes):
    return replace(FACTS, restored=replace(FACTS.restored, **changes))


def overdue(*names):
    return replace(FACTS, overdue=f.Overdue(after=120 * SECOND, names=names))


def reader(name, seconds):
    return replace(FACTS, readers=(f.Reader(name=name, waiting=7, oldest_age=seconds * SECOND),))


CASES = [
    (
        "stack.processes",
        BAD,
        replace(FACTS, processes=(f.Process(name="sink", state="restarting", log="x"),)),
        "sink is",
    ),
    ("postgres.answers", BAD, replace(FACTS, postgres=f.Silent(reason="refused")), "does not answer: refused"),
    ("postgres.version", BAD, postgres(version=150007), "version 15.7"),
    ("postgres.primary", BAD, postgres(is_replica=True), "read-only replica"),
    ("postgres.pooler", BAD, postgres(is_shared=True), "pooler in transaction mode"),
    ("postgres.wal_level", BAD, setting(wal_level="replica"), "wal_level is replica"),
    ("postgres.replication_right", BAD, postgres(may_replicate=False), "worker has no replication right"),
    ("postgres.rights", BAD, postgres(missing_rights=("insert on tidemill.runs",)), "missing: insert on tidemill.runs"),
    (
        "postgres.migrations",
        BAD,
        postgres(migrations=f.Migrations(missing=("1.sql", "2.sql"))),
        "not applied yet: 1.sql and 2.sql",
    ),
    ("postgres.migrations", BAD, postgres(migrations=f.Migrations(changed=("1.sql",))), "has other contents of 1.sql"),
    ("postgres.migrations", WARN, postgres(migrations=f.Migrations(newer="0.3.0 has migrated it")), "0.3.0 has"),
    ("postgres.publication", BAD, postgres(publication=None), "no publication tidemill"),
    (
        "postgres.publication",
        BAD,
        postgres(publication=f.Publication(tables=TABLES - {"tidemill.requests"}, inserts=True, updates=True)),
        "lacks tidemill.requests",
    ),
    (
        "postgres.publication",
        BAD,
        postgres(publication=f.Publication(tables=TABLES, inserts=False, updates=True)),
        "does not publish inserts",
    ),
    ("postgres.slot", BAD, postgres(slot=None), "does not exist"),
    ("postgres.slot", BAD, postgres(slot=replace(SLOT, database="other")), "another program owns it"),
    ("postgres.slot", BAD, postgres(slot=replace(SLOT, wal_status="lost")), "its WAL is deleted"),
    ("postgres.slot", BAD, postgres(slot=replace(SLOT, active=False)), "no client reads"),
    ("postgres.slot_lag", BAD, postgres(slot=replace(SLOT, behind_bytes=3 * 2**30, safe_bytes=2**30)), "1024 MB more"),
    ("postgres.slot_lag", BAD, postgres(slot=replace(SLOT, wal_status="unreserved", safe_bytes=-5)), "0.0 MB more"),
    ("postgres.slot_lag", WARN, postgres(slot=replace(SLOT, wal_status="extended")), "does not keep up"),
    ("postgres.max_slot_wal_keep_size", WARN, setting(max_slot_wal_keep_size="-1"), "until the disk is full"),
    ("postgres.max_replication_slots", BAD, postgres(slot=None, replication_slots=8), "all 8 replication slots"),
    ("postgres.idle_replication_slot_timeout", WARN, setting(idle_replication_slot_timeout="60"), "is 60 s"),
    ("postgres.heartbeat", WARN, postgres(history=replace(POSTGRES.history, heartbeat_age=99 * SECOND)), "99 s ago"),
    ("postgres.problems", WARN, postgres(history=replace(POSTGRES.history, problems=3)), "3 records"),
    ("kafka.unreadable", WARN, postgres(history=replace(POSTGRES.history, unreadable=UNREADABLE)), UNREADABLE),
    ("postgres.retention", WARN, retention(failure="2026-11-01 still has logs"), "2026-11-01 still has logs"),
    (
        "postgres.retention",
        WARN,
        retention(next_at=NOW - 2 * DAY),
        "no sink has pruned it since 2026-11-19T03:00:00.000Z",
    ),
    ("jobs.overdue", BAD, overdue("nightly"), "nightly was due more than 120 s ago"),
    ("jobs.overdue", BAD, overdue("a", "b", "c", "d", "e"), "a, b, c and 2 more were due"),
    ("jobs.answers", BAD, replace(FACTS, overdue=f.Silent(reason="no answer in time")), "does not answer"),
    ("kafka.answers", BAD, replace(FACTS, kafka=f.Silent(reason="no answer in time")), "does not answer"),
    ("kafka.version", BAD, kafka(consumer_protocol=0), "KIP-848"),
    ("kafka.version", BAD, kafka(consumer_protocol=None), "KIP-848"),
    ("kafka.writable", BAD, kafka(write_refused="Topic authorization failed"), "authorization failed"),
    ("kafka.topics", BAD, kafka(topics=(replace(TOPICS[0], found=None), *TOPICS[1:])), "missing topics: tidemill.cdc"),
    ("kafka.partitions", BAD, topic("tidemill.events", partitions=3), "has 3 partitions instead of 8"),
    ("kafka.topic_settings", BAD, topic_setting("tidemill.cdc", "cleanup.policy", "compact"), "cleanup.policy=compact"),
    (
        "kafka.topic_settings",
        BAD,
        topic_setting("tidemill.runs.1m", "message.timestamp.type", "CreateTime"),
        "message.timestamp.type=CreateTime",
    ),
    (
        "kafka.topic_settings",
        BAD,
        topic_setting("tidemill.state", "max.message.bytes", "1048588"),
        "refuse a large record",
    ),
    ("kafka.topic_settings", WARN, topic_setting("tidemill.cdc", "retention.ms", "1000"), "retention.ms=1000"),
    ("kafka.replicas", WARN, topic("tidemill.state", replicas=1, in_sync=1), "there are 3 brokers"),
    ("kafka.in_sync", BAD, topic("tidemill.state", leaderless=(1,)), "have no leader"),
    ("kafka.in_sync", BAD, topic("tidemill.state", in_sync=1), "too few replicas in sync"),
    ("kafka.in_sync", WARN, topic("tidemill.state", in_sync=2), "not in sync on every"),
    ("kafka.broker_settings", WARN, kafka(brokers=(f.Broker(number=1, settings={}),)), "broker 1 cannot be read"),
    ("kafka.auto_create", WARN, brokers(auto_create_topics_enable="true"), "create missing topics"),
    ("kafka.executor_session_timeout", WARN, brokers(group_consumer_session_timeout_ms="45000"), "is 45 s"),
    ("kafka.worker_session_timeout", BAD, brokers(group_min_session_timeout_ms="10000"), "do not let stream workers"),
    ("kafka.offsets_retention", WARN, brokers(offsets_retention_minutes="60"), "after 60 minutes"),
    ("kafka.internal_replicas", WARN, brokers(offsets_topic_replication_factor="1"), "is below 3"),
    ("connect.answers", BAD, replace(FACTS, connect=f.Silent(reason="refused")), "Connect does not answer"),
    ("connect.debezium", BAD, connect(debezium=None), "has no Debezium"),
    ("connect.debezium", WARN, connect(debezium="3.6.1.Final"), "is version 3.6.1.Final"),
    ("connect.cluster", BAD, connect(cluster_id="two"), "cluster two, all other processes use one"),
    ("connect.connector", BAD, connect(connector=None), "no connector tidemill-source"),
    ("connect.connector", BAD, connector(state="PAUSED"), "an operator paused it"),
    ("connect.connector", BAD, connector(tasks=()), "it has no task yet"),
    (
        "connect.connector",
        BAD,
        connector(tasks=(Task(number=0, state="FAILED", trace="X: no route\nCaused by: Y: refused"),)),
        "X: no route <- Y: refused",
    ),
    (
        "connect.config",
        BAD,
        connector(config=DESIRED | {"database.password": "other"}),
        "wrong values of database.password",
    ),
    ("streams.answers", BAD, replace(FACTS, streams=f.Silent(reason="not authorized")), "not authorized"),
    ("streams.workers", BAD, streams(held={}, state="empty"), "is empty): no job runs"),
    ("streams.workers", WARN, streams(state="preparing rebalance"), "being assigned"),
    ("streams.workers", BAD, streams(held={0: "stream-0"}), "no stream worker holds partition 1"),
    (
        "streams.progress",
        BAD,
        streams(quiet={0: SECOND, 1: 40 * SECOND}),
        "no clock was written for partition 1 for 40 s",
    ),
    ("streams.decided_ahead", BAD, streams(decided_ahead={1: 3540 * SECOND}), "partition 1 are decided up to 3540 s"),
    ("streams.progress", BAD, streams(quiet={0: None, 1: None}), "no clock was written for partitions 0 and 1 yet"),
    ("streams.workers", WARN, streams(held={}, state="preparing rebalance"), "being assigned"),
    ("settings.answers", BAD, replace(FACTS, settings=f.Silent(reason="refused")), "does not answer: refused"),
    ("settings.record", BAD, settings(cluster=None), "no settings of a deployment"),
    ("settings.environment", BAD, settings(contradictions=("TIDEMILL_LEASE is 1, not 2: unset it",)), "is 1, not 2"),
    ("settings.members", WARN, streams(behind={0: "w"}), "older settings than version 3 are used by w"),
    ("settings.members", WARN, executors(replace(EXECUTOR, settings_version=2)), "are used by e-0"),
    ("settings.margins", BAD, settings(cluster=replace(CLUSTER, lease=4 * SECOND)), "lease is PT4S"),
    ("settings.classes", BAD, settings(cluster=replace(CLUSTER, timeout_classes="10s")), "name the timeout class 1m"),
    ("settings.classes", WARN, postgres(timeout_classes=("10s",)), "cannot name the timeout class 1m yet"),
    ("history.restored", BAD, restored(given=6), "versions are below 7"),
    ("history.restored", BAD, restored(noticed_at=NOW, given=9), "noticed at 2026-11-21"),
    ("history.reconciled", BAD, restored(differing=1, refusal="job 'a': no sink heals it"), "no sink heals it"),
    ("history.reconciled", WARN, restored(differing=3, differing_since=NOW - 400 * SECOND), "versions of 3 jobs"),
    ("history.reconciled", WARN, restored(compared_at=NOW - 1000 * SECOND), "no sink has compared jobs and DAGs"),
    ("executors.alive", WARN, executors(EXECUTOR, replace(EXECUTOR, ill="full")), "if they are well: e-0 is ill: full"),
    ("executors.alive", BAD, executors(replace(EXECUTOR, state="ill", ill="full")), "all runs wait; e-0 is ill: full"),
    ("executors.names", WARN, executors(replace(EXECUTOR, shares_its_name=True)), "two executors have the name"),
    ("executors.answers", BAD, replace(FACTS, executors=f.Silent(reason="no answer in time")), "does not answer"),
    (
        "executors.alive",
        WARN,
        executors(EXECUTOR, replace(EXECUTOR, name="e-1", state="silent")),
        "no heartbeats from e-1",
    ),
    ("executors.alive", BAD, executors(replace(EXECUTOR, state="draining")), "no executor accepts work"),
    ("executors.classes", BAD, executors(replace(EXECUTOR, slots={"10s": 4}, free={"10s": 4})), "for the class 1m"),
    (
        "executors.partitions",
        WARN,
        executors(held={"10s": frozenset({0}), "1m": frozenset({0, 1})}),
        "holds partition 1 of the class 10s",
    ),
    ("executors.free", WARN, executors(replace(EXECUTOR, free={"10s": 0, "1m": 4})), "every slot of the class 10s"),
    ("executors.versions", WARN, executors(EXECUTOR, replace(EXECUTOR, name="e-1", version="2")), "versions 1 and 2"),
    ("lag.answers", BAD, replace(FACTS, readers=f.Silent(reason="no answer in time")), "does not answer"),
    ("lag.sink", WARN, reader("sink", 20), "behind by 7 records; the oldest has waited for 20 s"),
    ("lag.streams", BAD, reader("streams", 90), "waited for 90 s"),
    ("lag.executors.1m", BAD, reader("executors.1m", 90), "executors of the class 1m"),
    ("s3.bucket", BAD, replace(FACTS, s3=f.S3(where="here", bucket="b", refused="(NoSuchBucket) …")), "no bucket b"),
    ("s3.bucket", BAD, replace(FACTS, s3=f.S3(where="here", bucket="b", refused="AccessDenied")), "AccessDenied"),
    ("clocks", WARN, postgres(clock=f.Offset(low=4.9, high=5.1)), "Postgres are at least 4.9 s apart"),
    ("clocks", BAD, kafka(clocks={1: f.Offset(low=-90.2, high=-90.1)}), "the broker are at least 90.1 s"),
    ("clocks", BAD, kafka(clocks={1: HERE, 2: HERE, 3: f.Offset(low=3600, high=3601)}), "broker 3 are at least 3"),
    ("history.replay", WARN, postgres(ttls=replace(TTLS, history=7 * DAY)), "keeps runs for longer (30 days)"),
]


def found_in(facts, name):
    return [each for each in findings(facts) if each.name == name]


@pytest.mark.parametrize(("name", "level", "facts", "said"), CASES)
def test_what_is_wrong_is_a_sentence_with_a_remedy(name, level, facts, said):
    (found,) = found_in(facts, name)
    assert found.level is level
    assert said in found.sentence
    assert found.remedy
    assert is_healthy([found]) is (level is WARN)


def test_a_deployment_in_which_all_is_well_has_nothing_to_remedy():
    assert [each for each in findings(FACTS) if each.level is not OK or each.remedy] == []


def test_every_name_that_is_well_can_also_be_unwell():
    assert {each.name for each in findings(FACTS)} - {"lag.executors.10s"} <= NAMES | {name for name, *_ in CASES}


def test_a_part_that_was_not_looked_at_is_not_judged():
    known = replace(FACTS, kafka=f.Silent(reason="away"), streams=None, executors=None, readers=None, restored=None)
    assert not {each.name.partition(".")[0] for each in findings(known)} & {"streams", "executors", "lag", "history"}


def test_a_password_that_differs_is_not_shown():
    (found,) = found_in(connector(config=DESIRED | {"database.password": "other"}), "connect.config")
    assert "secret" not in found.sentence
    assert "other" not in found.sentence.replace("otherwise", "")


def test_a_slow_answer_proves_no_difference_of_clocks():
    (found,) = found_in(postgres(clock=f.Offset(low=-9, high=9)), "clocks")
    assert found.level is OK
