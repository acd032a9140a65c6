"""What one owner knows, by how long it lives: the values in the containers are frozen, and only `step` changes them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from schemas.ids import ExecutorId, OwnerId, RunId, dag_run_of, owner_of_run
from schemas.times import EPOCH
from schemas.words import RunKind
from streams.core.agenda import Agenda
from streams.core.dag.epoch import Epoch
from streams.core.dag.open_epochs import OpenEpochs
from streams.core.definitions.sharing import Shared
from streams.core.policy.rules import Rules
from streams.core.requests.open_backfills import OpenBackfills
from streams.core.requests.park import Park
from streams.core.room import TransactionRoom
from streams.core.runs.fleet import Fleet, InFlight
from streams.core.runs.occupancy import Occupancy, entry_of
from streams.core.runs.run import Run, Turn
from streams.core.schedule.timers import Timers
from streams.core.stored import Applied, Cursor, Forgotten, StoredJob, StoredQuarantine, StoredRequest, Tally


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
    newest_version: int = 0
    """The highest version of a definition that was read."""
    applied: dict[str, Applied] = field(default_factory=dict)
    """By input topic."""
    jobs: dict[OwnerId, StoredJob] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By job."""
    runs: dict[RunId, Run] = field(default_factory=dict)
    requests: dict[RunId, StoredRequest] = field(default_factory=dict)
    """By `Request.key`."""
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
    occupancy: dict[str, Occupancy] = field(default_factory=lambda: defaultdict(Occupancy))
    """By job: what of its open runs stands in the way of others."""
    waiting: Agenda[datetime, RunId] = field(default_factory=Agenda)
    """Runs that are not due yet."""
    ready: dict[str, Agenda[Turn, RunId]] = field(default_factory=lambda: defaultdict(Agenda))
    """By timeout class: runs that wait for room in their runs partition."""
    start_deadlines: Agenda[datetime, RunId] = field(default_factory=Agenda)
    """Open runs by `start_by`."""
    catchup_slots: Agenda[datetime, str] = field(default_factory=Agenda)
    """By job: when its next run that catches up may start."""
    request_ages: dict[str, list[tuple[datetime, RunId]]] = field(default_factory=lambda: defaultdict(list))
    """By source, a heap, by creation time."""
    parked: dict[OwnerId, list[RunId]] = field(default_factory=dict)
    """Requests that wait for their definition."""
    arrived: dict[OwnerId, None] = field(default_factory=dict)
    """Owners whose definition is there, and whose requests are still parked; in the order in which they came."""
    parked_deadlines: list[tuple[datetime, RunId]] = field(default_factory=list)
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
    fleet: Fleet = field(default_factory=Fleet)
    strays: dict[ExecutorId, dict[tuple[RunId, int], datetime]] = field(default_factory=dict)
    """Attempts (run, token) that heartbeats list and that are not current, with the time of the first heartbeat."""
    silence_from: datetime = EPOCH
    """Ignore silence before this time: the owner took over then (protocol L3)."""
    absences: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Times (from, to) since then in which silence does not count, in order: the owner was away."""
    catchup_goes_on: datetime = EPOCH
    """When the next run that catches up may be dispatched, if the rate of the partition were kept at every moment."""


@dataclass(slots=True, kw_only=True)
class StepWork:
    """What one pass of a step hands to the next, and what the step as a whole leaves for the next step."""

    is_cut: bool = False
    """The record that was stepped over last has to come again: more follows from it than the transaction holds."""
    freed: set[str] = field(default_factory=set)
    """Jobs whose held runs may be let go: something has changed."""
    may_dispatch_more: bool = False
    """There was room for more dispatches than one step sends."""
    catchup_wake: datetime | None = None
    """Runs that catch up are ready, and may go on then."""
    backfill_ends: list[Run] = field(default_factory=list)
    """Runs of backfills that have ended and are not counted yet."""
    touched_backfills: set[RunId] = field(default_factory=set)
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
    transaction: TransactionRoom = field(init=False)
    step: StepWork = field(default_factory=StepWork)
    at_work: str | None = None
    """The job or DAG in whose work an exception is raised now; None: in nobody's alone."""

    def __post_init__(self) -> None:
        self.begin_transaction()

    def next_token(self) -> int:
        self.durable.token += 1
        return self.durable.token

    def keep(self, run: Run) -> None:
        """The run's new value; the indexes follow."""
        before = self.durable.runs.get(run.run_id)
        if run.state.is_final:
            self._forget(run.run_id, before)
        else:
            self.durable.runs[run.run_id] = run
        if run.status.node_id is None:
            self._index(before, run)
        else:
            self._note_node(run, run.status.node_id, before)

    def _forget(self, run_id: RunId, before: Run | None) -> None:
        self.durable.runs.pop(run_id, None)
        self.derived.waiting.drop(run_id)
        self.derived.start_deadlines.drop(run_id)
        if before is not None:
            self.derived.ready[before.status.timeout_class or ""].drop(run_id)

    def _index(self, before: Run | None, run: Run) -> None:
        """A node is not one of its DAG's open runs, but of its epoch's."""
        run_id, job_id = run.run_id, run.status.job_id
        self._occupy(job_id, before, run)
        if not run.state.is_final:
            self.derived.open_runs[job_id].add(run_id)
            return
        if run.backfill_id:
            self.step.backfill_ends.append(run)
        if job_id in self.derived.backfills.unplanned and run.has_begun:
            self.step.touched_backfills |= self.derived.backfills.note_end(run)
        if self.derived.epochs.reopened.pop(run_id, None):
            self.step.abandoned.append(run_id)
        self.derived.open_runs[job_id].discard(run_id)
        if not self.derived.open_runs[job_id]:
            del self.derived.open_runs[job_id]

    def _occupy(self, job_id: str, before: Run | None, run: Run) -> None:
        left = before and entry_of(before)
        taken = None if run.state.is_final else entry_of(run)
        if left != taken:
            occupancy = self.derived.occupancy[job_id]
            if left:
                occupancy.remove(left)
            if taken:
                occupancy.add(taken)
            if not occupancy:
                del self.derived.occupancy[job_id]
        if run.state.is_final and self.held_count(job_id):
            self.step.freed.add(job_id)

    def _note_node(self, run: Run, node_id: str, found: Run | None) -> None:
        before, after = None if found is None else found.status.state, run.status.state
        if before is after:
            return
        epoch = self.derived.epochs.by_run[dag_run_of(run.run_id)]
        node = epoch.graph.index[node_id]
        epoch.move(node, before, after)
        self.step.touched_epochs[epoch.run_id] = None
        if after.is_final:
            self.transaction.take(effects=1)  # to store how it ended
            self.step.node_ends.append((epoch, node, run))

    def held_count(self, job_id: str) -> int:
        """How many open runs of the job wait for others to end."""
        occupancy = self.derived.occupancy.get(job_id)
        return occupancy.held_count if occupancy else 0

    def kind_of(self, owner: str, of_a_job: RunKind) -> RunKind:
        """Of a run of this job, or DAG."""
        return of_a_job if self.durable.jobs[OwnerId(owner)].dag is None else RunKind.DAG

    @property
    def has_more_to_do(self) -> bool:
        """Without any further input: what did not fit the last step."""
        return (
            self.step.may_dispatch_more
            or self.step.more_of_backfills
            or self.derived.epochs.may_go_on
            or bool(self.derived.arrived or self.step.freed or self.step.touched_epochs)
        )

    def leaves_alone(self, run_id: str) -> bool:
        """It is a run of a quarantined job, of which nothing is known."""
        return bool(self.durable.quarantined) and owner_of_run(run_id) in self.durable.quarantined

    def begin_transaction(self) -> None:
        """It has room for everything again."""
        self.transaction = TransactionRoom(bounds=self.rules.bounds)

    def land(self, run_id: RunId) -> None:
        """The attempt that was in flight is no longer."""
        flight = self.seen.in_flight.pop(run_id, None)
        if flight is not None:
            self.seen.fleet.count(flight, -1)

    def take_off(self, run_id: RunId, flight: InFlight) -> None:
        self.seen.in_flight[run_id] = flight
        self.seen.fleet.count(flight, 1)

    def expect_start(self, run: Run) -> None:
        if run.start_by is not None and run.status.started_at is None:
            self.derived.start_deadlines.put(run.run_id, run.start_by)

    def wait_until(self, due_at: datetime, run_id: RunId) -> None:
        self.derived.waiting.put(run_id, due_at)

    def make_ready(self, run: Run) -> None:
        self.derived.ready[run.status.timeout_class or ""].put(run.run_id, run.turn)
