"""Rebuilds a new owner's state from its `state` partition alone (protocol O1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from schemas.codec import decode
from schemas.ids import OwnerId, RunId, owner_of_run
from schemas.words import RunKind
from streams.core.definitions.apply import install
from streams.core.definitions.versions_read import digest_of_state
from streams.core.requests.apply import remember
from streams.core.requests.open_backfills import OpenBackfill
from streams.core.runs.fleet import InFlight
from streams.core.runs.pace import restore_slot
from streams.core.runs.run import Run
from streams.core.settings import CoreSettings
from streams.core.state import OwnerState, Seen
from streams.core.stored import Applied, StoredBackfill, StoredClock, StoredJob, StoredQuarantine, StoredRequest, Tally
from streams.owner.failures import BlameJob, JobFailedError
from streams.owner.recover_epochs import restore_epochs, resume_epochs
from streams.owner.replay import Replay
from streams.owner.transaction_records import (
    BACKFILL_PREFIX,
    CLOCK_KEY,
    EPOCH_PREFIX,
    QUARANTINE_PREFIX,
    REQUEST_PREFIX,
    RUN_PREFIX,
    TALLY_PREFIX,
)

NONE_APPLIED = -1
NOTHING_FAILED: Mapping[OwnerId, JobFailedError] = {}


def rebuild(
    partition: int,
    settings: CoreSettings,
    replay: Replay,
    topic_ids: Mapping[str, str],
    now: datetime,
    failed: Mapping[OwnerId, JobFailedError] = NOTHING_FAILED,
) -> OwnerState:
    """The state takes over objects of `replay`. `topic_ids`: the current ids of the input topics. `failed`: the jobs to
    quarantine, with the reasons. Raises `JobFailedError` if the entries of a job cannot be restored.

    The leases of all attempts start again at `now`. A topic that was deleted and created again is read from its
    start: the applied offset belongs to the old topic (protocol O2).
    """
    state = OwnerState(partition=partition, settings=settings, seen=Seen(silence_from=now))
    state.durable.jobs, state.derived.shared = replay.jobs, replay.shared
    latest = _without_quarantined(state, replay.others, failed)
    _restore_clock(state, latest.get(CLOCK_KEY), topic_ids)
    _restore_tallies(state, latest)
    state.derived.digest = digest_of_state(state)
    for owner, stored in state.durable.jobs.items():
        # The first step installs the new definition of a job that is tried again.
        if owner not in state.derived.to_try and owner not in state.durable.quarantined:
            with BlameJob(owner):
                install(state, owner, stored)
    _restore_runs(state, latest, now)
    for key, value in latest.items():
        if key.startswith(BACKFILL_PREFIX):
            backfill = decode(value, StoredBackfill)
            if backfill.job_id not in state.durable.quarantined:
                state.derived.backfills.add(OpenBackfill(stored=backfill))
        elif key.startswith(REQUEST_PREFIX):
            remember(state, RunId(key.removeprefix(REQUEST_PREFIX)), decode(value, StoredRequest))
    state.derived.backfills.restore([run for run in state.durable.runs.values() if run.backfill_id])
    state.step.touched_backfills |= state.derived.backfills.by_run.keys()
    _resume_tick(state)
    state.begin_transaction()
    return state


def _without_quarantined(
    state: OwnerState, latest: dict[str, bytes], failed: Mapping[OwnerId, JobFailedError]
) -> dict[str, bytes]:
    """Drop the runs of quarantined jobs. A job whose definition has changed since its quarantine is tried again."""
    stored = {
        OwnerId(key.removeprefix(QUARANTINE_PREFIX)): decode(value, StoredQuarantine)
        for key, value in latest.items()
        if key.startswith(QUARANTINE_PREFIX)
    }
    for owner, error in failed.items():
        known = stored.get(owner)
        if known is None or known.is_to_be_tried or known.reason != str(error):
            stored[owner] = _quarantine(state, owner, error, known)
            state.derived.newly_quarantined.add(owner)
    state.derived.to_try = {owner: each for owner, each in stored.items() if each.is_to_be_tried}
    state.durable.quarantined = {owner: each for owner, each in stored.items() if not each.is_to_be_tried}
    if not state.durable.quarantined:
        return latest
    return {key: value for key, value in latest.items() if _run_owner(key) not in state.durable.quarantined}


def _quarantine(
    state: OwnerState, owner: OwnerId, error: JobFailedError, known: StoredQuarantine | None
) -> StoredQuarantine:
    job, change = state.durable.jobs.get(owner), known.change if known else None
    tried = max(error.version, job.version if job else 0, change.version if change else 0)
    return StoredQuarantine(reason=str(error), tried_version=tried, change=change)


def _run_owner(key: str) -> str | None:
    """The owner in the key of a run, an epoch or a node; None: another key."""
    for prefix in (RUN_PREFIX, EPOCH_PREFIX):
        if key.startswith(prefix):
            return owner_of_run(key.removeprefix(prefix))
    return None


def _restore_clock(state: OwnerState, value: bytes | None, topic_ids: Mapping[str, str]) -> None:
    for topic, topic_id in topic_ids.items():
        state.durable.applied[topic] = Applied(topic=topic, topic_id=topic_id, offset=NONE_APPLIED)
    if value is None:
        return
    clock = decode(value, StoredClock)
    state.durable.watermark, state.durable.cursor, state.durable.token = clock.watermark, clock.cursor, clock.token
    state.durable.newest_requests = dict(clock.newest_requests)
    state.durable.newest_definition, state.durable.forgotten = clock.newest_definition, clock.forgotten
    state.durable.newest_version = _newest_version(clock, state.durable.jobs.values())
    for applied in clock.applied:
        if topic_ids.get(applied.topic) == applied.topic_id:
            state.durable.applied[applied.topic] = applied


def _restore_tallies(state: OwnerState, latest: Mapping[str, bytes]) -> None:
    for key, value in latest.items():
        if key.startswith(TALLY_PREFIX):
            owner = OwnerId(key.removeprefix(TALLY_PREFIX))
            with BlameJob(owner):
                state.durable.tallies[owner] = decode(value, Tally)


def _newest_version(clock: StoredClock, jobs: Iterable[StoredJob]) -> int:
    """An older version of Tidemill does not store it in the clock record."""
    forgotten = clock.forgotten.version if clock.forgotten else 0
    return clock.newest_version or max((each.version for each in jobs), default=forgotten)


def _restore_runs(state: OwnerState, latest: Mapping[str, bytes], now: datetime) -> None:
    runs: list[Run] = []
    for key, value in latest.items():
        if key.startswith(RUN_PREFIX):
            with BlameJob(_run_owner(key)):
                runs.append(decode(value, Run))
    nodes = [run for run in runs if run.status.node_id is not None]
    for run in runs:
        if run.status.node_id is None:
            _restore_run(state, run, now)
    restore_epochs(state, latest)
    for run in nodes:
        _restore_run(state, run, now)
    resume_epochs(state, latest)


def _restore_run(state: OwnerState, run: Run, now: datetime) -> None:
    with BlameJob(run.status.job_id):
        _restore(state, run, now)


def _restore(state: OwnerState, run: Run, now: datetime) -> None:
    state.keep(run)
    state.expect_start(run)
    restore_slot(state, run)
    attempt = run.open_attempt
    if run.status.kind is RunKind.BACKFILL or (run.backfill_id and not run.has_started):
        return
    if run.held:
        state.step.freed.add(run.status.job_id)
        return
    if attempt is None:
        state.wait_until(run.due_at, run.run_id)
        return
    is_heard = attempt.claimed_at is not None or attempt.started_at is not None
    flight = InFlight(
        token=attempt.token,
        timeout_class=attempt.timeout_class,
        dispatched_at=attempt.dispatched_at,
        due_at=run.due_at,
        terms=run.terms or state.settings.terms,
        executor_id=attempt.executor_id,
        heard_at=now if is_heard else None,
    )
    state.add_in_flight(run.run_id, flight)


def _resume_tick(state: OwnerState) -> None:
    """A cut tick has handled the timers before its cursor (protocol O6)."""
    cursor = state.durable.cursor
    if cursor is None:
        return
    for timer in list(state.derived.timers):
        if timer.key < cursor.timer_key:
            state.derived.timers.advance(timer, cursor.now)
