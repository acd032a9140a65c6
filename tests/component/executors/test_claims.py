"""Consumers of executors on a real broker: one of them claims each dispatch, whatever the group does."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest

from executors.clock import cluster_clock
from executors.consumer import Claimer, ClaimerContext
from executors.slots import Slots
from observe.health import Health
from schemas.confinement import NOTHING_GIVEN
from tests.support.executor_figures import new_metrics

CAPACITY = 4
REBALANCE_SECONDS = 30.0


class Member:
    """A consumer that claims what it may; each run ends at once."""

    def __init__(self, connections, name):
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
        self.claimer = Claimer(connections, context, client_id=name)
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

    def start(name):
        members.append(Member(connections, name))
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
