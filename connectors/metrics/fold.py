"""The figures of `status` as a fold over its records. Pure; what it knows is saved and loaded by `snapshot`.

A partition's records are folded in the order of their offsets, and an offset is folded once: replayed records change
nothing. A record holds the transitions and attempts of its run (protocol S1), and the fold remembers for each open run
up to which version it has counted, so a log that was compacted beyond the last folded offset gives the same figures.
A run that the fold does not know is new, or begins a new life after its end (decision 7): its whole record counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from connectors.metrics.figures import Figures
from connectors.metrics.names import NO_NAMES, Names, SavedNames
from connectors.metrics.status_seen import SeenAttempt, SeenHead, SeenRun, SeenTransition
from observe.catalogue import status as catalogue
from observe.catalogue.status import NO_CLASS, OTHER
from schemas.codec import decode
from schemas.errors import UndecodableError
from schemas.ids import PROBE_JOBS
from schemas.reasons import HOLDING, ReasonCode
from schemas.words import NEVER_RAN, AttemptEnd, RunKind, RunState

MAX_SUCCESSES = 2_000
"""The most series of tidemill_job_last_success_timestamp_seconds."""
PARTS = frozenset({RunKind.NODE, RunKind.BACKFILL})
"""Kinds that the families by job and by tenant leave out: a DAG run stands for its nodes, its runs for a backfill."""
_RETRIED = frozenset({AttemptEnd.FAILED, AttemptEnd.TIMED_OUT, AttemptEnd.LOST, AttemptEnd.REJECTED})
_WAITED_ON = frozenset({ReasonCode.EXPIRED, ReasonCode.NO_CAPABLE_EXECUTOR})
"""With these a run that is queued stays queued: its wait goes on."""
_NOT_KNOWN = -1


class OpenRun(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the fold remembers of a run that has not ended. The texts are labels, shared by all runs."""

    version: int
    """Transitions up to this version are counted."""
    state: RunState
    kind: RunKind
    timeout_class: str
    tenant: str
    job: str
    started: int
    """The latest attempt whose start is counted; 0: none."""
    ended: int
    """The latest attempt whose end is counted; 0: none."""


class Partition(msgspec.Struct):
    next_offset: int
    counts_from: int
    """Records below this offset only say which runs are open."""
    runs: dict[str, OpenRun] = {}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    classes: tuple[str, ...]
    """The timeout classes of the deployment."""
    tenants: int = 100
    """How many tenants have a label of their own."""
    jobs: int = 100
    """How many jobs have a label of their own; 0: there is no family by job."""
    successes: bool = False
    """Whether the last success of each job is kept."""


class Fold:
    """All that is known: one container, which only `fold` changes."""

    __slots__ = ("classes", "figures", "jobs", "options", "partitions", "successes", "tenants")

    def __init__(self, options: Options, names: SavedNames = NO_NAMES) -> None:
        self.options = options
        left_out = () if options.jobs else (catalogue.JOB_RUNS, catalogue.JOB_OPEN)
        self.figures = Figures(each for each in catalogue.FOLDED if each not in left_out)
        self.classes = {name: name for name in options.classes}
        self.tenants, self.jobs = Names(options.tenants, names.tenants), Names(options.jobs, names.jobs)
        self.partitions: dict[int, Partition] = {}
        self.successes: dict[str, datetime] = {}

    def class_label(self, name: str | None) -> str:
        return NO_CLASS if name is None else self.classes.get(name, OTHER)


def fold(state: Fold, number: int, offset: int, key: bytes | None, value: bytes | None) -> None:
    """Apply one record of partition `number`; `value` None is a tombstone."""
    partition = state.partitions[number]
    if offset < partition.next_offset:
        return
    partition.next_offset = offset + 1
    if value is None:
        known = partition.runs.pop((key or b"").decode(errors="replace"), None)
        _count_open(state, known, -1)
        return
    try:
        if offset >= partition.counts_from:
            _fold_run(state, partition, decode(value, SeenRun))
        else:
            _learn(state, partition, value)
    except UndecodableError:
        if offset >= partition.counts_from:
            state.figures.add(catalogue.UNREADABLE, "record")


def skip_batch(state: Fold, number: int, last: int) -> None:
    """No client can read the records up to offset `last`."""
    partition = state.partitions[number]
    if last < partition.next_offset:
        return
    partition.next_offset = last + 1
    if last >= partition.counts_from:
        state.figures.add(catalogue.UNREADABLE, "batch")


def _learn(state: Fold, partition: Partition, value: bytes) -> None:
    """A record from before the counting began."""
    head = decode(value, SeenHead)
    if head.job_id in PROBE_JOBS:
        return
    _note_success(state, head)
    if head.state.is_final:
        _count_open(state, partition.runs.pop(head.run_id, None), -1)
        return
    run = decode(value, SeenRun)
    _remember(state, partition, run, partition.runs.get(run.run_id))


def _fold_run(state: Fold, partition: Partition, run: SeenRun) -> None:
    if run.job_id in PROBE_JOBS:
        return
    known = partition.runs.get(run.run_id)
    counted = _NOT_KNOWN if known is None else known.version
    if run.version <= counted:
        return
    for transition in run.transitions:
        if transition.version > counted:
            _count_transition(state, run, transition)
    started, ended = (0, 0) if known is None else (known.started, known.ended)
    for attempt in run.attempts:
        if attempt.started_at is not None and attempt.attempt > started:
            _count_start(state, run, attempt, is_first=started == 0)
            started = attempt.attempt
        if attempt.end is not None and attempt.attempt > ended:
            _count_end(state, attempt, attempt.end)
    _note_success(state, run)
    _remember(state, partition, run, known)


def _count_transition(state: Fold, run: SeenRun, transition: SeenTransition) -> None:
    to, figures = transition.state, state.figures
    figures.add(catalogue.RUNS, to.value, run.kind.value, state.class_label(_class_at(run, transition)))
    if run.kind is RunKind.DAG and to is RunState.RUNNING:
        _count_opening(state, run, transition)
    if not to.is_final:
        return
    if run.kind is RunKind.DAG and run.started_at and run.finished_at:
        figures.observe(catalogue.DAG_RUN_SECONDS, run.finished_at - run.started_at)
    if to in NEVER_RAN and run.kind is not RunKind.BACKFILL:
        code = transition.reason_code or ReasonCode.OTHER
        figures.add(catalogue.NOT_RUN, to.value, code.value, by=run.missed.count if run.missed else 1)
    if run.kind not in PARTS:
        figures.add(catalogue.TENANT_RUNS, state.tenants.label(run.tenant), to.value)
        if state.options.jobs:
            figures.add(catalogue.JOB_RUNS, state.jobs.label(run.job_id), to.value)


def _count_opening(state: Fold, run: SeenRun, opened: SeenTransition) -> None:
    if run.request_id is None and run.rerun_id is None and not _was_held(run):
        late = opened.at - run.scheduled_time
        state.figures.observe(catalogue.LATENESS, late, RunKind.DAG.value, NO_CLASS)


def _count_start(state: Fold, run: SeenRun, attempt: SeenAttempt, *, is_first: bool) -> None:
    assert attempt.started_at is not None
    figures, label = state.figures, state.class_label(attempt.timeout_class)
    queued = _queued_at(run, attempt.attempt)
    figures.observe(catalogue.QUEUE_SECONDS, attempt.started_at - queued, run.kind.value, label)
    if _is_retry(run, attempt.attempt):
        figures.add(catalogue.RETRIES, label)
    is_timed = run.kind in {RunKind.SCHEDULED, RunKind.REQUESTED} and run.rerun_id is None
    if is_first and is_timed and not _was_held(run):
        figures.observe(catalogue.LATENESS, attempt.started_at - run.scheduled_time, run.kind.value, label)


def _count_end(state: Fold, attempt: SeenAttempt, end: AttemptEnd) -> None:
    figures, label = state.figures, state.class_label(attempt.timeout_class)
    figures.add(catalogue.ATTEMPTS, end.value, label)
    if attempt.reason_code is not None:
        figures.add(catalogue.ATTEMPT_REASONS, attempt.reason_code.value)
    if attempt.started_at and attempt.finished_at:
        figures.observe(catalogue.ATTEMPT_SECONDS, attempt.finished_at - attempt.started_at, label)


def _class_at(run: SeenRun, transition: SeenTransition) -> str | None:
    """The class of the attempt that the transition belongs to; of a waiting run, of the attempt that follows."""
    waits = transition.state in {RunState.QUEUED, RunState.RETRY_WAIT}
    number = transition.attempt + waits
    return next((each.timeout_class for each in run.attempts if each.attempt == number), run.timeout_class)


def _was_held(run: SeenRun) -> bool:
    return any(each.reason_code in HOLDING for each in run.transitions)


def _queued_at(run: SeenRun, attempt: int) -> datetime:
    """When the wait of an attempt began: the run was queued and due."""
    queued = (
        each.at
        for before, each in zip(run.transitions[-2::-1], run.transitions[:0:-1], strict=True)
        if each.state is RunState.QUEUED and each.attempt < attempt and not _goes_on_waiting(before, each)
    )
    return max(next(queued, None) or run.queued_at or run.scheduled_time, run.scheduled_time)


def _goes_on_waiting(before: SeenTransition, after: SeenTransition) -> bool:
    was_unmet = before.state is RunState.QUEUED and before.reason_code is ReasonCode.NO_CAPABLE_EXECUTOR
    return after.reason_code in _WAITED_ON or (was_unmet and after.reason_code is None)


def _is_retry(run: SeenRun, attempt: int) -> bool:
    """Whether the attempt before it, apart from expired dispatches, ended so that the run had to be tried again."""
    ends = (each.end for each in reversed(run.attempts) if each.attempt < attempt)
    return next((each for each in ends if each is not AttemptEnd.EXPIRED), None) in _RETRIED


def _remember(state: Fold, partition: Partition, run: SeenRun, known: OpenRun | None) -> None:
    _count_open(state, known, -1)
    if run.state.is_final:
        partition.runs.pop(run.run_id, None)
        return
    partition.runs[run.run_id] = found = OpenRun(
        version=run.version,
        state=run.state,
        kind=run.kind,
        timeout_class=state.class_label(run.timeout_class),
        tenant=state.tenants.label(run.tenant),
        job=state.jobs.label(run.job_id),
        started=max((each.attempt for each in run.attempts if each.started_at), default=known.started if known else 0),
        ended=max((each.attempt for each in run.attempts if each.end), default=known.ended if known else 0),
    )
    _count_open(state, found, 1)


def _count_open(state: Fold, run: OpenRun | None, by: int) -> None:
    if run is None:
        return
    state.figures.add(catalogue.OPEN_RUNS, run.state.value, run.kind.value, run.timeout_class, by=by)
    if run.kind not in PARTS:
        state.figures.add(catalogue.TENANT_OPEN, run.tenant, run.state.value, by=by)
        if state.options.jobs:
            state.figures.add(catalogue.JOB_OPEN, run.job, run.state.value, by=by)


def forget_runs(state: Fold, partition: Partition) -> None:
    for run in partition.runs.values():
        _count_open(state, run, -1)
    partition.runs.clear()


def restore_open(state: Fold, runs: Iterable[OpenRun]) -> None:
    """Count the open runs of a snapshot, which does not hold these gauges."""
    for run in runs:
        _count_open(state, run, 1)


def _note_success(state: Fold, run: SeenHead) -> None:
    if not state.options.successes or run.state is not RunState.SUCCEEDED or run.kind in PARTS or not run.finished_at:
        return
    before = state.successes.get(run.job_id)
    if before is not None or len(state.successes) < MAX_SUCCESSES:
        state.successes[run.job_id] = max(before or run.finished_at, run.finished_at)
