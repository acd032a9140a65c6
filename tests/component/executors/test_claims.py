"""Consumers of executors on a real broker: one of them claims each dispatch, whatever the group does."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import closing

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from executors.clock import cluster_clock
from executors.consumer import Claimer, ClaimerContext
from executors.slots import Slots
from observe.health import Health
from schemas.confinement import NOTHING_GIVEN
from schemas.topics import executor_group, runs_topic
from tests.support.executor_figures import new_metrics

CAPACITY = 4
REBALANCE_SECONDS = 30.0


class Member:
    """A consumer that claims what it may; each run ends at once."""

    def __init__(self, connections, name, consumer=Consumer):
        self.may_claim, self.held, self.claimed, self.crashes = False, frozenset(), [], []
        self._slots = Slots({"10s": 2})
        context = ClaimerContext(
            timeout_class="10s",
            given=NOTHING_GIVEN,
            slots=self._slots,
            clock=cluster_clock(connections),
            metrics=new_metrics(),
            health=Health(),
            may_claim=lambda: self.may_claim,
            is_ill=lambda: False,
            on_polled=lambda *_: None,
            on_claimed=self._claim,
            on_assigned=self._hold,
            on_unreadable=lambda *_: None,
            on_crash=self.crashes.append,
            capacity=CAPACITY,
        )
        self.claimer = Claimer(connections, context, client_id=name, consumer=consumer)
        self.claimer.start()

    def _claim(self, timeout_class, chosen):
        self.claimed += [each.polled.dispatch.token for each in chosen]
        self._slots.release(timeout_class, len(chosen))

    def _hold(self, _, held):
        self.held = held

    def close(self):
        self.claimer.stop()


@pytest.fixture
def join(connections, until):
    """Starts members of the group; at the end all leave."""
    members = []

    def start(name, consumer=Consumer):
        members.append(Member(connections, name, consumer))
        return members[-1]

    yield start
    for each in members:
        each.close()
    until(lambda: not any(each.claimer.is_alive for each in members))
    assert [each.crashes for each in members] == [[]] * len(members)


def test_partitions_revoked_while_paused_are_read_after_they_return(owner, join, until):
    full = join("full")
    until(lambda: len(full.held) == 4, REBALANCE_SECONDS)
    orders = [owner.order(("s3://a/b", "0" * 64)) for _ in range(16)]
    owner.dispatch(*orders[:8])
    until(lambda: full.claimer._is_paused)
    with closing(join("passing")) as passing:
        until(lambda: len(full.held) == len(passing.held) == 2, REBALANCE_SECONDS)
        full.may_claim = passing.may_claim = True
        until(lambda: len(full.claimed) + len(passing.claimed) == 8)
    until(lambda: len(full.held) == 4, REBALANCE_SECONDS)
    owner.dispatch(*orders[8:])
    claimed = full.claimed, passing.claimed
    until(lambda: sum(map(len, claimed)) >= len(orders), what=lambda: f"claimed {claimed}")
    assert Counter(full.claimed + passing.claimed) == Counter(each.token for each in orders)


class Repeating(Consumer):
    """A client that returns each record again after a while."""

    def __init__(self, options):
        super().__init__(options)
        self._returned = deque()

    def poll(self, timeout):
        message = super().poll(timeout)
        if message is not None:
            self._returned.append(message)
        elif self._returned:
            return self._returned.popleft()
        return message


class FromTheFirst(Consumer):
    """A client that starts at the first record, whatever the group has committed."""

    def incremental_assign(self, partitions):
        for each in partitions:
            each.offset = 0
        super().incremental_assign(partitions)


@pytest.fixture
def orders(owner):
    """Dispatches eight orders; returns their tokens."""

    def dispatch():
        made = [owner.order(("s3://a/b", "0" * 64)) for _ in range(8)]
        owner.dispatch(*made)
        return [each.token for each in made]

    return dispatch


def test_a_client_that_returns_records_again_claims_each_once(orders, join, until):
    member = join("repeats", Repeating)
    member.may_claim = True
    until(lambda: len(member.held) == 4, REBALANCE_SECONDS)
    sent = orders()
    until(lambda: len(member.claimed) == len(sent))
    sent += orders()
    until(lambda: set(sent) <= set(member.claimed))
    assert Counter(member.claimed) == Counter(sent)


def test_a_client_that_starts_below_what_is_claimed_claims_only_the_rest(orders, join, until):
    with closing(join("before")) as before:
        before.may_claim = True
        until(lambda: len(before.held) == 4, REBALANCE_SECONDS)
        sent = orders()
        until(lambda: len(before.claimed) == len(sent))
    until(lambda: not before.claimer.is_alive)
    after = join("after", FromTheFirst)
    after.may_claim = True
    until(lambda: len(after.held) == 4, REBALANCE_SECONDS)
    more = orders()
    until(lambda: set(more) <= set(after.claimed))
    assert Counter(before.claimed + after.claimed) == Counter(sent + more)


def test_a_committed_offset_beyond_the_end_does_not_count(connections, orders, join, until):
    """As after a topic was deleted and made again."""
    topic, group = connections.topic(runs_topic("10s")), executor_group(connections.topic_prefix, "10s")
    ahead = [TopicPartition(topic, partition, 1_000) for partition in range(4)]
    admin = AdminClient(connections.kafka())
    wanted = [ConsumerGroupTopicPartitions(group, ahead)]
    for each in admin.alter_consumer_group_offsets(wanted).values():
        each.result()
    sent = orders()
    member = join("finds-less")
    member.may_claim = True
    until(lambda: set(sent) <= set(member.claimed), REBALANCE_SECONDS)
    assert Counter(member.claimed) == Counter(sent)
