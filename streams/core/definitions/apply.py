"""Apply a new version of a definition: the old version decides up to the change, the new one from there."""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import assert_never

import msgspec

from schemas.dag import DagSpec
from schemas.ids import OwnerId
from schemas.job import Definition, JobSpec
from schemas.reasons import ProblemCode, ReasonCode
from schemas.words import CatchupPolicy, OnDelete
from streams.core.dag.graph import job_of_dag
from streams.core.dag.versions import keep_version
from streams.core.definitions.deletions import may_be_deleted, note_applied, refuse_as_deleted
from streams.core.definitions.edit import Edit, compare
from streams.core.definitions.past_instant import decide_past
from streams.core.definitions.restored import of_restored_database
from streams.core.effects import Effect, Origin, PutJob, ReportProblem
from streams.core.policy.catchup import Change, EndedPause, NewVersion, OldVersion, last_occurrence, within_life
from streams.core.policy.overlap import Hold, Replace, Skip, Start
from streams.core.reason import Reason
from streams.core.room import MICROSECONDS_OF_A_DEFINITION
from streams.core.runs.cancel import cancel_all, stop_backfills
from streams.core.runs.life import demand_anew
from streams.core.runs.overlapping import grace_of, on_overlap, stop_others
from streams.core.runs.tally import renew, tally_of
from streams.core.schedule.occurrences import InvalidScheduleError
from streams.core.schedule.timers import timer_of
from streams.core.state import OwnerState
from streams.core.stored import StoredJob
from streams.core.tick import EFFECTS_OF_AN_OCCURRENCE, decide_job, record_not_run


def apply_definition(state: OwnerState, definition: Definition, origin: Origin, now: datetime) -> list[Effect]:
    """A version that is not newer than the applied one changes nothing (protocol I2).

    If `state.step.is_cut` is set, the version is not applied yet, because the effects of the old version's end do not
    fit the transaction. `since` of the old version then marks how far it is decided, and the record is read again.
    """
    known = state.durable.jobs.get(definition.owner)
    if known and definition.version <= known.version:
        return of_restored_database(known, definition, origin)
    if known is None and may_be_deleted(state, definition):
        return refuse_as_deleted(definition, origin)
    state.transaction.spend(work_us=MICROSECONDS_OF_A_DEFINITION)
    new = _new_version(definition, known, now)
    edit = compare(known, new)
    effects: list[Effect] = []
    since = new.since
    if known:
        effects, since = _decide_old(state, known, new, edit, now)
        effects += _stop_old(state, known, new, edit, definition.kind.value, now)
    has_past = edit.new_is_active and not _is_quiet(state, new.spec, since)
    if has_past and not state.step.is_cut:
        effects += _stop_replaced(state, new, since, now)
    if known and state.step.is_cut:
        state.durable.jobs[definition.owner] = msgspec.structs.replace(known, since=since)
        return [*effects, PutJob(owner=definition.owner, job=state.durable.jobs[definition.owner])]
    if state.step.is_cut:
        return effects
    covered = tuple(each for each in known.covered if each[1] > since) if known else ()
    since, missed = decide_past(known, new, since, state.settings)
    stored = msgspec.structs.replace(new, since=since, covered=covered)
    effects += keep_version(state, definition.owner, known) if known else []
    note_applied(state, definition, now)
    effects += renew(state, definition.owner, deleted=definition.deleted)
    has_past |= edit.new_is_active and since < new.since
    effects += _start_new(state, definition, state.derived.shared.job(stored), now, has_past=has_past)
    if known and known.spec.confinement != stored.spec.confinement:
        demand_anew(state, definition.owner)
    return [*effects, record_not_run(state, new.spec, missed, now)] if missed else effects


def _new_version(definition: Definition, known: StoredJob | None, now: datetime) -> StoredJob:
    spec, dag = _specs(definition, known)
    return StoredJob(
        version=definition.version,
        valid_from=definition.valid_from,
        since=min(definition.valid_from, now),
        deleted=definition.deleted,
        spec=spec,
        dag=dag,
    )


def _decide_old(
    state: OwnerState, known: StoredJob, new: StoredJob, edit: Edit, now: datetime
) -> tuple[list[Effect], datetime]:
    """Decide the old version's occurrences up to the change. Also returns the time up to which that is done."""
    if edit.goes_on_pausing:
        return [], known.since
    decided_until = max(known.since, state.durable.watermark) if edit.old_is_unpaused else known.since
    if decided_until >= new.since:
        return [], decided_until
    change: Change
    if edit.ends_pause:
        change = EndedPause(policy=new.spec.catchup_after_pause)
        if change.policy is CatchupPolicy.ALL and not _fits(state, known.spec, decided_until, new.since):
            state.step.is_cut = True
            return [], decided_until
    else:
        change = OldVersion(is_followed=edit.new_is_active and last_occurrence(new.spec, new.since, now) is not None)
    effects, cut_at = decide_job(state, OwnerId(known.spec.job_id), decided_until, new.since, now, change)
    if cut_at is None:
        return effects, new.since
    state.step.is_cut = True
    return effects, cut_at


def _stop_old(
    state: OwnerState, known: StoredJob, new: StoredJob, edit: Edit, kind: str, now: datetime
) -> list[Effect]:
    """Stop the open runs that do not continue under the new version."""
    owner, grace = OwnerId(known.spec.job_id), known.spec.cancel_grace
    effects: list[Effect] = []
    if edit.ends_kind and not state.step.is_cut:
        changed = Reason(ReasonCode.KIND_CHANGED, f"cancelled: {owner} is now a {kind.replace('dag', 'DAG')}")
        effects += cancel_all(state, owner, grace, changed, now)
    if new.deleted and known.spec.on_delete is OnDelete.CANCEL and not state.step.is_cut:
        effects += cancel_all(
            state, owner, grace, Reason(ReasonCode.DELETED, "cancelled: its definition was deleted"), now
        )
    if new.deleted and not state.step.is_cut:
        effects += stop_backfills(state, owner, Reason(ReasonCode.DELETED, "stopped: its definition was deleted"), now)
    return effects


def _is_quiet(state: OwnerState, spec: JobSpec, since: datetime) -> bool:
    """Whether nothing was due between `since` and the watermark, as with most definitions."""
    try:
        return state.derived.timers.is_quiet(spec, since, state.durable.watermark)
    except InvalidScheduleError:
        return True  # `install` reports it


def _stop_replaced(state: OwnerState, new: StoredJob, since: datetime, now: datetime) -> list[Effect]:
    """Stop runs that the new version would have replaced by now if it had arrived when it was written."""
    last = last_occurrence(new.spec, since, state.durable.watermark)
    if last is None:
        return []
    effects: list[Effect] = []
    match on_overlap(state, new.spec, last, now):
        case Replace() as decision:
            grace = grace_of(new.spec, decision)
            why = Reason(ReasonCode.OVERLAP_REPLACED, "an occurrence takes its place")
            effects += stop_others(state, new.spec, last, grace, why, now)
        case Start() | Skip() | Hold():
            pass
    state.step.is_cut |= not _fits(state, new.spec, since, state.durable.watermark)
    return effects


def _fits(state: OwnerState, spec: JobSpec, after: datetime, until: datetime) -> bool:
    return state.transaction.fits(EFFECTS_OF_AN_OCCURRENCE * _count(state, spec, after, until))


def _count(state: OwnerState, spec: JobSpec, after: datetime, until: datetime) -> int:
    """How many occurrences are in (after, until], counted up to `resume_limit`."""
    after, until = within_life(spec, after, until)
    if spec.schedule is None or after >= until:
        return 0
    try:
        return timer_of(spec).count(after, until, state.settings.resume_limit)
    except InvalidScheduleError:
        return 0  # the job is quarantined, or `install` reports the new version


def _start_new(
    state: OwnerState, definition: Definition, stored: StoredJob, now: datetime, *, has_past: bool
) -> list[Effect]:
    """Store and install the new version. `has_past`: occurrences were due between its `since` and the watermark."""
    owner = definition.owner
    effects: list[Effect] = [PutJob(owner=owner, job=stored)]
    problems = {
        ProblemCode.CLASS_UNKNOWN: _unknown_class(definition, state),
        ProblemCode.INVALID_SCHEDULE: install(state, owner, stored),
    }
    effects += [ReportProblem(code=code, reason=why, owner=owner) for code, why in problems.items() if why]
    # A new job counts from its `since`, even if the watermark has passed that time (protocol O7).
    if has_past:
        effects += decide_job(state, owner, stored.since, state.durable.watermark, now, NewVersion())[0]
    state.step.freed.add(owner)  # the new version may let more runs be open
    if owner in state.derived.parked:
        state.derived.arrived[owner] = None
    return effects


def install(state: OwnerState, owner: OwnerId, stored: StoredJob) -> str | None:
    """Use `stored` from now on; recovery calls this too. Returns why its schedule cannot be followed, if so."""
    state.durable.jobs[owner] = stored
    state.derived.unscheduled.discard(owner)
    state.derived.deleted.discard(owner)
    state.derived.timers.remove(owner)
    if stored.deleted:
        state.derived.deleted.add(owner)
        heapq.heappush(state.derived.deletions, (stored.valid_from, owner))
    elif stored.spec.schedule is not None and not stored.spec.paused and not tally_of(state, owner).is_finished:
        try:
            state.derived.timers.add(stored.spec, max(stored.since, state.durable.watermark))
        except InvalidScheduleError as error:
            state.derived.unscheduled.add(owner)
            return f"job {owner!r}: {error}"
    return None


def _specs(definition: Definition, known: StoredJob | None) -> tuple[JobSpec, DagSpec | None]:
    """The spec and DAG of a definition. A deletion keeps the last known spec, because open runs still use it."""
    match definition.spec:
        case JobSpec() as job:
            return job, None
        case DagSpec() as dag:
            return job_of_dag(dag), dag
        case None if known is not None:
            return known.spec, known.dag
        case None:
            return JobSpec(job_id=definition.owner, executable=""), None
        case _:
            assert_never(definition.spec)


def _unknown_class(definition: Definition, state: OwnerState) -> str | None:
    found = [(who, name) for who, name in _classes(definition) if name and not state.settings.class_named(name)]
    if not found:
        return None
    (who, name), allowed = found[0], ", ".join(each.name for each in state.settings.classes)
    return f"{who}: timeout_class {name!r} is not configured; allowed are {allowed}; it counts as unset"


def _classes(definition: Definition) -> list[tuple[str, str | None]]:
    """The timeout classes that the definition names, each with the job or node that names it."""
    match definition.spec:
        case JobSpec(timeout_class=name):
            return [(f"job {definition.owner!r}", name)]
        case DagSpec(nodes=nodes):
            return [(f"DAG {definition.owner!r}, node {each.node_id!r}", each.timeout_class) for each in nodes]
        case None:
            return []
        case _:
            assert_never(definition.spec)
