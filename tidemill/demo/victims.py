"""Chooses the processes to kill: the worker that owns the busiest job, and the executor that started the last run."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.partition import partition_of
from schemas.settings import Connections
from tidemill.lag import BrokersError
from tidemill.members import workers
from tidemill.target import Row

BUSIEST_JOB = "every-5s"
DEFAULT_WORKER = "stream-0"
DEFAULT_EXECUTOR = "executor-0"


def victims(target: Connections, runs: Sequence[Row]) -> tuple[str, str]:
    return worker_of(target, BUSIEST_JOB) or DEFAULT_WORKER, executor_of(runs) or DEFAULT_EXECUTOR


def executor_of(runs: Sequence[Row]) -> str | None:
    """An executor's id is its name and a random epoch."""
    started = [run for run in runs if run["started_at"] and run["executor_id"]]
    latest = max(started, key=lambda run: run["started_at"], default=None)
    return str(latest["executor_id"]).rpartition(".")[0] if latest else None


def worker_of(target: Connections, job_id: str) -> str | None:
    """The worker that holds the job's partition; None: Kafka does not answer."""
    try:
        return workers(target).held.get(partition_of(job_id, target.partitions))
    except BrokersError:
        return None
