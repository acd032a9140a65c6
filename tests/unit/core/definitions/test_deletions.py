"""What can be replayed is never older than what is remembered: deleted jobs stay deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.dag import NodeSpec
from schemas.topics import DEADLETTER
from streams.core.policy.rules import Rules
from streams.core.room import Bounds
from streams.owner.records import InRecord
from tests.support.simulated.log import START, Driven, Log, ended, started

TTL = Rules().request_ttl
NODE = NodeSpec(node_id="a", executable="s3://tidemill/x")


class World:
    """A job, or DAG, that runs every hour for some hours, and is then deleted."""

    def __init__(self, *, is_dag: bool = False, **fields: object) -> None:
        self.log = log = Log()
        self.done = 0
        self.owner_id = "dag" if is_dag else "job"
        fields = {"schedule": "0 * * * *", **fields}
        self.first = log.define_dag(NODE, **fields) if is_dag else log.define(**fields)
        self.owner: Driven = log.recover()
        self.work()
        for _ in range(3):
            log.now += timedelta(hours=1)
            self.work()
        self.deletion = log.define_dag(version=2, deleted=True) if is_dag else log.define(2, deleted=True)
        self.owner.offer(self.deletion)
        self.work()
        self.ran = len(log.dispatches())

    def work(self) -> None:
        for _ in range(4):
            for each in self.log.dispatches()[self.done :]:
                self.owner.offer(self.log.report(started(each, self.log.now), ended(each, self.log.now)))
            self.done = len(self.log.dispatches())
            self.log.turn(self.owner, 1)

    def age(self, version: int = 3) -> None:
        """The deletion is forgotten: another job is defined when it is old enough."""
        self.log.now += TTL + timedelta(days=2)
        self.owner.offer(self.log.define(version, job_id="another"))
        self.work()
        assert self.owner_id not in self.owner.state.durable.jobs

    def replay(self, *records: InRecord) -> None:
        for each in records:
            self.owner.offer(self.log.again(each))
            self.work()

    def problems(self) -> list[str]:
        return [dict(r.headers)["reason"].decode() for r in self.log.written if r.topic == DEADLETTER]


@pytest.mark.parametrize("policy", ["latest", "all", "skip"])
@pytest.mark.parametrize("is_dag", [False, True])
@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_deleted_job_that_a_snapshot_sends_again_does_not_run(policy, *, is_dag: bool, is_recovered: bool) -> None:
    world = World(is_dag=is_dag, catchup_policy=policy)
    world.age()
    if is_recovered:
        world.owner = world.log.recover()
    world.replay(world.first, world.deletion)
    if is_recovered:
        world.owner = world.log.recover()
    world.log.now += timedelta(hours=5)
    world.work()
    assert len(world.log.dispatches()) == world.ran
    kind, table = ("dag", "tidemill.dags") if is_dag else ("job", "tidemill.jobs")
    (problem,) = world.problems()
    assert problem.startswith(f"{kind} {world.owner_id!r}: version 1 of 2026-03-01T12:00:00.000Z is not applied")
    assert problem.endswith(f"if {world.owner_id!r} is in {table}, change anything in its row, and it counts from then")


def test_a_snapshot_may_send_the_deletion_before_what_it_deletes() -> None:
    world = World(catchup_policy="all")
    world.age()
    world.replay(world.deletion, world.first)
    world.log.now += timedelta(hours=5)
    world.work()
    assert len(world.log.dispatches()) == world.ran


def test_a_deletion_is_remembered_until_definitions_that_are_younger_by_the_ttl_are_applied() -> None:
    """The wall clock says nothing: what was written before the deletion may still lie unread after a long outage."""
    world = World(catchup_policy="all")
    for _ in range(20):
        world.log.now += timedelta(days=1)
        world.work()
    assert "def/job" in world.log.stored()
    world.replay(world.first, world.deletion)
    assert world.problems() == []
    assert len(world.log.dispatches()) == world.ran


def test_a_job_that_is_new_but_older_than_a_forgotten_deletion_is_a_problem_until_its_row_changes() -> None:
    """Its transaction was open for longer than the TTL."""
    world = World()
    late = Log()
    late.now = START + timedelta(hours=1)
    record = late.define(1, job_id="late", schedule="0 * * * *")
    world.age()
    world.replay(record)
    assert "late" not in world.owner.state.durable.jobs
    assert [each[:10] for each in world.problems()] == ["job 'late'"]
    world.owner.offer(world.log.define(4, job_id="late", schedule="0 * * * *"))
    world.log.now += timedelta(hours=1)
    world.work()
    assert {each.job_id for each in world.log.dispatches()[world.ran :]} == {"late"}


@pytest.mark.parametrize(("version", "days_ago"), [(1, 0), (9, 9)])
def test_a_job_that_is_beyond_the_mark_by_version_or_by_time_is_applied(version: int, days_ago: int) -> None:
    """A restored database counts its versions from earlier on; an outage delays what was written long ago."""
    world = World()
    world.age()
    other = Log()
    other.now = world.log.now - timedelta(days=days_ago)
    world.replay(other.define(version, job_id="new"))
    assert world.problems() == []
    assert "new" in world.owner.state.durable.jobs


def test_a_job_that_was_made_again_is_known_by_its_newest_version() -> None:
    world = World()
    world.age()
    world.owner.offer(world.log.define(4, schedule="0 * * * *"))
    world.work()
    world.replay(world.first, world.deletion)
    assert not world.owner.state.durable.jobs["job"].deleted
    assert world.problems() == []


def test_so_many_deletions_are_forgotten_at_a_time(monkeypatch) -> None:
    monkeypatch.setattr(Log, "bounds", Bounds(effects=6))
    world = World()
    for number in range(8):
        world.owner.offer(world.log.define(number + 3, job_id=f"j{number}", deleted=True))
    world.work()
    world.log.now += 2 * TTL
    world.owner.offer(world.log.define(99, job_id="another"))
    known = []
    for _ in range(4):
        world.log.turn(world.owner, 1)
        known.append(len(world.owner.state.durable.jobs))
    assert known[0] > known[1] > known[2] >= known[3] == 1
    assert world.owner.state.durable.forgotten.version == 10
