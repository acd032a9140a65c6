"""The real servers of the local stack: each answers and restarts, no data is lost, no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from urllib.request import urlopen

import boto3
import orjson
import psycopg
import pytest
from botocore.exceptions import ClientError
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from infra import stack
from infra import status as states
from infra.errors import StackError
from infra.options import StackOptions
from schemas.settings import Connections
from tests.support.waiting import eventually

LATER_START_SECONDS = 60
"""Three times the promised 20 s, as tests may share the machine."""
STOP_SECONDS = 60
RESTART_SECONDS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a stack that runs whenever a test starts. Under root, Postgres's user cannot enter it."""
    data = tmp_path_factory.mktemp("servers")
    start(data)
    yield data
    stack.stop(data, STOP_SECONDS)


def start(data):
    return stack.start_detached(StackOptions(data=data, servers_only=True, observe=True, until_parent_exits=True))


def connections(data):
    values = {name.removeprefix("TIDEMILL_").lower(): value for name, value in stack.environment(data).items()}
    return Connections(**{**values, "kafka_options": orjson.loads(values["kafka_options"])})


def process(data, name):
    return next(each for each in stack.status(data).processes if each["name"] == name)


def s3(place, **other):
    keys = {"aws_access_key_id": place.s3_access_key, "aws_secret_access_key": place.s3_secret_key, **other}
    return boto3.client("s3", endpoint_url=place.s3_endpoint, region_name=place.s3_region, **keys)


def test_every_server_is_running_at_a_port_of_this_machine(folder):
    status = stack.status(folder)
    assert [each["name"] for each in status.processes] == ["postgres", "kafka", "connect", "s3", "prometheus"]
    assert {each["state"] for each in status.processes} == {"running"}
    for each in status.processes:
        assert f"127.0.0.1:{each['port']}" in status.addresses[each["name"]]


def test_postgres_is_made_for_logical_decoding_and_asks_for_a_password(folder):
    dsn = connections(folder).postgres_dsn
    with psycopg.connect(dsn) as connection:
        assert connection.info.server_version // 10_000 == 18
        assert connection.execute("show wal_level").fetchone() == ("logical",)
        assert connection.execute("show max_slot_wal_keep_size").fetchone() == ("4GB",)
        assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)
        connection.execute("select pg_create_logical_replication_slot('probe', 'pgoutput', true)")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(dsn.replace(psycopg.conninfo.conninfo_to_dict(dsn)["password"], "wrong"))


def test_kafka_makes_no_topics_by_itself_and_stamps_records_with_its_own_time(folder):
    admin = AdminClient(connections(folder).kafka())
    resource = ConfigResource(ResourceType.BROKER, "1")
    config = admin.describe_configs([resource])[resource].result(timeout=10)
    assert config["auto.create.topics.enable"].value == "false"
    assert config["log.message.timestamp.type"].value == "LogAppendTime"
    assert config["group.consumer.session.timeout.ms"].value == "10000"
    assert config["message.max.bytes"].value == str(16 * 1024 * 1024)


def test_connect_knows_debezium(folder):
    with urlopen(connections(folder).connect_url + "/connector-plugins", timeout=10) as answer:
        plugins = {each["class"]: each["version"] for each in orjson.loads(answer.read())}
    assert plugins["io.debezium.connector.postgresql.PostgresConnector"] == "3.7.0.Final"


def test_s3_stores_objects_only_for_clients_with_the_keys(folder):
    place = connections(folder)
    client = s3(place)
    client.create_bucket(Bucket="probe")
    client.put_object(Bucket="probe", Key="a/b", Body=b"content")
    assert client.get_object(Bucket="probe", Key="a/b")["Body"].read() == b"content"
    with pytest.raises(ClientError):
        s3(place, aws_secret_access_key="wrong").get_object(Bucket="probe", Key="a/b")


def test_a_second_stack_in_the_same_folder_is_refused(folder):
    with pytest.raises(StackError, match="already runs"):
        start(folder)


@pytest.mark.parametrize("name", ["postgres", "kafka", "connect", "s3", "prometheus"])
def test_a_server_that_is_killed_is_started_again_at_the_same_address(folder, name):
    before = process(folder, name)
    os.kill(before["pid"], signal.SIGKILL)

    def back():
        now = process(folder, name)
        return now["state"] == "running" and now["pid"] != before["pid"] and now

    assert eventually(back, RESTART_SECONDS)["port"] == before["port"]
    eventually(lambda: answers(folder, name), RESTART_SECONDS)
    assert f"{name} ended (killed by SIGKILL)" in (folder / "logs" / "stack.log").read_text()


def answers(data, name):
    place = connections(data)
    try:
        match name:
            case "postgres":
                psycopg.connect(place.postgres_dsn).close()
            case "kafka":
                AdminClient(place.kafka()).list_topics(timeout=5)
            case "connect":
                urlopen(place.connect_url + "/connectors", timeout=5).close()
            case "s3":
                s3(place).list_buckets()
            case "prometheus":
                urlopen(stack.status(data).addresses[name] + "/api/v1/query?query=1", timeout=5).close()
    except Exception:  # noqa: BLE001 - whatever a client calls it
        return False
    return True


def write_everywhere(place):
    with psycopg.connect(place.postgres_dsn) as connection:
        connection.execute("create table kept as select 42 as answer")
    client = s3(place)
    client.create_bucket(Bucket="kept")
    client.put_object(Bucket="kept", Key="key", Body=b"42")
    admin = AdminClient(place.kafka())
    admin.create_topics([NewTopic("kept", 1)])["kept"].result(timeout=10)
    producer = Producer(place.kafka(partitioner="murmur2_random"))
    producer.produce("kept", b"42")
    assert producer.flush(10) == 0


def assert_all_is_there(place):
    with psycopg.connect(place.postgres_dsn) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)
    assert s3(place).get_object(Bucket="kept", Key="key")["Body"].read() == b"42"
    consumer = Consumer(place.kafka(group_id="unused"))
    consumer.assign([TopicPartition("kept", 0, 0)])
    record = eventually(lambda: consumer.poll(0.5), 30)
    assert record.value() == b"42"
    consumer.close()


def test_killing_the_supervisor_leaves_no_process_and_loses_no_data(folder):
    before = stack.status(folder)
    write_everywhere(connections(folder))
    os.kill(before.supervisor.pid, signal.SIGKILL)
    eventually(lambda: not states.leftovers(before), 15, "the end of every part")
    assert stack.status(folder) is None
    after = start(folder)
    assert after.addresses == before.addresses
    assert_all_is_there(connections(folder))


def test_a_stopped_stack_leaves_no_process_and_keeps_all_data(folder):
    before = stack.status(folder)
    assert stack.stop(folder, STOP_SECONDS) is True
    assert states.leftovers(before) == ()
    assert stack.stop(folder, STOP_SECONDS) is False
    began = time.monotonic()
    start(folder)
    assert time.monotonic() - began < LATER_START_SECONDS
    assert_all_is_there(connections(folder))


def test_a_second_stack_has_its_own_ports_and_ends_with_its_parent_process(folder, tmp_path):
    program = f"""
import time
from pathlib import Path
from infra.options import StackOptions
from infra.stack import start_detached
start_detached(StackOptions(data=Path({str(tmp_path)!r}), servers_only=True, until_parent_exits=True))
print("up", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "up\n"
        other = stack.status(tmp_path)
        ports = [each["port"] for status in (other, stack.status(folder)) for each in status.processes]
        assert len(ports) == len(set(ports))
        assert answers(folder, "kafka")
        assert answers(tmp_path, "kafka")
        parent.kill()
    eventually(lambda: not states.leftovers(other), STOP_SECONDS, "the end of the second stack")
    assert stack.status(folder).ready
