"""Stops aiokafka from creating missing topics: the broker would give them another number of partitions."""

from __future__ import annotations

from functools import partial

import aiokafka.client


def forbid_new_topics() -> None:
    """Patch aiokafka in this process, because it has no option for this; for librdkafka see `schemas.settings`."""
    request = aiokafka.client.MetadataRequest
    aiokafka.client.MetadataRequest = partial(request, allow_auto_topic_creation=False)
