"""Asks the brokers about consumer groups: their state, their members, and their committed offsets.

Each question has its own aiokafka connection. An admin client of librdkafka ends the process if a group's coordinator
moves while it is asked for committed offsets, and may never find the coordinator again after a broker's death
(docs/facts.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from schemas.errors import TidemillError
from schemas.own_name import unstamped
from schemas.settings import Connections
from streams.security import admin_options

T = TypeVar("T")
Offsets = dict[tuple[str, int], int]
"""The next offset by (topic, partition)."""

BROKER_SECONDS = 1.5
"""A healthy broker answers within milliseconds. If one does not, there is time to ask others."""
_AGAIN_SECONDS = 0.1


class GroupsUnreachableError(TidemillError):
    """The brokers did not answer in time, or refused."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    member_id: str
    """Names one process from its join to its end."""
    name: str
    """The worker's name."""
    stamp: str
    """The stamp of its machine."""
    assigned: set[tuple[str, int]]
    """(topic, partition)s."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    """As Kafka writes it: Stable, Empty, Dead, …"""
    members: list[Member]


def ask(connections: Connections, client_id: str, question: Callable[[Any], Awaitable[T]], seconds: float) -> T:
    """Ask `question`, and again after an error that passes, such as a coordinator that moved. Thread-safe: it has its
    own event loop. Raises `GroupsUnreachableError`.
    """
    try:
        return asyncio.run(asyncio.wait_for(_connected(connections, client_id, question), seconds))
    except TimeoutError as error:
        raise GroupsUnreachableError(f"no answer about a consumer group within {seconds:g} s") from error
    except (OSError, KafkaError) as error:
        raise GroupsUnreachableError(f"no answer about a consumer group: {error!r}") from error


async def describe(admin: Any, group: str) -> Group:
    """A group that does not exist is Dead."""
    (answer,) = await admin.describe_consumer_groups([group])
    code, _, state, _, _, members, *_ = answer.groups[0]
    _check(code)
    found = [
        Member(member_id=member_id, name=name, stamp=stamp, assigned=_assigned(assignment))
        for member_id, client_id, _, _, assignment in members
        for name, stamp in (unstamped(client_id),)
    ]
    return Group(state=state, members=found)


async def committed(admin: Any, group: str, partitions: Iterable[tuple[str, int]]) -> Offsets:
    """A partition without a committed offset is left out.

    The method of aiokafka takes an answer that is an error for an answer without offsets.
    """
    wanted: dict[str, list[int]] = {}
    for topic, number in partitions:
        wanted.setdefault(topic, []).append(number)
    coordinator = await admin.find_coordinator(group)
    answer = await admin._send_request(OffsetFetchRequest(group, list(wanted.items())), coordinator)  # noqa: SLF001
    _check(answer.error_code)
    offsets: Offsets = {}
    for topic, found in answer.topics:
        for partition, offset, _, code in found:
            _check(code)
            offsets[topic, partition] = offset
    return {where: offset for where, offset in offsets.items() if offset >= 0}


async def _connected(connections: Connections, client_id: str, question: Callable[[Any], Awaitable[T]]) -> T:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=connections.kafka_bootstrap,
        client_id=client_id,
        request_timeout_ms=int(BROKER_SECONDS * 1000),
        **admin_options(connections.kafka_options),
    )
    await admin.start()
    try:
        return await _answered(admin, question)
    finally:
        await admin.close()


async def _answered(admin: Any, question: Callable[[Any], Awaitable[T]]) -> T:
    while True:
        try:
            return await question(admin)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(_AGAIN_SECONDS)


def _check(code: int) -> None:
    if code:
        raise for_code(code)


def _assigned(data: bytes) -> set[tuple[str, int]]:
    if not data:
        return set()
    assignment = ConsumerProtocolMemberAssignment.decode(data).assignment
    return {(topic, partition) for topic, partitions in assignment for partition in partitions}
