"""What the owner and the worker ask about consumer groups: who has a partition, and what the executors committed."""

from __future__ import annotations

from asyncio import gather
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from schemas.errors import TidemillError
from schemas.settings import Connections
from schemas.topics import CDC, executor_group, runs_topic
from streams.group_client import GroupsUnreachableError, Member, Offsets, ask, committed, describe

T = TypeVar("T")

ANSWER_SECONDS = 5.0
"""A healthy broker answers within milliseconds; after this time the caller tries again."""
_STABLE = "Stable"


class LogUnreachableError(TidemillError):
    """The brokers did not answer in time."""


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
        group = self._ask(lambda admin: describe(admin, self._stream_group))
        if group.state != _STABLE or not member_id:
            return None
        wanted = (self._connections.topic(CDC), partition)
        return any(each.member_id == member_id and wanted in each.assigned for each in group.members)

    def held_under_this_name(self) -> set[int]:
        """The partitions of the member with this worker's name."""
        topic = self._connections.topic(CDC)
        mine = (each.assigned for each in self._members() if each.name == self._worker_id)
        return {partition for assigned in mine for name, partition in assigned if name == topic}

    def is_empty(self) -> bool:
        """Whether the group has no stream worker."""
        return not self._members()

    def is_replaced(self, member_id: str) -> bool:
        """Whether another process has joined the group with this worker's name, in place of this member."""
        return any(each.name == self._worker_id and each.member_id != member_id for each in self._members())

    def stamps_of(self, name: str) -> set[str]:
        """The stamps of the machines that have a member with this name."""
        return {each.stamp for each in self._members() if each.name == name}

    def committed(self, timeout_classes: Iterable[str], partition: int) -> dict[str, int]:
        """By class: the executors' committed offset in this partition of the class's topic; 0: they have claimed
        nothing. One connection asks for all classes.
        """
        wanted = {each: executor_group(self._connections.topic_prefix, each) for each in timeout_classes}
        topics = {each: self._connections.topic(runs_topic(each)) for each in wanted}

        async def question(admin: Any) -> list[Offsets]:
            return await gather(
                *(committed(admin, group, [(topics[each], partition)]) for each, group in wanted.items())
            )

        found = self._ask(question)
        return {each: offsets.get((topics[each], partition), 0) for each, offsets in zip(wanted, found, strict=True)}

    def _members(self) -> list[Member]:
        return self._ask(lambda admin: describe(admin, self._stream_group)).members

    def _ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        try:
            return ask(self._connections, f"{self._worker_id}-groups", question, ANSWER_SECONDS)
        except GroupsUnreachableError as error:
            raise LogUnreachableError(str(error)) from error
