"""A deletion is remembered as long as older definitions can be replayed: deleted jobs stay deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.dag import NodeSpec
from schemas.topics import DEADLETTER
from streams.core.room import Bounds
from streams.core.settings import CoreSettings
from streams.owner.records import InRecord
from tests.support.simulated.log import START, DrivenSession, Log, ended, started

TTL = CoreSettings().request_ttl
NODE = NodeSpec(node_id="a", executable="s3://tidemill/x")


class DeletedJob:
    """A job or DAG that runs hourly for some hours and is then deleted."""

    def __init__(self, *, is_dag: bool = False, **fields: object) -> None:
        self.log = log = Log()
        self.done = 0
        self.owner_id = "dag" if is_dag else "job"
        fields = {"schedule": "0 * * * *", **fields}
        self.first = log.define_dag(NODE, **fields) if is_dag else log.define(**fields)
        self.owner: DrivenSession = log.recover()
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
        """Lets the deletion be forgotten: defines another job when the deletion is older than the TTL."""
        self.log.now += TTL + timedelta(days=2)
        self.owner.offer(self.log.define(version, job_id="another"))
        self.work()
        assert self.owner_id not in self.owner.state.durable.jobs

    def replay(self, *records: InRecord) -> None:
        for each in records:
            self.owner.offer(self.log.append_copy(each))
            self.work()

    def problems(self) -> list[str]:
        return [dict(r.headers)["reason"].decode() for r in self.log.written if r.topic == DEADLETTER]


@pytest.mark.parametrize("policy", ["latest", "all", "skip"])
@pytest.mark.parametrize("is_dag", [False, True])
@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_deleted_job_that_a_snapshot_sends_again_does_not_run(policy, *, is_dag: bool, is_recovered: bool) -> None:
    job = DeletedJob(is_dag=is_dag, catchup_policy=policy)
    job.age()
    if is_recovered:
        job.owner = job.log.recover()
    job.replay(job.first, job.deletion)
    if is_recovered:
        job.owner = job.log.recover()
    job.log.now += timedelta(hours=5)
    job.work()
    assert len(job.log.dispatches()) == job.ran
    kind, table = ("dag", "tidemill.dags") if is_dag else ("job", "tidemill.jobs")
    (problem,) = job.problems()
    assert problem.startswith(f"{kind} {job.owner_id!r}: version 1 of 2026-03-01T12:00:00.000Z is not applied")
    assert problem.endswith(f"if {job.owner_id!r} is in {table}, change anything in its row, and it counts from then")


def test_a_snapshot_may_send_the_deletion_before_what_it_deletes() -> None:
    job = DeletedJob(catchup_policy="all")
    job.age()
    job.replay(job.deletion, job.first)
    job.log.now += timedelta(hours=5)
    job.work()
    assert len(job.log.dispatches()) == job.ran


def test_a_deletion_is_remembered_until_a_definition_younger_by_the_ttl_is_applied() -> None:
    """The wall clock does not count: after a long outage, records older than the deletion may still be unread."""
    job = DeletedJob(catchup_policy="all")
    for _ in range(20):
        job.log.now += timedelta(days=1)
        job.work()
    assert "def/job" in job.log.stored()
    job.replay(job.first, job.deletion)
    assert job.problems() == []
    assert len(job.log.dispatches()) == job.ran


def test_a_new_job_older_than_a_forgotten_deletion_is_a_problem_until_its_row_changes() -> None:
    """The transaction of the new job was open for longer than the TTL."""
    job = DeletedJob()
    late = Log()
    late.now = START + timedelta(hours=1)
    record = late.define(1, job_id="late", schedule="0 * * * *")
    job.age()
    job.replay(record)
    assert "late" not in job.owner.state.durable.jobs
    assert [each[:10] for each in job.problems()] == ["job 'late'"]
    job.owner.offer(job.log.define(4, job_id="late", schedule="0 * * * *"))
    job.log.now += timedelta(hours=1)
    job.work()
    assert {each.job_id for each in job.log.dispatches()[job.ran :]} == {"late"}


@pytest.mark.parametrize(("version", "days_ago"), [(1, 0), (9, 9)])
def test_a_job_beyond_the_mark_by_version_or_time_is_applied(version: int, days_ago: int) -> None:
    """A restored database continues from older versions; an outage delays old definitions."""
    job = DeletedJob()
    job.age()
    other = Log()
    other.now = job.log.now - timedelta(days=days_ago)
    job.replay(other.define(version, job_id="new"))
    assert job.problems() == []
    assert "new" in job.owner.state.durable.jobs


def test_a_replayed_deletion_does_not_delete_a_recreated_job() -> None:
    job = DeletedJob()
    job.age()
    job.owner.offer(job.log.define(4, schedule="0 * * * *"))
    job.work()
    job.replay(job.first, job.deletion)
    assert not job.owner.state.durable.jobs["job"].deleted
    assert job.problems() == []


def test_deletions_are_forgotten_in_batches(monkeypatch) -> None:
    monkeypatch.setattr(Log, "bounds", Bounds(effects=6))
    job = DeletedJob()
    for number in range(8):
        job.owner.offer(job.log.define(number + 3, job_id=f"j{number}", deleted=True))
    job.work()
    job.log.now += 2 * TTL
    job.owner.offer(job.log.define(99, job_id="another"))
    known = []
    for _ in range(4):
        job.log.turn(job.owner, 1)
        known.append(len(job.owner.state.durable.jobs))
    assert known[0] > known[1] > known[2] >= known[3] == 1
    assert job.owner.state.durable.forgotten.version == 10
