"""Asks the brokers about consumer groups: the member that has a partition, and the committed offsets.

Each question has its own aiokafka connection: if its broker dies, an admin client of librdkafka waits for the group's
coordinator for ever, and destroying it while it waits ends the process (docs/facts.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from schemas.errors import TidemillError
from schemas.own_name import unstamped
from schemas.settings import Connections
from schemas.topics import CDC, executor_group, runs_topic
from streams.security import admin_options

T = TypeVar("T")

ANSWER_SECONDS = 5.0
"""A healthy broker answers within milliseconds; after this time the caller tries again."""
_BROKER_SECONDS = 1.5
"""If one broker does not answer, there is time to ask two others."""
_STABLE = "Stable"


class LogUnreachableError(TidemillError):
    """The brokers did not answer in time."""


class _Member(msgspec.Struct, frozen=True, kw_only=True):
    member_id: str
    """Names one process from its join to its end."""
    name: str
    """The worker's name."""
    stamp: str
    """The stamp of its machine."""
    assigned: set[tuple[str, int]]
    """(topic, partition)s."""


class Groups:
    """Thread-safe: each question has its own event loop."""

    def __init__(self, connections: Connections, stream_group: str, worker_id: str) -> None:
        self._connections = connections
        self._stream_group = stream_group
        self._worker_id = worker_id

    def holds(self, partition: int, member_id: str) -> bool | None:
        """Whether the partition is still assigned to this member (protocol O4). Asks the coordinator: a client that was
        frozen has old information. None while the group is between two assignments.
        """
        state, members = self._ask(lambda admin: _describe(admin, self._stream_group))
        if state != _STABLE or not member_id:
            return None
        wanted = (self._connections.topic(CDC), partition)
        return any(each.member_id == member_id and wanted in each.assigned for each in members)

    def held_under_this_name(self) -> set[int]:
        """The partitions of the member with this worker's name."""
        _, members = self._ask(lambda admin: _describe(admin, self._stream_group))
        topic = self._connections.topic(CDC)
        mine = (each.assigned for each in members if each.name == self._worker_id)
        return {partition for assigned in mine for name, partition in assigned if name == topic}

    def is_empty(self) -> bool:
        """Whether the group has no stream worker."""
        _, members = self._ask(lambda admin: _describe(admin, self._stream_group))
        return not members

    def is_replaced(self, member_id: str) -> bool:
        """Whether another process has joined the group with this worker's name, in place of this member."""
        _, members = self._ask(lambda admin: _describe(admin, self._stream_group))
        return any(each.name == self._worker_id and each.member_id != member_id for each in members)

    def stamps_of(self, name: str) -> set[str]:
        """The stamps of the machines that have a member with this name."""
        _, members = self._ask(lambda admin: _describe(admin, self._stream_group))
        return {each.stamp for each in members if each.name == name}

    def committed(self, timeout_class: str, partition: int) -> int:
        """The executors' committed offset in this partition of the class's topic; 0: they have claimed nothing."""
        group = executor_group(self._connections.topic_prefix, timeout_class)
        where = TopicPartition(self._connections.topic(runs_topic(timeout_class)), partition)
        offsets = self._ask(lambda admin: admin.list_consumer_group_offsets(group, partitions=[where]))
        return max(int(offsets[where].offset), 0)

    def _ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        try:
            return asyncio.run(asyncio.wait_for(self._connected(question), ANSWER_SECONDS))
        except (TimeoutError, OSError, KafkaError) as error:
            raise LogUnreachableError(f"no answer about a consumer group: {error!r}") from error

    async def _connected(self, question: Callable[[Any], Awaitable[T]]) -> T:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._connections.kafka_bootstrap,
            client_id=f"{self._worker_id}-groups",
            request_timeout_ms=int(_BROKER_SECONDS * 1000),
            **admin_options(self._connections.kafka_options),
        )
        await admin.start()
        try:
            return await question(admin)
        finally:
            await admin.close()


async def _describe(admin: Any, group: str) -> tuple[str, list[_Member]]:
    """Returns the group's state and its members."""
    (answer,) = await admin.describe_consumer_groups([group])
    _, _, state, _, _, members, *_ = answer.groups[0]
    return state, [
        _Member(member_id=member_id, name=name, stamp=stamp, assigned=_assigned(assignment))
        for member_id, client_id, _, _, assignment in members
        for name, stamp in (unstamped(client_id),)
    ]


def _assigned(data: bytes) -> set[tuple[str, int]]:
    if not data:
        return set()
    assignment = ConsumerProtocolMemberAssignment.decode(data).assignment
    return {(topic, partition) for topic, partitions in assignment for partition in partitions}
