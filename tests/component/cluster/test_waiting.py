"""How long the oldest record has waited for a reader, on a real broker."""

from __future__ import annotations

from datetime import timedelta

import pytest
from confluent_kafka import Producer

from connectors.cluster import establish
from schemas.settings import AgreedSettings, Connections
from schemas.times import from_epoch_ms
from schemas.topics import CDC, STATUS
from tests.support.servers.kafka_node import running_kafka
from tests.support.servers.mock_brokers import (
    COORDINATOR_LOAD_IN_PROGRESS,
    COORDINATOR_NOT_AVAILABLE,
    GROUP_AUTHORIZATION_FAILED,
    NOT_COORDINATOR,
    OFFSET_FETCH,
    running_mock_brokers,
)
from tidemill.lag import COUNTED, BrokersError, sink_waits_since, waiting_records

SECONDS = 30


@pytest.fixture
def place(tables_dsn):
    with running_kafka() as address:
        made = Connections(kafka_bootstrap=address, postgres_dsn=tables_dsn)
        establish(made.model_copy(update={"partitions": 3}), AgreedSettings())
        yield made


@pytest.fixture
def brokers():
    with running_mock_brokers() as made:
        yield made


@pytest.fixture
def at_mock_brokers(brokers, tables_dsn):
    made = Connections(kafka_bootstrap=brokers.address, postgres_dsn=tables_dsn)
    brokers.make_topic(made.topic(CDC))
    return made


def append(place, partition, number, topic=STATUS):
    """Append records; returns the append time of the first."""
    appended = []
    producer = Producer(place.kafka())
    for each in range(number):
        key = f"run-{each}".encode()
        producer.produce(
            place.topic(topic), b"x" * 200, key, partition, on_delivery=lambda *sent: appended.append(sent)
        )
        producer.poll(0)
    assert producer.flush(SECONDS) == 0
    assert [error for error, _ in appended if error] == []
    return from_epoch_ms(appended[0][1].timestamp()[1])


def test_the_oldest_record_is_found_behind_many_records_of_other_partitions(place):
    assert sink_waits_since(place) is None
    oldest = append(place, 1, 1)
    for partition in (0, 2):
        append(place, partition, 2 * COUNTED)
    assert abs(sink_waits_since(place) - oldest) < timedelta(milliseconds=2)
    assert waiting_records(place)["sink"].records == 4 * COUNTED + 1


def test_a_coordinator_that_moves_while_it_is_asked_is_asked_again(at_mock_brokers, brokers):
    append(at_mock_brokers, 0, 3, CDC)
    brokers.answer_next(OFFSET_FETCH, NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS)
    assert waiting_records(at_mock_brokers)["streams"].records == 3


def test_a_coordinator_that_refuses_is_told_and_not_taken_for_one_without_offsets(at_mock_brokers, brokers):
    append(at_mock_brokers, 0, 3, CDC)
    brokers.answer_next(OFFSET_FETCH, GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(BrokersError, match="GroupAuthorizationFailed"):
        waiting_records(at_mock_brokers)
