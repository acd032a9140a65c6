"""The topics on a real broker: created once, kept as configured, refused if they contradict the settings."""

from __future__ import annotations

import itertools

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from connectors.inbox import open_inbox
from connectors.topics import KafkaRefusedError, create, desired_topics, heartbeat_topic, topic_ids
from schemas.settings import Connections
from schemas.topics import TopicMismatchError
from tests.support.servers.kafka_node import running_kafka
from tests.support.waiting import eventually

_numbers = itertools.count()
TIMEOUT_SECONDS = 30


@pytest.fixture(scope="module")
def bootstrap():
    with running_kafka() as address:
        yield address


@pytest.fixture
def connections(bootstrap):
    return Connections(kafka_bootstrap=bootstrap, topic_prefix=f"t{next(_numbers)}.", partitions=3)


@pytest.fixture
def admin(connections):
    return AdminClient(connections.kafka())


def configs(admin, name):
    (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
    return {key: entry.value for key, entry in future.result(TIMEOUT_SECONDS).items()}


def test_every_topic_is_created_with_its_partitions_and_configuration(connections, admin):
    assert create(connections) == [topic.name for topic in desired_topics(connections)]
    existing = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
    for topic in desired_topics(connections):
        assert len(existing[topic.name].partitions) == topic.partitions
        assert topic.config.items() <= configs(admin, topic.name).items()


def test_all_topics_have_append_time_and_accept_large_records(connections, admin):
    create(connections)
    for name in (connections.topic("cdc"), connections.topic("runs.10s"), heartbeat_topic(connections)):
        found = configs(admin, name)
        assert found["message.timestamp.type"] == "LogAppendTime"
        assert found["max.message.bytes"] == str(16 * 1024 * 1024)


def test_the_state_is_compacted_soon_and_never_deleted(connections, admin):
    create(connections)
    found = configs(admin, connections.topic("state"))
    assert found["cleanup.policy"] == "compact"
    assert found["segment.bytes"] == str(32 * 1024 * 1024)
    assert found["segment.ms"] == str(60 * 1000)
    assert found["min.cleanable.dirty.ratio"] == "0.1"
    assert int(found["max.compaction.lag.ms"]) <= 3_600_000


def test_creating_topics_again_changes_nothing(connections):
    create(connections)
    ids = topic_ids(connections)
    assert create(connections) == []
    assert topic_ids(connections) == ids


def test_a_changed_configuration_is_corrected(connections, admin):
    create(connections)
    name = connections.topic("cdc")
    change = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(TIMEOUT_SECONDS)
    # The controller acknowledges a change before the broker knows it; a busy broker takes a while.
    eventually(lambda: configs(admin, name)["retention.ms"] == "1000", TIMEOUT_SECONDS, "the change")
    assert create(connections) == [name]
    right = str(7 * 24 * 3_600_000)
    eventually(lambda: configs(admin, name)["retention.ms"] == right, TIMEOUT_SECONDS, "the repair")


def test_another_number_of_partitions_is_refused_with_a_sentence(connections):
    create(connections)
    other = connections.model_copy(update={"partitions": 5})
    with pytest.raises(TopicMismatchError, match=r"cdc has 3 partitions, .* is 5"):
        create(other)


def test_a_missing_topic_is_created(connections):
    create(connections)
    more = connections.model_copy(update={"timeout_classes": "10s,1m,1h,24h"})
    assert create(more) == [connections.topic("runs.24h")]


def test_a_recreated_topic_has_another_id(connections, admin):
    create(connections)
    name = connections.topic("events")
    before = topic_ids(connections)
    for future in admin.delete_topics([name], operation_timeout=TIMEOUT_SECONDS).values():
        future.result(TIMEOUT_SECONDS)
    eventually(lambda: name not in admin.list_topics(timeout=TIMEOUT_SECONDS).topics, what="the topic's end")
    assert create(connections) == [name]
    after = topic_ids(connections)
    assert after.keys() == before.keys()
    assert {each for each in after if after[each] != before[each]} == {name}


def test_the_sink_does_not_wait_for_a_topic_that_has_no_partitions(connections):
    create(connections)
    status, missing = connections.topic("status"), connections.topic("nobody-made-it")
    with open_inbox(connections, "sink") as inbox:
        assert inbox.partitions([status]) == [(status, number) for number in range(3)]
        with pytest.raises(KafkaRefusedError, match=f"topic {missing} has no partitions"):
            inbox.partitions([status, missing])
