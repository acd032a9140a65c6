"""What a simulation leaves for the invariants: decoded once."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from functools import cached_property

from schemas.dag import DagSpec
from schemas.dispatch import Dispatch
from schemas.job import JobSpec
from schemas.status import RunStatus
from schemas.times import EPOCH
from tests.simulation.things.deployment import Deployment
from tests.simulation.things.world import START_SECONDS


class History:
    slack = timedelta(seconds=5)
    """What became due so short before the end may be undecided."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.end = deployment.world.time()

    @staticmethod
    def at(seconds: float) -> datetime:
        return EPOCH + timedelta(seconds=START_SECONDS + seconds)

    @cached_property
    def by_partition(self) -> list[list[tuple[float, RunStatus]]]:
        return [self.deployment.witness.statuses(each) for each in range(self.deployment.partitions)]

    @cached_property
    def statuses(self) -> list[RunStatus]:
        return [status for partition in self.by_partition for _, status in partition]

    @cached_property
    def last(self) -> dict[str, RunStatus]:
        """By run."""
        return {status.run_id: status for status in self.statuses}

    @cached_property
    def _of_owners(self) -> dict[str, list[RunStatus]]:
        found: dict[str, list[RunStatus]] = defaultdict(list)
        for status in self.statuses:
            found[status.job_id].append(status)
        return found

    def of_owner(self, owner: str) -> list[RunStatus]:
        return self._of_owners.get(owner, [])

    @cached_property
    def dispatches(self) -> list[list[tuple[float, Dispatch]]]:
        """By partition, in order."""
        return [self.deployment.witness.dispatches(each) for each in range(self.deployment.partitions)]

    def spec_at(self, owner: str, at: datetime) -> JobSpec | DagSpec | None:
        rows = [each for each in self.deployment.database.definitions if each.owner == owner and each.valid_from < at]
        return rows[-1].spec if rows else None
