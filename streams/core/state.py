"""What one owner knows, by how long it lives: the values in the containers are frozen, and only `step` changes them."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from schemas.ids import ExecutorId, OwnerId, RequestId, RunId, dag_run_of, owner_of_run
from schemas.times import EPOCH
from schemas.words import RunKind, RunState
from streams.core.dag import open_epochs
from streams.core.dag.epoch import Epoch
from streams.core.dag.open_epochs import OpenEpochs
from streams.core.open_backfills import OpenBackfills
from streams.core.park import Park
from streams.core.rules import Rules
from streams.core.run import Lane, Run
from streams.core.sharing import Shared
from streams.core.stored import Applied, Cursor, Forgotten, StoredJob, StoredQuarantine, StoredRequest, Tally
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
class Durable:
    """What the topic `state` holds (protocol O1): the next owner of the partition reads it, and nothing else."""

    watermark: datetime = EPOCH
    cursor: Cursor | None = None
    token: int = 0
    newest_requests: dict[str, datetime] = field(default_factory=dict)
    """By source: the highest creation time of a request that was applied."""
    newest_definition: datetime = EPOCH
    """The latest time of a definition that was applied."""
    forgotten: Forgotten | None = None
    """None: no deletion was forgotten."""
    applied: dict[str, Applied] = field(default_factory=dict)
    """By input topic."""
    jobs: dict[OwnerId, StoredJob] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By job."""
    runs: dict[RunId, Run] = field(default_factory=dict)
    requests: dict[RequestId, StoredRequest] = field(default_factory=dict)
    quarantined: dict[OwnerId, StoredQuarantine] = field(default_factory=dict)
    """Of these nothing is known but their definitions: their runs, epochs and backfills wait in the topic."""


@dataclass(slots=True, kw_only=True)
class Derived:
    """Indexes over `Durable`. Recovery computes them again; no decision may depend on how they were reached."""

    shared: Shared = field(default_factory=Shared)
    """Values that many jobs have in common."""
    quarantined: set[str] = field(default_factory=set)
    """Jobs whose schedule cannot be followed."""
    timers: Timers = field(default_factory=Timers)
    open_runs: dict[str, set[RunId]] = field(default_factory=lambda: defaultdict(set))
    """By job."""
    held: dict[str, set[RunId]] = field(default_factory=dict)
    """By job: its open runs that wait for others to end."""
    waiting: list[tuple[datetime, RunId]] = field(default_factory=list)
    """A heap: runs that are not due yet. An entry whose run has moved on is stale and skipped."""
    ready: dict[str, list[tuple[Lane, datetime, RunId]]] = field(default_factory=lambda: defaultdict(list))
    """By timeout class, a heap: runs that wait for room in their runs partition."""
    start_deadlines: list[tuple[datetime, RunId]] = field(default_factory=list)
    """A heap, by `start_by`; stale entries are skipped."""
    catchup_slots: dict[str, datetime] = field(default_factory=dict)
    """By job: when its next run that catches up may start."""
    request_ages: dict[str, list[tuple[datetime, RequestId]]] = field(default_factory=lambda: defaultdict(list))
    """By source, a heap, by creation time."""
    parked: dict[OwnerId, list[RequestId]] = field(default_factory=dict)
    """Requests that wait for their definition."""
    parked_deadlines: list[tuple[datetime, RequestId]] = field(default_factory=list)
    """A heap: when each of them is refused. An entry of a request that waits no more is stale and skipped."""
    park: Park = field(default_factory=Park)
    """What those that wait take."""
    deletions: list[tuple[datetime, OwnerId]] = field(default_factory=list)
    """A heap, by the time of the deletion."""
    newly_quarantined: set[OwnerId] = field(default_factory=set)
    """That is not written yet."""
    to_try: dict[OwnerId, StoredQuarantine] = field(default_factory=dict)
    """Their definition has changed since they were quarantined: the owner begins with that change."""
    is_outdated: bool = False
    """A definition of a quarantined job has changed: the next owner tries it again with all that is stored of it."""
    backfills: OpenBackfills = field(default_factory=OpenBackfills)
    epochs: OpenEpochs = field(default_factory=OpenEpochs)


@dataclass(slots=True, kw_only=True)
class Seen:
    """What this owner has observed since it took over: dispatches, heartbeats, and its own absences."""

    in_flight: dict[RunId, InFlight] = field(default_factory=dict)
    in_flight_count: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By timeout class."""
    executors: dict[ExecutorId, ExecutorView] = field(default_factory=dict)
    strays: dict[ExecutorId, dict[tuple[RunId, int], datetime]] = field(default_factory=dict)
    """Attempts (run, token) that heartbeats list and that are not current, with the time of the first heartbeat."""
    silence_from: datetime = EPOCH
    """Ignore silence before this time: the owner itself was away or could not read (protocol L3)."""
    catchup_goes_on: datetime = EPOCH
    """When the next run that catches up may be dispatched, if the rate of the partition were kept at every moment."""


@dataclass(slots=True, kw_only=True)
class TransactionRoom:
    """What the current transaction still has room for; each transaction begins with a new one."""

    handed_room: int = MAX_HANDED_ON
    """Bytes of payloads and results that its dispatches may still carry."""
    nodes_room: int = field(default_factory=lambda: open_epochs.MAX_NODES_MOVED)
    """Nodes of DAG runs that it may still start, stop, pass over or forget."""
    is_waited_for: bool = False
    """One of its dispatches goes into a window that is less than half full: an executor waits for it."""

    @property
    def is_full(self) -> bool:
        """What needs more room waits for the next transaction, so this one waits for nothing."""
        return self.handed_room <= 0 or self.nodes_room <= 0


@dataclass(slots=True, kw_only=True)
class StepWork:
    """What one pass of a step hands to the next, and what the step as a whole leaves for the next step."""

    change_is_cut: bool = False
    """The definition that was stepped over last has to come again: its old version has more to decide."""
    freed: set[str] = field(default_factory=set)
    """Jobs whose held runs may be let go: something has changed."""
    may_dispatch_more: bool = False
    """There was room for more dispatches than one step sends."""
    catchup_wake: datetime | None = None
    """Runs that catch up are ready, and may go on then."""
    backfill_ends: list[Run] = field(default_factory=list)
    """Runs of backfills that have ended and are not counted yet."""
    touched_backfills: set[RequestId] = field(default_factory=set)
    """Backfills that may go on, or have ended."""
    more_of_backfills: bool = False
    """There is more to plan, or to cancel, than one step does."""
    node_ends: list[tuple[Epoch, int, Run]] = field(default_factory=list)
    """Nodes whose runs have ended and are not counted yet."""
    touched_epochs: dict[RunId, None] = field(default_factory=dict)
    """DAG runs whose nodes have moved since their status was last written; in that order."""
    abandoned: list[RunId] = field(default_factory=list)
    """Reopened DAG runs that ended before resuming."""


@dataclass(slots=True, kw_only=True)
class OwnerState:
    """One container that only `step` changes, in five values by how long each lives."""

    partition: int
    rules: Rules
    durable: Durable = field(default_factory=Durable)
    derived: Derived = field(default_factory=Derived)
    seen: Seen = field(default_factory=Seen)
    transaction: TransactionRoom = field(default_factory=TransactionRoom)
    step: StepWork = field(default_factory=StepWork)
    at_work: str | None = None
    """The job or DAG in whose work an exception is raised now; None: in nobody's alone."""

    def next_token(self) -> int:
        self.durable.token += 1
        return self.durable.token

    def keep(self, run: Run) -> None:
        """The run's new value; the indexes follow."""
        if run.status.node_id is not None:
            self._keep_node(run, run.status.node_id)
            return
        run_id, job_id = run.run_id, run.status.job_id
        if run.held or self.derived.held:
            self._hold(run)
        if run.state.is_final:
            if run.backfill_id:
                self.step.backfill_ends.append(run)
            if job_id in self.derived.backfills.unplanned and run.has_begun:
                self.step.touched_backfills |= self.derived.backfills.note_end(run)
            if self.derived.epochs.reopened.pop(run_id, None):
                self.step.abandoned.append(run_id)
            self.durable.runs.pop(run_id, None)
            self.derived.open_runs[job_id].discard(run_id)
            if not self.derived.open_runs[job_id]:
                del self.derived.open_runs[job_id]
        else:
            self.durable.runs[run_id] = run
            self.derived.open_runs[job_id].add(run_id)

    def _keep_node(self, run: Run, node_id: str) -> None:
        """It is not one of its DAG's open runs, but of its epoch's."""
        run_id, after = run.status.run_id, run.status.state
        found = self.durable.runs.get(run_id)
        before = None if found is None else found.status.state
        if before is not after:
            self._note_node(run, node_id, before, after)
        if after.is_final:
            self.durable.runs.pop(run_id, None)
        else:
            self.durable.runs[run_id] = run

    def _note_node(self, run: Run, node_id: str, before: RunState | None, after: RunState) -> None:
        epoch = self.derived.epochs.by_run[dag_run_of(run.run_id)]
        node = epoch.graph.index[node_id]
        epoch.move(node, before, after)
        self.step.touched_epochs[epoch.run_id] = None
        if after.is_final:
            self.step.node_ends.append((epoch, node, run))

    def _hold(self, run: Run) -> None:
        run_id, job_id = run.run_id, run.status.job_id
        if run.held and not run.state.is_final:
            self.derived.held.setdefault(job_id, set()).add(run_id)
        elif job_id in self.derived.held:
            self.derived.held[job_id].discard(run_id)
            if not self.derived.held[job_id]:
                del self.derived.held[job_id]
            if run.state.is_final:
                self.step.freed.add(job_id)

    def kind_of(self, owner: str, of_a_job: RunKind) -> RunKind:
        """Of a run of this job, or DAG."""
        return of_a_job if self.durable.jobs[OwnerId(owner)].dag is None else RunKind.DAG

    @property
    def has_more_to_do(self) -> bool:
        """Without any further input: what did not fit the last step."""
        return self.step.may_dispatch_more or self.step.more_of_backfills or self.derived.epochs.may_go_on

    def leaves_alone(self, run_id: str) -> bool:
        """It is a run of a quarantined job, of which nothing is known."""
        return bool(self.durable.quarantined) and owner_of_run(run_id) in self.durable.quarantined

    def begin_transaction(self) -> None:
        """It has room for everything again."""
        self.transaction = TransactionRoom()

    def land(self, run_id: RunId) -> None:
        """The attempt that was in flight is no longer."""
        flight = self.seen.in_flight.pop(run_id, None)
        if flight is not None:
            self.seen.in_flight_count[flight.timeout_class] -= 1

    def take_off(self, run_id: RunId, flight: InFlight) -> None:
        self.seen.in_flight[run_id] = flight
        self.seen.in_flight_count[flight.timeout_class] += 1

    def expect_start(self, run: Run) -> None:
        if run.start_by is not None and run.status.started_at is None:
            heapq.heappush(self.derived.start_deadlines, (run.start_by, run.run_id))

    def wait_until(self, due_at: datetime, run_id: RunId) -> None:
        heapq.heappush(self.derived.waiting, (due_at, run_id))

    def make_ready(self, run: Run) -> None:
        heapq.heappush(self.derived.ready[run.status.timeout_class or ""], (run.lane, run.due_at, run.run_id))
