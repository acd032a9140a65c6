"""The epochs of one owner that have begun and not ended, and what there is to do about them."""

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
    """By DAG run."""
    by_dag: dict[str, set[RunId]] = field(default_factory=lambda: defaultdict(set))
    """Those that count for `max_active_epochs`: a backfill has its own limit."""
    versions: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    """By DAG and version: how many epochs go by it."""
    graphs: dict[tuple[str, int], Graph] = field(default_factory=dict)
    """By DAG and version: those that epochs go by."""
    due: list[RunId] = field(default_factory=list)
    """DAG runs whose time has come."""
    deadlines: Agenda[datetime, RunId] = field(default_factory=Agenda)
    """By `dag_timeout`."""
    busy: dict[RunId, None] = field(default_factory=dict)
    """These have nodes to start or to stop; in the order in which they go on."""
    to_forget: dict[RunId, deque[RunId]] = field(default_factory=lambda: defaultdict(deque))
    """By DAG run that is over: nodes, of which what is stored is to be forgotten. Until then it cannot open again."""
    reopened: dict[RunId, EpochBase] = field(default_factory=dict)
    """DAG runs that had ended and wait for their turn to go on from there."""
    orders: dict[RunId, int] = field(default_factory=dict)
    """By DAG run: as of when the last order opened it again, for as long as the order's id is remembered."""

    @property
    def may_go_on(self) -> bool:
        """There was more to do than one step does."""
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
