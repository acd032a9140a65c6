"""No request of aiokafka creates a topic."""

from __future__ import annotations

import aiokafka.client
from aiokafka.protocol.metadata import MetadataRequest, MetadataRequest_v5

from streams.no_new_topics import forbid_new_topics


def test_a_question_about_a_topic_that_is_missing_does_not_make_it(monkeypatch):
    monkeypatch.setattr(aiokafka.client, "MetadataRequest", MetadataRequest)
    assert MetadataRequest(["missing"]).build(MetadataRequest_v5).allow_auto_topic_creation is True
    forbid_new_topics()
    built = aiokafka.client.MetadataRequest(["missing"]).build(MetadataRequest_v5)
    assert (built.topics, built.allow_auto_topic_creation) == (["missing"], False)
