"""Definitions that are lost on their way, on a whole stack: each loss heals by itself, or stops loudly."""

from __future__ import annotations

import signal

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors import connect_api, topics
from connectors.apply import apply_connector
from connectors.held_definitions import HeldDefinitions
from connectors.offsets import offset_range
from connectors.owner_clocks import reader_of
from connectors.settings import SourceSettings
from schemas.topics import CDC
from tests.support.restorable_stack import RestorableStack
from tests.support.waiting import eventually

HEALED_SECONDS = 180
"""A minute, the connector's next confirmation, a round of the sink; three times that on a busy machine."""
TOPIC_SECONDS = 30
JOBS = ("edited", "deleted", "kept")
WORKER = "stream-0"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    made = RestorableStack(tmp_path_factory.mktemp("reconciled"))
    yield made
    made.stop()


@pytest.fixture
def client(deployment):
    """Three jobs that the streams hold."""
    client = deployment.client
    for job in JOBS:
        client.put_job(job, client.put_script(job, "true"))
    eventually(lambda: agree(client), HEALED_SECONDS, "the streams hold the jobs")
    yield client
    client = deployment.client  # a restore has made a new one
    for job in JOBS:
        client.delete_job(job)
    eventually(lambda: agree(client), HEALED_SECONDS, "the streams hold no job")


def agree(client) -> bool:
    """Whether the streams hold the versions of Postgres, and no other job."""
    held = HeldDefinitions()
    held.read(client.connections)
    there = {owner: version.version for owner in held.owners() if (version := held.version(owner))}
    return there == {each["job_id"]: each["version"] for each in client.rows("select job_id, version from jobs")}


def change(client):
    client.edit_job("edited", args=["changed"])
    client.delete_job("deleted")


def healings(client):
    return client.rows("select reason from problems where code = 'definitions_healed' order by at")


def captured(client):
    """The end of each partition of `cdc`."""
    topic, partitions = client.connections.topic(CDC), range(client.connections.partitions)
    reader = reader_of(client.connections)()
    try:
        return {number: offset_range(reader, TopicPartition(topic, number))[1] for number in partitions}
    finally:
        reader.close()


def change_while_no_worker_reads(client):
    """Freeze the stream worker, and change jobs; returns its pid when `cdc` has the changes."""
    pid, before = client.signal(WORKER, signal.SIGSTOP), sum(captured(client).values())
    change(client)
    eventually(lambda: sum(captured(client).values()) >= before + 2, HEALED_SECONDS, "both changes in cdc")
    return pid


def test_changes_and_deletions_that_were_never_captured_are_healed_and_counted(client):
    """Nobody takes a snapshot, because the connector and its slot go on as if nothing had been lost."""
    before = len(healings(client))
    client.database.execute("alter publication tidemill drop table tidemill.definitions")
    change(client)
    client.database.execute("alter publication tidemill add table tidemill.definitions")
    assert not agree(client)
    eventually(lambda: agree(client), HEALED_SECONDS, "the healing")
    found = healings(client)
    assert len(found) == before + 1
    assert "job 'deleted', job 'edited'" in found[-1]["reason"]
    eventually(
        lambda: client.rows("select from reconciliation where differing = 0 and healed > 0"), HEALED_SECONDS, "peace"
    )


def test_a_lost_slot_loses_no_change_and_no_deletion(client):
    connections, settings = client.connections, SourceSettings()
    connect_api.stop_connector(connections.connect_url, settings.connector_name)
    slot = "select active from pg_replication_slots where slot_name = %s"
    eventually(lambda: not client.rows(slot, [settings.slot_name])[0]["active"], HEALED_SECONDS, "an idle slot")
    change(client)
    client.database.execute("select pg_drop_replication_slot(%s)", [settings.slot_name])
    client.database.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [settings.slot_name])
    connect_api.resume_connector(connections.connect_url, settings.connector_name)
    apply_connector(connections, settings)
    eventually(lambda: agree(client), HEALED_SECONDS, "the healing")


def test_a_truncated_log_is_healed(client):
    before = len(healings(client))
    pid = change_while_no_worker_reads(client)
    topic, admin = client.connections.topic(CDC), AdminClient(client.connections.kafka())
    asked = [TopicPartition(topic, number, end) for number, end in captured(client).items()]
    for future in admin.delete_records(asked).values():
        future.result(TOPIC_SECONDS)
    client.kill(WORKER)
    client.wait_for_restart(WORKER, pid)
    eventually(lambda: agree(client), HEALED_SECONDS, "the healing")
    assert len(healings(client)) == before + 1


def test_a_recreated_topic_is_healed(client):
    before = len(healings(client))
    pid = change_while_no_worker_reads(client)
    topic, admin = client.connections.topic(CDC), AdminClient(client.connections.kafka())
    admin.delete_topics([topic])[topic].result(TOPIC_SECONDS)
    eventually(lambda: topic not in admin.list_topics(timeout=TOPIC_SECONDS).topics, TOPIC_SECONDS, "no topic")
    topics.create(client.connections)
    client.kill(WORKER)
    client.wait_for_restart(WORKER, pid)
    eventually(lambda: agree(client), HEALED_SECONDS, "the healing")
    assert len(healings(client)) == before + 1


def test_a_restored_backup_is_not_healed_against_the_streams_but_reported(client, deployment):
    deployment.back_up()
    client.edit_job("edited", args=["after the backup"])
    eventually(lambda: agree(client), HEALED_SECONDS, "the edit arrives")
    deployment.restore()
    client = deployment.client
    refused = "select refusal from reconciliation where refusal like '%tidemill restored%'"
    eventually(lambda: client.rows(refused), HEALED_SECONDS, "the refusal")
    assert not agree(client)
    assert deployment.tidemill("restored") == 0
    eventually(lambda: agree(client), HEALED_SECONDS, "the repair")
    quiet = "select from reconciliation where refusal is null and differing = 0"
    eventually(lambda: client.rows(quiet), HEALED_SECONDS, "no refusal")
