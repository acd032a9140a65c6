"""The topics that owners read: a recreated topic, and how long brokers keep accepted records."""

from __future__ import annotations

from schemas.settings import AgreedSettings
from schemas.topics import REQUESTS, Cleanup, all_topics
from streams.owner.intake import INPUT_TOPICS
from tests.support.simulated.driven_session import TOPIC_IDS
from tests.support.simulated.log import Log


def test_a_recreated_input_topic_is_read_from_its_start(monkeypatch) -> None:
    log = Log()
    log.define(overlap_policy="allow_all")
    log.request_by_topic("old")
    log.turn(log.recover())
    log.inputs[REQUESTS].clear()
    monkeypatch.setitem(TOPIC_IDS, REQUESTS, "another-id")
    log.request_by_topic("new")
    log.turn(log.recover())
    assert log.statuses().keys() == {"job#old", "job#new"}


def test_no_input_topic_is_compacted_and_each_is_kept_as_long_as_a_request_id() -> None:
    topics = {each.name: each for each in all_topics(("10s",))}
    for name in INPUT_TOPICS:
        assert topics[name].cleanup is Cleanup.DELETE
        assert (topics[name].retention or 0) >= AgreedSettings().request_ttl
