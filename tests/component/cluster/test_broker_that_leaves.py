"""A command that has asked a broker which leaves the cluster then, asks the next leader."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, TopicPartition

from connectors.cluster import look
from connectors.offsets import offset_range
from schemas.settings import Connections
from tests.support.servers.mock_brokers import LIST_OFFSETS, running_mock_brokers

PREFIX = "asked."
TOPIC = f"{PREFIX}cluster"
LEAVES_AFTER_SECONDS = 0.7
"""By then the question waits for its answer."""
LATE_MS = 5_000


@pytest.fixture
def place():
    """The broker that leads the topic leaves while it is asked."""
    with running_mock_brokers() as brokers:
        brokers.make_topic(TOPIC)
        brokers.lead(TOPIC, 1)
        brokers.answer_next_late(1, LIST_OFFSETS, LATE_MS)
        with leaving(brokers):
            yield Connections(kafka_bootstrap=brokers.address, topic_prefix=PREFIX)


@contextmanager
def leaving(brokers):
    def leave():
        brokers.lead(TOPIC, 2)
        brokers.take_away(1)

    timer = threading.Timer(LEAVES_AFTER_SECONDS, leave)
    timer.start()
    yield
    timer.join()


def test_the_settings_of_the_deployment_are_found(place):
    assert look(place).counts == {TOPIC: 1}


def test_the_range_of_offsets_is_found(place):
    consumer = Consumer(place.kafka(group_id="looks"))
    try:
        assert offset_range(consumer, TopicPartition(TOPIC, 0)) == (0, 0)
    finally:
        consumer.close()
