"""What one owner knows: one container that only `step` changes; the values in it are frozen."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from schemas.ids import ExecutorId, OwnerId, RequestId, RunId
from schemas.times import EPOCH
from schemas.words import RunKind
from streams.core.dag.open_epochs import OpenEpochs
from streams.core.open_backfills import OpenBackfills
from streams.core.rules import Rules
from streams.core.run import Lane, Run
from streams.core.sharing import Shared
from streams.core.stored import Applied, Cursor, StoredJob, StoredRequest, Tally
from streams.core.timers import Timers

MAX_HANDED_ON = 16 * 1024 * 1024
"""Of payloads and results in one transaction, by all its dispatches, and what the last one of them has beyond: one who
waits for it is not kept waiting long.
"""


@dataclass(slots=True, kw_only=True)
class InFlight:
    """What the owner has seen of a dispatched attempt since it took over; none of it needs to survive the owner."""

    token: int
    timeout_class: str
    dispatched_at: datetime
    """By the time of its step; of its commit, once that is known: the dispatch was not appended later."""
    offset: int | None = None
    """Of its dispatch record; None until the transaction is known to be committed."""
    claim_seen_at: datetime | None = None
    """When the group's offset was seen to be past the dispatch while no event had come (protocol D5)."""
    unclaimed_at: datetime | None = None
    """When the group's offset was last asked for and found not to be past the dispatch."""
    heard_at: datetime | None = None
    """When its executor last spoke of it; None: nobody has."""

    def hear(self, at: datetime) -> None:
        """Events and heartbeats are read side by side: what is read later may have been said earlier."""
        if self.heard_at is None or self.heard_at < at:
            self.heard_at = at


@dataclass(slots=True, kw_only=True)
class ExecutorView:
    """The last heartbeat of an executor, as far as this partition is concerned."""

    heard_at: datetime
    windows: dict[str, int]
    """By timeout class, of this partition."""


@dataclass(slots=True, kw_only=True)
class OwnerState:
    partition: int
    rules: Rules
    watermark: datetime = EPOCH
    cursor: Cursor | None = None
    token: int = 0
    newest_requests: dict[str, datetime] = field(default_factory=dict)
    """By source: the highest creation time of a request that was applied."""
    applied: dict[str, Applied] = field(default_factory=dict)
    """By input topic."""

    jobs: dict[OwnerId, StoredJob] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)
    """By the jobs."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By job."""
    change_is_cut: bool = False
    """The definition that was stepped over last has to come again: its old version has more to decide."""
    quarantined: set[str] = field(default_factory=set)
    timers: Timers = field(default_factory=Timers)
    runs: dict[RunId, Run] = field(default_factory=dict)
    open_runs: dict[str, set[RunId]] = field(default_factory=lambda: defaultdict(set))
    """By job."""
    held: dict[str, set[RunId]] = field(default_factory=dict)
    """By job, of its open runs those that wait for others to end."""
    freed: set[str] = field(default_factory=set)
    """Jobs whose held runs may be let go: something has changed."""
    waiting: list[tuple[datetime, RunId]] = field(default_factory=list)
    """A heap: runs that are not due yet. An entry whose run has moved on is stale and skipped."""
    ready: dict[str, list[tuple[Lane, datetime, RunId]]] = field(default_factory=lambda: defaultdict(list))
    """By timeout class, a heap: runs that wait for room in their runs partition."""
    start_deadlines: list[tuple[datetime, RunId]] = field(default_factory=list)
    """A heap, by `start_by`; stale entries are skipped."""
    catchup_slots: dict[str, datetime] = field(default_factory=dict)
    """By job: when its next run that catches up may start."""
    catchup_goes_on: datetime = EPOCH
    """When the next run that catches up may be dispatched, if the rate of the partition were kept at every moment."""
    catchup_wake: datetime | None = None
    """Runs that catch up are ready, and may go on then."""
    handed_room: int = MAX_HANDED_ON
    """How much the payloads and results that dispatches carry may still take of this transaction."""
    in_flight: dict[RunId, InFlight] = field(default_factory=dict)
    is_waited_for: bool = False
    """Of this transaction some dispatch goes into a window that is less than half full. Into another one, it would only
    wait elsewhere."""
    may_dispatch_more: bool = False
    """There was room for more dispatches than one step sends."""
    in_flight_count: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By timeout class."""

    backfills: OpenBackfills = field(default_factory=OpenBackfills)
    epochs: OpenEpochs = field(default_factory=OpenEpochs)
    requests: dict[RequestId, StoredRequest] = field(default_factory=dict)
    request_ages: dict[str, list[tuple[datetime, RequestId]]] = field(default_factory=lambda: defaultdict(list))
    """By source, a heap, by creation time."""
    parked: dict[OwnerId, list[RequestId]] = field(default_factory=dict)
    parked_deadlines: list[tuple[datetime, RequestId]] = field(default_factory=list)
    deletions: list[tuple[datetime, OwnerId]] = field(default_factory=list)
    """A heap, by the time of the deletion."""

    executors: dict[ExecutorId, ExecutorView] = field(default_factory=dict)
    strays: dict[ExecutorId, dict[tuple[RunId, int], datetime]] = field(default_factory=dict)
    """Attempts (run, token) that are listed by heartbeats and are not current, with the time of the first such one."""
    silence_from: datetime = EPOCH
    """Silence before this counts for nobody: the owner itself was away or could not read (protocol L3)."""

    def next_token(self) -> int:
        self.token += 1
        return self.token

    def keep(self, run: Run) -> None:
        """The run's new value; the indexes follow."""
        if run.status.node_id is not None:
            self._keep_node(run, run.status.node_id)
            return
        run_id, job_id = run.run_id, run.status.job_id
        if run.held or self.held:
            self._hold(run)
        if run.state.is_final:
            self.backfills.note(run)
            self.epochs.note_end(run_id)
            self.runs.pop(run_id, None)
            self.open_runs[job_id].discard(run_id)
            if not self.open_runs[job_id]:
                del self.open_runs[job_id]
        else:
            self.runs[run_id] = run
            self.open_runs[job_id].add(run_id)

    def _keep_node(self, run: Run, node_id: str) -> None:
        """It is not one of its DAG's open runs, but of its epoch's."""
        run_id, after = run.status.run_id, run.status.state
        found = self.runs.get(run_id)
        before = None if found is None else found.status.state
        if before is not after:
            self.epochs.note(run, node_id, before, after)
        if after.is_final:
            self.runs.pop(run_id, None)
        else:
            self.runs[run_id] = run

    def _hold(self, run: Run) -> None:
        run_id, job_id = run.run_id, run.status.job_id
        if run.held and not run.state.is_final:
            self.held.setdefault(job_id, set()).add(run_id)
        elif job_id in self.held:
            self.held[job_id].discard(run_id)
            if not self.held[job_id]:
                del self.held[job_id]
            if run.state.is_final:
                self.freed.add(job_id)

    def kind_of(self, owner: str, of_a_job: RunKind) -> RunKind:
        """Of a run of this job, or DAG."""
        return of_a_job if self.jobs[OwnerId(owner)].dag is None else RunKind.DAG

    @property
    def has_more_to_do(self) -> bool:
        """Without any further input: what did not fit the last step."""
        return self.may_dispatch_more or self.backfills.may_go_on or self.epochs.may_go_on

    def begin_transaction(self) -> None:
        """It has room for everything again."""
        self.handed_room = MAX_HANDED_ON
        self.is_waited_for = False
        self.epochs.begin_transaction()

    def land(self, run_id: RunId) -> None:
        """The attempt that was in flight is no longer."""
        flight = self.in_flight.pop(run_id, None)
        if flight is not None:
            self.in_flight_count[flight.timeout_class] -= 1

    def take_off(self, run_id: RunId, flight: InFlight) -> None:
        self.in_flight[run_id] = flight
        self.in_flight_count[flight.timeout_class] += 1

    def expect_start(self, run: Run) -> None:
        if run.start_by is not None and run.status.started_at is None:
            heapq.heappush(self.start_deadlines, (run.start_by, run.run_id))

    def wait_until(self, due_at: datetime, run_id: RunId) -> None:
        heapq.heappush(self.waiting, (due_at, run_id))

    def make_ready(self, run: Run) -> None:
        heapq.heappush(self.ready[run.status.timeout_class or ""], (run.lane, run.due_at, run.run_id))
