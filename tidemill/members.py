"""Reads which stream worker holds which partition, from their consumer group."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from connectors.owner_clocks import Seen
from schemas.cluster import Margins
from schemas.heartbeat import Heartbeat
from schemas.settings import Connections, read
from schemas.topics import CDC
from streams.group_client import describe
from streams.settings import StreamSettings
from tidemill.lag import ask_groups

_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    group: str
    state: str
    """The consumer group's state: stable, empty, dead, preparing rebalance, completing rebalance."""
    held: dict[int, str]
    """The worker of each partition that has one."""


def workers(target: Connections) -> Workers:
    """Raises `BrokersError`."""
    group = read(StreamSettings).stream_group
    found = ask_groups(target, lambda admin: describe(admin, group))
    return Workers(
        group=group,
        state=_INNER_CAPITAL.sub(" ", found.state).lower(),
        held={
            partition: member.name
            for member in found.members
            for topic, partition in member.assigned
            if topic == target.topic(CDC)
        },
    )


def margins_of(executor: Heartbeat) -> Margins:
    return Margins(name=executor.name, lease_margin=executor.margin, heartbeat_interval=executor.interval)


def behind(version: int, held: Mapping[int, str], clocks: Mapping[int, Seen]) -> dict[int, str]:
    """The partitions whose workers use older settings, with these workers. A starting worker reads the newest."""
    return {
        number: worker
        for number, worker in sorted(held.items())
        if number in clocks and clocks[number].clock.cluster_version < version
    }
