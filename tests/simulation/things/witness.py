"""Sees everything that happens in a simulation, so that the invariants can be checked afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.codec import decode
from schemas.confinement import Capabilities
from schemas.dispatch import Dispatch
from schemas.status import RunStatus
from schemas.topics import DEADLETTER, STATUS
from streams.owner.records import OutRecord, Transaction
from streams.owner.session_calls import Failed
from tests.simulation.things.world import World

if TYPE_CHECKING:
    from tests.simulation.things.worker import Worker


@dataclass(slots=True, kw_only=True)
class Execution:
    """One process of an attempt, as it really was; times are true seconds."""

    run_id: str
    token: int
    attempt: int
    executor: str
    dispatch: Dispatch
    began: float
    ended: float | None = None
    code: int | None = None
    got_term: bool = False
    given: Capabilities
    """What its executor could give."""
    was_fetched: bool = False
    """CLAIMED was acknowledged, then something was fetched: the lease applies, not the claim grace."""
    frozen: list[tuple[float, float]] = field(default_factory=list)
    """When its host stood still: it did nothing then."""


@dataclass(slots=True, kw_only=True)
class Committed:
    at: float
    partition: int
    transaction: Transaction


class Witness:
    def __init__(self, world: World) -> None:
        self._world = world
        self.commits: list[Committed] = []
        """Transactions that are committed, in the order of each partition."""
        self.executions: list[Execution] = []
        self.crashes: list[tuple[str, Exception]] = []
        self.fences: list[tuple[float, int, str, bool]] = []
        """(seconds, partition, worker, whether the group had given the partition to another one for some time)"""
        self.endless: list[str] = []
        """Open runs that nothing would have ended, when somebody looked."""
        self.kept: list[str] = []
        """What an owner still had in memory of what was over, when somebody looked."""

    def committed(self, partition: int, transaction: Transaction) -> None:
        self.commits.append(Committed(at=self._world.now, partition=partition, transaction=transaction))

    def started(self, dispatch: Dispatch, executor: str, given: Capabilities, *, was_fetched: bool) -> Execution:
        execution = Execution(
            run_id=dispatch.run_id,
            token=dispatch.token,
            attempt=dispatch.attempt,
            executor=executor,
            dispatch=dispatch,
            began=self._world.now,
            given=given,
            was_fetched=was_fetched,
        )
        self.executions.append(execution)
        self._world.note(executor, f"starts attempt {dispatch.attempt} of {dispatch.run_id} (token {dispatch.token})")
        return execution

    def ended(self, execution: Execution, code: int) -> None:
        execution.ended, execution.code = self._world.now, code
        what = f"attempt {execution.attempt} of {execution.run_id} (token {execution.token}) ends with {code}"
        self._world.note(execution.executor, what)

    def claimed(self, executor: str, topic: str, offsets: dict[int, int]) -> None:
        if self._world.trace is not None:
            self._world.note(executor, f"claims {topic} below {offsets}")

    def crashed(self, worker: str, error: Exception) -> None:
        self.crashes.append((worker, error))

    def failed(self, partition: int, call: Failed) -> None:
        self._world.coverage["phase fails", call.phase] += 1

    def fenced(self, partition: int, worker: Worker) -> None:
        group = worker.deployment.stream_group
        is_foreign = (
            group.is_stable
            and group.assigned.get(partition) != worker.member_id
            and self._world.now - group.changed_at > SETTLED_SECONDS
        )
        self.fences.append((self._world.now, partition, worker.name, is_foreign))

    # What the transactions said

    def statuses(self, partition: int) -> list[tuple[float, RunStatus]]:
        return [
            (commit.at, decode(record.value, RunStatus))
            for commit in self.commits
            if commit.partition == partition
            for record in commit.transaction.records
            if record.topic == STATUS and record.value is not None
        ]

    def dispatches(self, partition: int) -> list[tuple[float, Dispatch]]:
        return [
            (commit.at, decode(record.value, Dispatch))
            for commit in self.commits
            if commit.partition == partition
            for record in commit.transaction.records
            if record.dispatch is not None and record.value is not None
        ]

    def problems(self) -> list[tuple[float, OutRecord]]:
        return [
            (commit.at, record)
            for commit in self.commits
            for record in commit.transaction.records
            if record.topic == DEADLETTER and record.value is not None
        ]


SETTLED_SECONDS = 5.0
"""A worker may act on an answer of the coordinator for so long."""
