"""The state of one partition owner, grouped by lifetime. The values in it are frozen; only `step` changes it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from schemas.confinement import Confinement, demands
from schemas.digest import DefinitionDigest
from schemas.ids import ExecutorId, OwnerId, RunId, dag_run_of, owner_of_run
from schemas.reasons import ReasonCode
from schemas.times import EPOCH
from schemas.words import RunKind
from streams.core.agenda import Agenda
from streams.core.dag.epoch import Epoch
from streams.core.dag.open_epochs import OpenEpochs
from streams.core.definitions.sharing import Shared
from streams.core.requests.open_backfills import OpenBackfills
from streams.core.requests.park import Park
from streams.core.room import TransactionRoom
from streams.core.runs.fleet import Fleet, InFlight
from streams.core.runs.occupancy import Occupancy, occupancy_entry
from streams.core.runs.ready import ReadyQueue
from streams.core.runs.run import Run
from streams.core.schedule.timers import Timers
from streams.core.settings import CoreSettings
from streams.core.stored import Applied, Cursor, Forgotten, StoredJob, StoredQuarantine, StoredRequest, Tally


@dataclass(slots=True, kw_only=True)
class Durable:
    """What the topic `state` holds (protocol O1). The next owner of the partition recovers from this alone."""

    watermark: datetime = EPOCH
    cursor: Cursor | None = None
    token: int = 0
    newest_requests: dict[str, datetime] = field(default_factory=dict)
    """By source topic: the latest creation time of an applied request."""
    newest_definition: datetime = EPOCH
    """The latest `valid_from` of an applied definition."""
    forgotten: Forgotten | None = None
    """None: no deletion has been forgotten."""
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
    """The partition owner knows only the definitions of these jobs; their runs and backfills stay in the topic."""


@dataclass(slots=True, kw_only=True)
class Derived:
    """Indexes over `Durable`. Recovery rebuilds them, so no decision may depend on their history."""

    shared: Shared = field(default_factory=Shared)
    """One copy of each value that many jobs have in common."""
    digest: DefinitionDigest = field(default_factory=DefinitionDigest)
    """Of the versions that were read of all jobs and DAGs (`definitions/versions_read.py`)."""
    unscheduled: set[str] = field(default_factory=set)
    """Jobs whose schedule this owner cannot follow: it is invalid, or a tick of it raised."""
    timers: Timers = field(default_factory=Timers)
    open_runs: dict[str, set[RunId]] = field(default_factory=lambda: defaultdict(set))
    """By job."""
    occupancy: dict[str, Occupancy] = field(default_factory=lambda: defaultdict(Occupancy))
    """By job: its open runs as the overlap policy counts them."""
    waiting: Agenda[datetime, RunId] = field(default_factory=Agenda)
    """Runs by the time at which they become due."""
    held: int = 0
    """The open runs that wait for other runs of their job or DAG to end; those of backfills do not count."""
    ready: dict[str, ReadyQueue] = field(default_factory=lambda: defaultdict(ReadyQueue))
    """By timeout class: due runs that wait for room in the window of an executor that can run them."""
    start_deadlines: Agenda[datetime, RunId] = field(default_factory=Agenda)
    """Open runs by `start_by`."""
    catchup_slots: Agenda[datetime, str] = field(default_factory=Agenda)
    """By job: when its next run that catches up may start."""
    request_ages: dict[str, list[tuple[datetime, RunId]]] = field(default_factory=lambda: defaultdict(list))
    """By source, a heap, by creation time."""
    parked: dict[OwnerId, list[RunId]] = field(default_factory=dict)
    """By job or DAG id: requests that wait for the definition."""
    arrived: dict[OwnerId, None] = field(default_factory=dict)
    """Jobs whose definition has arrived and whose requests are still parked, in order of arrival."""
    parked_deadlines: list[tuple[datetime, RunId]] = field(default_factory=list)
    """A heap: when each parked request is refused. Entries of requests that no longer wait are skipped."""
    park: Park = field(default_factory=Park)
    """The number and size of the parked requests."""
    deleted: set[OwnerId] = field(default_factory=set)
    """Deleted jobs whose deletion is still remembered."""
    deletions: list[tuple[datetime, OwnerId]] = field(default_factory=list)
    """A heap of deleted jobs, by the time of the deletion."""
    newly_quarantined: set[OwnerId] = field(default_factory=set)
    """Jobs whose quarantine is not written yet."""
    to_try: dict[OwnerId, StoredQuarantine] = field(default_factory=dict)
    """Quarantined jobs whose definition has changed: the owner first tries that change."""
    is_outdated: bool = False
    """The definition of a quarantined job has changed: the next owner reads its stored state and tries again."""
    backfills: OpenBackfills = field(default_factory=OpenBackfills)
    epochs: OpenEpochs = field(default_factory=OpenEpochs)


@dataclass(slots=True, kw_only=True)
class Seen:
    """What this owner has observed since it took over: dispatches, heartbeats and its own absences."""

    in_flight: dict[RunId, InFlight] = field(default_factory=dict)
    fleet: Fleet = field(default_factory=Fleet)
    strays: dict[ExecutorId, dict[tuple[RunId, int], datetime]] = field(default_factory=dict)
    """Attempts (run, token) that heartbeats list and that are not current, with the time of the first heartbeat."""
    silence_from: datetime = EPOCH
    """Ignore silence before this time: the owner took over then (protocol L3)."""
    absences: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Ordered intervals (from, to) since then in which silence does not count, because the owner was away."""
    catchup_goes_on: datetime = EPOCH
    """The earliest dispatch of the next catch-up run at an even rate; `runs/pace.py` allows a burst before it."""


@dataclass(slots=True, kw_only=True)
class StepWork:
    """What one pass leaves for a later pass, or one step for the next step."""

    is_cut: bool = False
    """The last input is only partly applied, because its effects do not fit the transaction: read its record again."""
    freed: set[str] = field(default_factory=set)
    """Jobs whose held runs may be released, because a run ended or the definition changed."""
    may_dispatch_more: bool = False
    """The windows have room for more dispatches, but the transaction was full."""
    catchup_wake: datetime | None = None
    """When the rate limit allows the next ready run that catches up; None: none waits for it."""
    backfill_ends: list[Run] = field(default_factory=list)
    """Ended runs that their backfills have not counted yet."""
    touched_backfills: set[RunId] = field(default_factory=set)
    """Backfills that may release more runs, or may have ended."""
    more_of_backfills: bool = False
    """Backfills have more to plan or to cancel than one step does."""
    node_ends: list[tuple[Epoch, int, Run]] = field(default_factory=list)
    """Ended nodes that their DAG runs have not counted yet."""
    touched_epochs: dict[RunId, None] = field(default_factory=dict)
    """DAG runs whose nodes changed state since their status was last published, in order."""
    abandoned: list[RunId] = field(default_factory=list)
    """Reopened DAG runs that ended before resuming."""


@dataclass(slots=True, kw_only=True)
class OwnerState:
    """The whole state of one partition owner. Only `step` changes it."""

    partition: int
    settings: CoreSettings
    durable: Durable = field(default_factory=Durable)
    derived: Derived = field(default_factory=Derived)
    seen: Seen = field(default_factory=Seen)
    transaction: TransactionRoom = field(init=False)
    step: StepWork = field(default_factory=StepWork)
    current_job: str | None = None
    """The job or DAG that `step` works on; an exception now quarantines it. None: no single one."""

    def __post_init__(self) -> None:
        self.begin_transaction()

    def next_token(self) -> int:
        self.durable.token += 1
        return self.durable.token

    def keep(self, run: Run) -> None:
        """Store the run's new value and update the indexes."""
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
        """Not for nodes: a node belongs to its DAG run, not to the open runs of its DAG."""
        run_id, job_id = run.run_id, run.status.job_id
        self._occupy(job_id, before, run)
        if not run.state.is_final:
            self.derived.open_runs[job_id].add(run_id)
            return
        if run.backfill_id:
            self.step.backfill_ends.append(run)
        if job_id in self.derived.backfills.unplanned and run.has_started:
            self.step.touched_backfills |= self.derived.backfills.note_end(run)
        if self.derived.epochs.reopened.pop(run_id, None):
            self.step.abandoned.append(run_id)
        self.derived.open_runs[job_id].discard(run_id)
        if not self.derived.open_runs[job_id]:
            del self.derived.open_runs[job_id]

    def _occupy(self, job_id: str, before: Run | None, run: Run) -> None:
        left = before and occupancy_entry(before)
        taken = None if run.state.is_final else occupancy_entry(run)
        if left != taken:
            occupancy = self.derived.occupancy[job_id]
            if left:
                occupancy.remove(left)
                self.derived.held -= left.category.is_held
            if taken:
                occupancy.add(taken)
                self.derived.held += taken.category.is_held
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
        epoch.count_transition(node, before, after)
        self.step.touched_epochs[epoch.run_id] = None
        if after.is_final:
            self.transaction.spend(effects=1)  # to store how it ended
            self.step.node_ends.append((epoch, node, run))

    def held_count(self, job_id: str) -> int:
        """How many open runs of the job wait for other runs to end."""
        occupancy = self.derived.occupancy.get(job_id)
        return occupancy.held_count if occupancy else 0

    def kind_of(self, owner: str, of_a_job: RunKind) -> RunKind:
        """The kind of a run: `of_a_job`, or DAG if `owner` (a job or DAG id) is a DAG."""
        return of_a_job if self.durable.jobs[OwnerId(owner)].dag is None else RunKind.DAG

    @property
    def has_more_to_do(self) -> bool:
        """Whether work is left that did not fit the last step and needs no further input."""
        return (
            self.step.may_dispatch_more
            or self.step.more_of_backfills
            or self.derived.epochs.may_go_on
            or bool(self.derived.arrived or self.step.freed or self.step.touched_epochs)
        )

    def is_of_quarantined(self, run_id: str) -> bool:
        """Whether the run belongs to a quarantined job, whose runs the partition owner does not know."""
        return bool(self.durable.quarantined) and owner_of_run(run_id) in self.durable.quarantined

    def begin_transaction(self) -> None:
        """Start with an empty transaction."""
        self.transaction = TransactionRoom(bounds=self.settings.bounds)

    def remove_in_flight(self, run_id: RunId) -> None:
        """The attempt has ended."""
        flight = self.seen.in_flight.pop(run_id, None)
        if flight is not None:
            self.seen.fleet.count(flight, -1)

    def add_in_flight(self, run_id: RunId, flight: InFlight) -> None:
        self.seen.in_flight[run_id] = flight
        self.seen.fleet.count(flight, 1)

    def expect_start(self, run: Run) -> None:
        if run.start_by is not None and run.status.started_at is None:
            self.derived.start_deadlines.put(run.run_id, run.start_by)

    def wait_until(self, due_at: datetime, run_id: RunId) -> None:
        self.derived.waiting.put(run_id, due_at)

    def make_ready(self, run: Run, asked: Confinement | None) -> None:
        """`asked`: what its next attempt asks of an executor."""
        is_said = run.status.reason_code is ReasonCode.NO_CAPABLE_EXECUTOR
        queue = self.derived.ready[run.status.timeout_class or ""]
        queue.put(run.run_id, run.dispatch_order, demands(asked), is_said=is_said)
