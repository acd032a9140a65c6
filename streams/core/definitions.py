"""A new version of a definition: what was open is decided under the old one, and the new one counts from there."""

from __future__ import annotations

import heapq
from datetime import datetime
from typing import assert_never

import msgspec

from schemas.dag import DagSpec
from schemas.ids import OwnerId
from schemas.job import Definition, JobSpec
from schemas.words import OnDelete
from streams.core.cancel import cancel_all, stop_backfills
from streams.core.catchup import Change, OfNew, OfOld, OfPause, within_life
from streams.core.dag.graph import clock_of
from streams.core.dag.versions import keep_version
from streams.core.deletions import may_be_deleted, note_applied, set_aside
from streams.core.effects import DeadLetter, Effect, Origin, PutJob
from streams.core.requests import release_parked
from streams.core.schedule import InvalidScheduleError
from streams.core.state import OwnerState
from streams.core.stored import StoredJob
from streams.core.tally import renew, tally_of
from streams.core.tick import decide_job
from streams.core.timers import timer_of


def apply_definition(state: OwnerState, definition: Definition, origin: Origin, now: datetime) -> list[Effect]:
    """An event whose version is not newer than the one applied changes nothing (protocol I2).

    With `state.step.change_is_cut` it is not applied yet: its old version decides more than fits a transaction.
    """
    owner = definition.owner
    known = state.durable.jobs.get(owner)
    state.step.change_is_cut = False
    if known and definition.version <= known.version:
        return []
    if known is None and may_be_deleted(state, definition):
        return set_aside(definition, origin)
    spec, dag = _specs(definition, known)
    since = min(definition.valid_from, now)
    effects: list[Effect] = []
    if known:
        effects, since = _end_of_version(state, known, definition, spec, now)
        if state.step.change_is_cut:
            return effects
        effects += keep_version(state, owner, known) + _end_of_kind(state, known, definition, now)
    note_applied(state, definition, now)
    effects += renew(state, owner, deleted=definition.deleted)
    stored = state.derived.shared.job(
        StoredJob(
            version=definition.version,
            valid_from=definition.valid_from,
            since=since,
            deleted=definition.deleted,
            spec=spec,
            dag=dag,
            covered=tuple(each for each in known.covered if each[1] > since) if known else (),
        )
    )
    return effects + _begin_version(state, definition, stored, origin, now)


def _end_of_version(
    state: OwnerState, known: StoredJob, definition: Definition, spec: JobSpec, now: datetime
) -> tuple[list[Effect], datetime]:
    """Decide what the old version has left, up to the change. Returns also from when on the new one counts."""
    owner, changed_at = definition.owner, min(definition.valid_from, now)
    if not definition.deleted and _goes_on_pausing(known, spec):
        return [], known.since  # so that what becomes of the whole pause is decided at its end
    decided_until = _decided_until(known, state)
    change = _change(known, definition, spec, now)
    effects, cut_at = decide_job(state, owner, decided_until, changed_at, now, change)
    if cut_at is None:
        return effects, max(changed_at, decided_until)
    state.step.change_is_cut = True
    state.durable.jobs[owner] = msgspec.structs.replace(known, since=cut_at)
    return [*effects, PutJob(owner=owner, job=state.durable.jobs[owner])], cut_at


def _begin_version(
    state: OwnerState, definition: Definition, stored: StoredJob, origin: Origin, now: datetime
) -> list[Effect]:
    owner = definition.owner
    effects: list[Effect] = [PutJob(owner=owner, job=stored)]
    problems = [_unknown_class(definition, state), install(state, owner, stored)]
    effects += [DeadLetter(reason=problem, owner=owner, origin=origin) for problem in problems if problem]
    if definition.deleted and stored.spec.on_delete is OnDelete.CANCEL:
        effects += cancel_all(state, owner, stored.spec.cancel_grace, "cancelled: its job was deleted", now)
    if definition.deleted:
        effects += stop_backfills(state, owner, "stopped: its job was deleted", now)
    # A job that was just written counts from then, though the watermark may have gone past that (protocol O7).
    if not stored.spec.paused:
        effects += decide_job(state, owner, stored.since, state.durable.watermark, now, OfNew())[0]
    state.step.freed.add(owner)  # the new version may let more runs be open
    return effects + release_parked(state, owner, now)


def install(state: OwnerState, owner: OwnerId, stored: StoredJob) -> str | None:
    """Make `stored` what the owner goes by; recovery does so too. Returns why its schedule cannot be followed."""
    state.durable.jobs[owner] = stored
    state.derived.quarantined.discard(owner)
    state.derived.timers.remove(owner)
    if stored.deleted:
        heapq.heappush(state.derived.deletions, (stored.valid_from, owner))
    elif stored.spec.schedule is not None and not stored.spec.paused and not tally_of(state, owner).is_finished:
        try:
            state.derived.timers.add(stored.spec, max(stored.since, state.durable.watermark))
        except InvalidScheduleError as error:
            state.derived.quarantined.add(owner)
            return f"job {owner!r}: {error}"
    return None


def _decided_until(known: StoredJob, state: OwnerState) -> datetime:
    is_ticking = not (known.deleted or known.spec.paused)
    return max(known.since, state.durable.watermark) if is_ticking else known.since


def _change(known: StoredJob, definition: Definition, spec: JobSpec, now: datetime) -> Change:
    """As what the occurrences count that the old version has left."""
    if known.spec.paused and not spec.paused and not definition.deleted:
        return OfPause(policy=spec.catchup_after_pause)
    is_live = not (definition.deleted or spec.paused or spec.schedule is None)
    return OfOld(is_followed=is_live and _has_any(spec, min(definition.valid_from, now), now))


def _has_any(spec: JobSpec, after: datetime, until: datetime) -> bool:
    after, until = within_life(spec, after, until)
    try:
        return after < until and timer_of(spec).latest(after, until) is not None
    except InvalidScheduleError:
        return False  # the new version says so itself


def _goes_on_pausing(known: StoredJob, spec: JobSpec) -> bool:
    """Nothing but what is run, and how, has changed; under another schedule other occurrences are due."""
    return known.spec.paused and spec.paused and _clock(known.spec) == _clock(spec)


def _clock(spec: JobSpec) -> tuple[object, ...]:
    return spec.schedule, spec.timezone, spec.dst_gap, spec.dst_fold, spec.starts_at, spec.ends_at


def _specs(definition: Definition, known: StoredJob | None) -> tuple[JobSpec, DagSpec | None]:
    """A deleted job's open runs go on under its last definition; a deletion of what was never known has none."""
    match definition.spec:
        case JobSpec() as job:
            return job, None
        case DagSpec() as dag:
            return clock_of(dag), dag
        case None if known is not None:
            return known.spec, known.dag
        case None:
            return JobSpec(job_id=definition.owner, binary=""), None
        case _:
            assert_never(definition.spec)


def _end_of_kind(state: OwnerState, known: StoredJob, definition: Definition, now: datetime) -> list[Effect]:
    """A job and a DAG that follow each other under one id have nothing in common: what is open of the first ends."""
    if definition.spec is None or isinstance(definition.spec, DagSpec) is (known.dag is not None):
        return []
    reason = f"cancelled: {definition.owner} is now a {definition.kind.value}"
    return cancel_all(state, definition.owner, known.spec.cancel_grace, reason, now)


def _unknown_class(definition: Definition, state: OwnerState) -> str | None:
    found = [(who, name) for who, name in _classes(definition) if name and not state.rules.class_named(name)]
    if not found:
        return None
    (who, name), allowed = found[0], ", ".join(each.name for each in state.rules.classes)
    return f"{who}: timeout_class {name!r} is not configured; allowed are {allowed}; it counts as unset"


def _classes(definition: Definition) -> list[tuple[str, str | None]]:
    """Who asks for which."""
    match definition.spec:
        case JobSpec(timeout_class=name):
            return [(f"job {definition.owner!r}", name)]
        case DagSpec(nodes=nodes):
            return [(f"DAG {definition.owner!r}, node {each.node_id!r}", each.timeout_class) for each in nodes]
        case None:
            return []
        case _:
            assert_never(definition.spec)
