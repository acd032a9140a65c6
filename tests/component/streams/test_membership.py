"""Two workers with one name: the newer one holds the partitions, the older one notices and ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaConsumer

from connectors.topics import create
from schemas.own_name import NameTakenError, OwnName
from schemas.settings import Connections
from schemas.topics import CDC
from streams.groups import Groups
from streams.membership import Membership
from streams.unique_name import ensure_unique_name
from tests.support.servers.kafka_node import running_node

NAME = "stream-0"
SECONDS = 60


@pytest.fixture(scope="module")
def connections():
    with running_node() as node:
        connections = Connections(kafka_bootstrap=node.address, partitions=1)
        create(connections)
        yield connections


class Member:
    """A group member that joins as Faust does for a stream worker."""

    def __init__(self, connections: Connections, group: str, stamp: str = "here") -> None:
        self.replaced = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.groups = Groups(connections, group, NAME)
        self.membership = Membership(self.groups, lambda: loop.call_soon_threadsafe(self.replaced.set))
        self._consumer = AIOKafkaConsumer(
            connections.topic(CDC),
            bootstrap_servers=connections.kafka_bootstrap,
            group_id=group,
            client_id=f"{NAME}@{stamp}",
            group_instance_id=NAME,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=300,
        )

    async def join(self) -> None:
        await self._consumer.start()
        self.membership.watch(self._consumer)
        async with asyncio.timeout(SECONDS):
            while not (self._consumer.assignment() and await self.holds()):
                await self._consumer.getmany(timeout_ms=100)

    async def holds(self) -> bool | None:
        return await asyncio.to_thread(self.groups.holds, 0, self.membership.member_id)

    async def leave(self) -> None:
        await self._consumer.stop()

    async def vanish(self) -> None:
        """Stops without leaving: a static member stays in the group until its session ends."""
        await self._consumer.stop()


async def two_under_one_name(connections: Connections) -> None:
    older, newer = Member(connections, "one-machine"), Member(connections, "one-machine")
    try:
        await older.join()
        assert not await asyncio.to_thread(older.groups.is_replaced, older.membership.member_id)
        last_id = older.membership.member_id
        await newer.join()
        async with asyncio.timeout(SECONDS):
            await older.replaced.wait()
        assert not await asyncio.to_thread(older.groups.holds, 0, last_id)
        assert await newer.holds()
        assert not newer.replaced.is_set()
    finally:
        await older.leave()
        await newer.leave()


def test_the_older_of_two_workers_with_one_name_ends_and_the_newer_continues(connections) -> None:
    asyncio.run(two_under_one_name(connections))


async def one_elsewhere(connections: Connections) -> None:
    """A worker of another machine, which is later killed without leaving the group."""
    own, session = OwnName(name=NAME, stamp="here", is_chosen=True), timedelta(seconds=6)
    other = Member(connections, "two-machines", "there")
    await other.join()
    try:
        assert await asyncio.to_thread(other.groups.stamps_of, NAME) == {"there"}
        with pytest.raises(NameTakenError, match="on another machine runs under the same name"):
            await asyncio.to_thread(ensure_unique_name, own, other.groups, timedelta(seconds=0))
    finally:
        await other.vanish()
    assert await asyncio.to_thread(ensure_unique_name, own, other.groups, session) == own


def test_a_worker_refuses_the_name_of_a_living_worker_and_takes_it_after_its_death(connections) -> None:
    asyncio.run(one_elsewhere(connections))
