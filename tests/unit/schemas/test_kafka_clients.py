"""The timeouts of every Kafka client for a broker that does not answer."""

from __future__ import annotations

from schemas.settings import Connections
from streams.group_client import BROKER_SECONDS
from streams.groups import ANSWER_SECONDS
from streams.owner_log import TRANSACTION_TIMEOUT_SECONDS


def test_a_request_to_a_silent_broker_times_out_within_the_transaction():
    options = Connections().kafka()
    assert options["socket.timeout.ms"] + 2 * options["retry.backoff.max.ms"] < TRANSACTION_TIMEOUT_SECONDS * 1000


def test_a_request_about_a_group_has_time_for_three_brokers():
    assert 3 * BROKER_SECONDS < ANSWER_SECONDS


def test_an_operators_option_overrides_ours():
    assert Connections(kafka_options={"socket.timeout.ms": 20_000}).kafka()["socket.timeout.ms"] == 20_000
