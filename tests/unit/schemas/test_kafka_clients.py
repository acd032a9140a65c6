"""What every client of Kafka is set to for the case that a broker is gone."""

from __future__ import annotations

from schemas.settings import Connections
from streams.groups import _BROKER_SECONDS, ANSWER_SECONDS
from streams.owner_log import TRANSACTION_TIMEOUT_SECONDS


def test_a_request_to_a_broker_that_answers_nothing_leaves_a_transaction_time_to_ask_the_next_one():
    options = Connections().kafka()
    assert options["socket.timeout.ms"] + 2 * options["retry.backoff.max.ms"] < TRANSACTION_TIMEOUT_SECONDS * 1000


def test_a_question_about_a_group_has_time_for_each_of_three_brokers():
    assert 3 * _BROKER_SECONDS < ANSWER_SECONDS


def test_an_operators_option_counts_more_than_ours():
    assert Connections(kafka_options={"socket.timeout.ms": 20_000}).kafka()["socket.timeout.ms"] == 20_000
