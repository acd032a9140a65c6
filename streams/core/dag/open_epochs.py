"""The epochs of one owner that have begun and not ended, and what there is to do about them."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime

from schemas.ids import RunId
from streams.core.dag.epoch import Epoch
from streams.core.dag.graph import Graph
from streams.core.stored import EpochBase

MAX_NODES_MOVED = 1_600
"""Nodes that one transaction starts, stops, passes over or forgets: what follows from each must fit it too (O6)."""


@dataclass(slots=True, kw_only=True)
class OpenEpochs:
    by_run: dict[RunId, Epoch] = field(default_factory=dict)
    """By DAG run."""
    by_dag: dict[str, set[RunId]] = field(default_factory=lambda: defaultdict(set))
    graphs: dict[tuple[str, int], Graph] = field(default_factory=dict)
    """By DAG and version: those that epochs go by."""
    due: list[RunId] = field(default_factory=list)
    """DAG runs whose time has come."""
    deadlines: list[tuple[datetime, RunId]] = field(default_factory=list)
    """A heap, by `dag_timeout`; stale entries are skipped."""
    busy: dict[RunId, None] = field(default_factory=dict)
    """These have nodes to start or to stop; in the order in which they go on."""
    litter: dict[RunId, deque[RunId]] = field(default_factory=lambda: defaultdict(deque))
    """By DAG run that is over: nodes, of which what is stored is to be forgotten. Until then it cannot open again."""
    reopened: dict[RunId, EpochBase] = field(default_factory=dict)
    """DAG runs that had ended and wait for their turn to go on from there."""
    orders: dict[RunId, int] = field(default_factory=dict)
    """By DAG run: as of when the last order opened it again, for as long as the order's id is remembered."""

    @property
    def may_go_on(self) -> bool:
        """There was more to do than one step does."""
        return bool(self.busy or self.litter or self.due)

    def add(self, dag_id: str, epoch: Epoch, started_at: datetime) -> None:
        self.by_run[epoch.run_id] = epoch
        self.by_dag[dag_id].add(epoch.run_id)
        self.busy[epoch.run_id] = None
        timeout = epoch.graph.dag.dag_timeout
        if timeout is not None:
            heapq.heappush(self.deadlines, (started_at + timeout, epoch.run_id))

    def remove(self, dag_id: str, run_id: RunId) -> None:
        del self.by_run[run_id]
        self.busy.pop(run_id, None)
        self.by_dag[dag_id].discard(run_id)
        if not self.by_dag[dag_id]:
            del self.by_dag[dag_id]
