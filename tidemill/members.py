"""Reads which stream worker holds which partition, from their consumer group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka.admin import AdminClient

from connectors.owner_clocks import Seen
from schemas.cluster import Margins
from schemas.heartbeat import Heartbeat
from schemas.settings import Connections, read
from schemas.topics import CDC
from streams.settings import StreamSettings

ANSWER_SECONDS = 5.0


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    group: str
    state: str
    """The consumer group's state, in lower case: stable, empty, dead, …"""
    held: dict[int, str]
    """The worker of each partition that has one."""


def workers(target: Connections, admin: AdminClient) -> Workers:
    group = read(StreamSettings).stream_group
    found = described(admin, group)
    return Workers(
        group=group,
        state=found.state.name.lower(),
        held={
            each.partition: member.group_instance_id or member.client_id
            for member in found.members
            for each in member.assignment.topic_partitions
            if each.topic == target.topic(CDC)
        },
    )


def described(admin: AdminClient, group: str) -> Any:
    return admin.describe_consumer_groups([group], request_timeout=ANSWER_SECONDS)[group].result(2 * ANSWER_SECONDS)


def margins_of(executor: Heartbeat) -> Margins:
    return Margins(name=executor.name, lease_margin=executor.margin, heartbeat_interval=executor.interval)


def behind(version: int, held: Mapping[int, str], clocks: Mapping[int, Seen]) -> dict[int, str]:
    """The partitions whose workers use older settings, with these workers. A starting worker reads the newest."""
    return {
        number: worker
        for number, worker in sorted(held.items())
        if number in clocks and clocks[number].clock.cluster_version < version
    }
