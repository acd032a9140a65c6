"""An existing cluster, and all that docs/cluster.md, upgrade.md and passwords.md tell its operator to do there.

Three brokers with TLS, SCRAM and an authorizer that denies by default, three replicas, no topic by itself; Postgres
with TLS and a plain owner; Connect in distributed mode. A job runs each second while the parts are restarted in turn.
"""

from __future__ import annotations

import re
import urllib.request
from datetime import timedelta
from itertools import pairwise

import orjson
import psycopg
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from infra.brokers import NUMBERS
from schemas.partition import partition_of
from schemas.settings import Connections
from schemas.topics import EVENTS
from streams.clock import cluster_clock
from streams.groups import Groups, LogUnreachableError
from streams.owner.session_calls import Read
from streams.owner_log import OwnerLog
from tests.support.operator import kafka_audit
from tests.support.operator.brokers import START_SECONDS, client
from tests.support.operator.cluster import running_site
from tests.support.operator.document_runner import HOSTS, SHARED, operator_of, variables
from tests.support.waiting import eventually
from tests.support.web_site import Site as Page

PARTITIONS = 4
RUN_SECONDS = 60
CANARY_SECONDS = 150
ANSWER_SECONDS = 10
NEXT_LEADER_SECONDS = 30
"""Ten times the session timeout of a broker here."""
SECOND = timedelta(seconds=1)
TICK = (
    "job put tick --schedule '* * * * * *' --overlap allow_all --catchup all "
    "--command 'echo $TIDEMILL_RUN_ID >> {ticks}' --set unveil='{{rw:{ticks}}}'"
)
ONLY_WITHOUT_S3 = {("User:tidemill-executors", "READ", "TOPIC", "LITERAL", "tidemill.executors")}
"""An executor reads the heartbeats of the others only while it does not reach S3."""


@pytest.fixture(scope="module")
def site():
    with running_site() as found:
        yield found


@pytest.fixture(scope="module")
def operator(site):
    """An operator who has followed docs/cluster.md, and has a job that writes a line each second."""
    with operator_of(site) as found:
        said = found.follow("cluster.md")
        assert "0 bad" in said
        assert "hello#" in said
        ticks = ticks_of(site)
        ticks.parent.mkdir()
        ticks.touch()
        ticks.chmod(0o666)
        found.shell(f"tidemill {TICK.format(ticks=ticks)}".replace("tidemill", tidemill(site), 1))
        yield found


def ticks_of(site):
    return site.folder / SHARED / "ticks"


def tidemill(site):
    return f"{site.names['/opt/tidemill/bin']}/tidemill"


def dsn(site):
    return variables((site.folder / "operator.env").read_text())["TIDEMILL_POSTGRES_DSN"]


def runs_of(site, job_id):
    with psycopg.connect(dsn(site)) as connection:
        return connection.execute(
            "select nominal_time, state from tidemill.runs where job_id = %s order by nominal_time", [job_id]
        ).fetchall()


def assert_each_second_ran_once(site):
    """Up to now no occurrence is missing, and none ran twice."""
    with psycopg.connect(dsn(site)) as connection:
        (until,) = connection.execute("select clock_timestamp()").fetchone()

    def ended():
        seen = runs_of(site, "tick")
        return seen[-1][0] > until and all(state == "succeeded" for at, state in seen if at <= until)

    eventually(ended, RUN_SECONDS, lambda: f"the end of each run until {until}, of {runs_of(site, 'tick')[-9:]}")
    times = [at for at, _ in runs_of(site, "tick")]
    assert {later - at for at, later in pairwise(times)} == {SECOND}
    lines = ticks_of(site).read_text().splitlines()
    assert len(lines) == len(set(lines))


def test_the_password_of_postgres_is_neither_in_connect_nor_in_its_topic(site, operator):
    where = f"{site.names['http://connect.example.com:8083']}/connectors/tidemill-source/config"
    with urllib.request.urlopen(where) as answer:
        config = orjson.loads(answer.read())
    assert config["database.password"].startswith("${file:")
    assert "postgres-secret" not in "".join(config.values())
    written = b"".join(read_all(site, "tidemill-connect.config"))
    assert b"tidemill-source" in written
    assert b"postgres-secret" not in written


def read_all(site, topic):
    """All records of a topic with one partition."""
    consumer = Consumer({**site.brokers.login, "group.id": "test", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        while not (message := consumer.poll(ANSWER_SECONDS)).error():
            yield message.value() or b""
    finally:
        consumer.close()


@pytest.mark.parametrize("distance", [0, 1], ids=["its partition", "another partition"])
def test_another_program_requests_a_run_by_a_record_in(site, operator, distance):
    request_id = f"bill-{distance}"
    producer = Producer({**login(site, "billing", "billing-secret"), "acks": "all"})
    partition = (partition_of("hello", PARTITIONS) + distance) % PARTITIONS
    request = orjson.dumps({"request_id": request_id, "job_id": "hello"})
    producer.produce("tidemill.requests", request, key="hello", partition=partition)
    assert producer.flush(ANSWER_SECONDS) == 0
    eventually(lambda: (request_id, "succeeded") in requests_of(site, "hello"), RUN_SECONDS, request_id)


def requests_of(site, job_id):
    """The requests that became runs, with their states."""
    with psycopg.connect(dsn(site)) as connection:
        return connection.execute(
            "select split_part(run_id, '#', 2), state from tidemill.runs where job_id = %s", [job_id]
        ).fetchall()


def login(site, user, password):
    return {"bootstrap.servers": site.brokers.bootstrap, **client(user, password, site.folder / "ca.pem")}


def test_the_web_page_shows_the_fleet_and_its_button_runs_a_job(site, operator):
    page = Page(site.ports.of("web"))
    assert page.get("/fleet").status == 401
    user = {"X-Forwarded-User": "ann"}
    fleet = eventually(lambda: shown_fleet(page.get("/fleet", **user).text), RUN_SECONDS, "both executors")
    assert 'class="problem"' not in fleet
    done = page.post("/jobs/hello/run", {"payload": ""}, **user)
    assert done.status == 303
    (request_id,) = re.findall(r"asked_run=hello%23(\w+)", done.headers["location"])
    eventually(lambda: (request_id, "succeeded") in requests_of(site, "hello"), RUN_SECONDS, request_id)


def shown_fleet(text):
    return text if all(each in text for each in HOSTS) else None


def test_metrics_and_traces_are_made_of_all_runs_and_a_canary_passes_every_hop(site, operator):
    eventually(lambda: {"hello#bill-0", "hello#bill-1"} <= site.collector.runs, RUN_SECONDS, "their traces")
    ended = 'tidemill_job_runs_total{job_id="hello",state="succeeded"}'
    eventually(lambda: figure(operator, "connectors.metrics", ended) >= len(runs_of(site, "hello")), RUN_SECONDS, ended)
    eventually(lambda: canaries(operator, "runs") > canaries(operator, "lost"), CANARY_SECONDS, "a canary run")
    for part in ("postgres", "kafka", "connect", "s3"):
        assert figure(operator, "tidemill.monitor", f'tidemill_part_up{{part="{part}"}}') == 1


def canaries(operator, what):
    return figure(operator, "tidemill.monitor", f"tidemill_canary_{what}_total")


def figure(operator, module, series):
    with urllib.request.urlopen(f"{operator.address(f'{module}@{HOSTS[0]}')}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    values = [line.removeprefix(f"{series} ") for line in lines if line.startswith(f"{series} ")]
    return float(values[0]) if values else None


def test_migrating_again_corrects_a_setting_of_a_topic(site, operator):
    changed = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, "tidemill.deadletter", incremental_configs=[changed])
    for future in site.brokers.admin.incremental_alter_configs([resource]).values():
        future.result(ANSWER_SECONDS)
    assert "Topics: tidemill.deadletter." in operator.shell(f"{tidemill(site)} migrate")


def test_each_second_runs_once_while_brokers_and_postgres_are_killed_and_restarted(site, operator):
    log = owner_log(site)
    assert has_read(log)
    killed = site.brokers.leader("tidemill.events", 0)
    site.brokers.kill(killed)
    eventually(lambda: has_read(log), NEXT_LEADER_SECONDS, "an answer of the next leader")
    site.brokers.start(killed)
    eventually(site.brokers.are_in_sync, START_SECONDS, f"the return of broker {killed}")
    for number in set(NUMBERS) - {killed}:
        site.brokers.stop(number)
        site.brokers.start(number)
        eventually(site.brokers.are_in_sync, START_SECONDS, f"the return of broker {number}")
    site.restart_postgres()
    assert_each_second_ran_once(site)
    eventually(
        lambda: knows_the_readers(operator), RUN_SECONDS, lambda: operator.log_text(f"tidemill.monitor@{HOSTS[0]}")
    )


def knows_the_readers(operator):
    """Whether the monitor has asked the brokers about each consumer group since they were restarted."""
    series = [f'tidemill_waiting_records{{reader="{each}"}}' for each in ("sink", "streams", "executors.10s")]
    return all(
        figure(operator, "tidemill.monitor", each) is not None for each in [*series, "tidemill_unowned_partitions"]
    )


def owner_log(site):
    environment = variables((site.folder / "streams.env").read_text())
    connections = Connections(
        kafka_bootstrap=site.brokers.bootstrap, kafka_options=orjson.loads(environment["TIDEMILL_KAFKA_OPTIONS"])
    )
    return OwnerLog(connections, 0, "tidemill-streams-0", cluster_clock(connections), Groups(connections, "", ""))


def has_read(log):
    try:
        return log.read(Read(topic=EVENTS, after=-1, until=None, records=1, bytes=1))
    except (KafkaException, LogUnreachableError):
        return None


def test_each_second_runs_once_while_passwords_change_and_every_part_is_upgraded(site, operator):
    old = variables((site.folder / "connectors.supervisor.env").read_text())["TIDEMILL_POSTGRES_DSN"]
    assert "0 bad" in operator.follow("passwords.md", "upgrade.md")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old)
    with pytest.raises(KafkaException):
        Producer(login(site, "tidemill-streams", "streams-secret")).list_topics(timeout=ANSWER_SECONDS / 5)
    operator.shell(f"{tidemill(site)} run hello --wait")
    assert_each_second_ran_once(site)


def test_the_brokers_denied_nothing_and_every_acl_was_used(site, operator):
    said = kafka_audit.read(site.brokers.audit(), {each.principal for each in operator.allowed})
    assert said.denied == set(), "\n".join(sorted(said.denied))
    assert {kafka_audit.rule(each) for each in operator.allowed} - said.used == ONLY_WITHOUT_S3
