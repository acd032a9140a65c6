"""The open DAG runs of one partition owner, and their pending work."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime

from schemas.ids import RunId
from streams.core.agenda import Agenda
from streams.core.dag.epoch import Epoch
from streams.core.dag.graph import Graph
from streams.core.runs.run import Run
from streams.core.stored import EpochBase


@dataclass(slots=True, kw_only=True)
class OpenEpochs:
    by_run: dict[RunId, Epoch] = field(default_factory=dict)
    """By run id of the DAG run."""
    by_dag: dict[str, set[RunId]] = field(default_factory=lambda: defaultdict(set))
    """By DAG: the open DAG runs that count for `max_active_epochs`; those of backfills do not."""
    versions: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    """By DAG and version: how many open DAG runs use it."""
    graphs: dict[tuple[str, int], Graph] = field(default_factory=dict)
    """By DAG and version: the compiled graphs in use."""
    due: list[RunId] = field(default_factory=list)
    """DAG runs that are due and not open yet."""
    deadlines: Agenda[datetime, RunId] = field(default_factory=Agenda)
    """DAG runs by the time at which `dag_timeout` ends them."""
    busy: dict[RunId, None] = field(default_factory=dict)
    """DAG runs with nodes to start or stop, in the order in which they advance."""
    to_forget: dict[RunId, deque[RunId]] = field(default_factory=lambda: defaultdict(deque))
    """By ended DAG run: nodes whose stored values must be deleted before the DAG run can open again."""
    reopened: dict[RunId, EpochBase] = field(default_factory=dict)
    """Ended DAG runs that wait to open again."""
    last_reopened: dict[RunId, int] = field(default_factory=dict)
    """By DAG run: the version at which a request last opened it again, as long as the request id is known."""

    @property
    def may_go_on(self) -> bool:
        """Whether work is left that did not fit the last step."""
        return bool(self.busy or self.to_forget or self.due)

    def add(self, run: Run, epoch: Epoch, started_at: datetime) -> None:
        dag_id, run_id = run.status.job_id, run.run_id
        self.by_run[run_id] = epoch
        if run.backfill_id is None:
            self.by_dag[dag_id].add(run_id)
        self.versions[dag_id, epoch.graph.version] += 1
        self.busy[run_id] = None
        timeout = epoch.graph.dag.dag_timeout
        if timeout is not None:
            self.deadlines.put(run_id, started_at + timeout)

    def remove(self, dag_id: str, run_id: RunId) -> None:
        version = dag_id, self.by_run.pop(run_id).graph.version
        self.busy.pop(run_id, None)
        self.deadlines.drop(run_id)
        self.versions[version] -= 1
        if not self.versions[version]:
            del self.versions[version]
        self.by_dag[dag_id].discard(run_id)
        if not self.by_dag[dag_id]:
            del self.by_dag[dag_id]
