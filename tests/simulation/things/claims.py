"""The Kafka client of a claimer: it polls dispatches of the partitions that the group gives it, and commits offsets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from schemas.times import epoch_ms
from schemas.topics import runs_topic
from tests.simulation.things.brokers import Stored

if TYPE_CHECKING:
    from tests.simulation.things.executor import Executor

NO_BROKER = KafkaError._TRANSPORT
Rebalanced = Callable[[Any, list[TopicPartition]], None]


class Message:
    """A record as the client of a claimer gets it."""

    def __init__(self, topic: str, partition: int, stored: Stored) -> None:
        self._topic, self._partition, self._stored = topic, partition, stored

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._stored.offset

    def value(self) -> bytes | None:
        return self._stored.value

    def timestamp(self) -> tuple[int, int]:
        return 2, epoch_ms(self._stored.at)


class ClaimConsumer:
    """What `Claimer` uses of `confluent_kafka.Consumer`."""

    def __init__(self, executor: Executor, timeout_class: str) -> None:
        self._executor, self._class = executor, timeout_class
        self._topic = runs_topic(timeout_class)
        self._group = executor.deployment.executor_groups[timeout_class]
        self._member: int | None = None
        self._next: dict[int, int] = {}
        """By assigned partition: the next offset to read."""
        self._on_assign: Rebalanced = lambda *_: None
        self._on_revoke: Rebalanced = lambda *_: None
        self._is_paused = False

    def subscribe(self, _: list[str], *, on_assign: Rebalanced, on_revoke: Rebalanced, on_lost: Rebalanced) -> None:
        self._on_assign, self._on_revoke = on_assign, on_revoke
        self._member = self._group.join(self._executor)

    def unsubscribe(self) -> None:
        self.close()

    def close(self) -> None:
        if self._member is not None:
            self._revoke(set(self._next))
            self._group.leave(self._member)
            self._member = None

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Start at the committed offset; without one, at the first record (`earliest`, protocol D2)."""
        for each in partitions:
            log = self._executor.deployment.brokers.log(self._topic, each.partition)
            self._next[each.partition] = max(self._group.committed[each.partition], log.first)

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, each) for each in self._next]

    def pause(self, _: object) -> None:
        self._is_paused = True

    def resume(self, _: object) -> None:
        self._is_paused = False

    def poll(self, _: float) -> Message | None:
        self._follow_the_group()
        found = self.consume(1, 0)
        return found[0] if found else None

    def consume(self, count: int, _: float) -> list[Message]:
        if self._is_unreachable or self._is_paused:
            return []
        found: list[Message] = []
        for partition, start in list(self._next.items()):
            log = self._executor.deployment.brokers.log(self._topic, partition)
            end = log.stable_end()
            if start < end and len(found) < count:
                records = log.read(start, end, count - len(found))
                self._next[partition] = records[-1].offset + 1 if len(records) == count - len(found) else end
                found += [Message(self._topic, partition, each) for each in records]
        return found

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        fault, self._executor.commit_fault = self._executor.commit_fault, None
        if self._is_unreachable or fault == "lost":
            raise KafkaException(KafkaError(NO_BROKER))
        wanted = {each.partition: each.offset for each in offsets}
        assert self._member is not None
        if not self._group.commit(self._member, wanted):
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
        self._executor.deployment.witness.claimed(self._executor.name, self._topic, wanted)
        self._executor.stand_still_if_armed()
        if fault == "unknown":
            raise KafkaException(KafkaError(NO_BROKER))
        return offsets

    def committed(self, partitions: list[TopicPartition], _: float) -> list[TopicPartition]:
        if self._is_unreachable:
            raise KafkaException(KafkaError(NO_BROKER))
        return [
            TopicPartition(self._topic, each.partition, self._group.committed[each.partition]) for each in partitions
        ]

    def get_watermark_offsets(self, partition: TopicPartition, _: float) -> tuple[int, int]:
        log = self._executor.deployment.brokers.log(self._topic, partition.partition)
        return log.first, log.stable_end()

    @property
    def _is_unreachable(self) -> bool:
        return self._executor.is_cut_off or self._executor.deployment.brokers.are_down

    def _follow_the_group(self) -> None:
        if self._is_unreachable or self._member is None:
            return
        if self._member not in self._group.members:  # it was silent for too long
            self._revoke(set(self._next))
            self._member = self._group.join(self._executor)
        lost, gained = self._group.changes_for(self._member)
        if lost:
            self._revoke(lost)
            self._group.give_up(lost)
        if gained:
            self._group.take(self._member, gained)
            self._executor.world.note(self._executor.name, f"holds {self._topic} {sorted(gained)}")
            self._on_assign(self, [TopicPartition(self._topic, each) for each in sorted(gained)])

    def _revoke(self, partitions: set[int]) -> None:
        if partitions:
            self._on_revoke(self, [TopicPartition(self._topic, each) for each in sorted(partitions)])
        for each in partitions:
            self._next.pop(each, None)
