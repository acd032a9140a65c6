"""Keeps aiokafka from having a broker make a topic that is missing: it would have another number of partitions."""

from __future__ import annotations

from functools import partial

import aiokafka.client


def forbid_new_topics() -> None:
    """In this process: aiokafka has no option for it (librdkafka has, see `schemas.settings`)."""
    asked = aiokafka.client.MetadataRequest
    aiokafka.client.MetadataRequest = partial(asked, allow_auto_topic_creation=False)
