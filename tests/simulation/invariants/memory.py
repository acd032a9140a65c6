"""What an owner holds at a moment: each open run has something that will end it, and nothing is kept of what is over.

The owners are looked at while the simulation runs (`look`), because their memory is gone afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from schemas.ids import RunId, dag_run_of
from schemas.topics import STATE
from schemas.words import OPEN_STATES, RunKind
from streams.core.agenda import Agenda
from streams.core.runs.run import Run
from streams.core.state import OwnerState
from streams.owner.phases import Phase
from streams.owner.transaction_records import BACKFILL_PREFIX, EPOCH_PREFIX, RUN_PREFIX
from tests.simulation.faults.defects import LANDMINE
from tests.simulation.history import History
from tests.simulation.things.deployment import LIMITS, Deployment

LOOK_SECONDS = 60.0
DEAD_ALLOWED = 16
"""Dead entries of a heap, besides as many as it has live ones."""
FORGOTTEN_AFTER = LIMITS.longest_wait + timedelta(seconds=5)
"""An owner that has nothing to do looks again after this time at the latest."""


def look(deployment: Deployment) -> None:
    world = deployment.world
    world.after(LOOK_SECONDS, look, deployment)
    for worker in deployment.workers.values():
        if not worker.is_alive or worker.is_frozen:
            continue
        for partition in worker.partitions():
            owner = partition.session.owner
            if owner is None or partition.session.phase is not Phase.RUNNING or not owner.may_tick:
                continue
            name = f"{worker.name} at {world.now:.0f} s"
            witness = deployment.witness
            witness.endless += [f"{name}: {each}" for each in endless(owner.state)]
            is_steady = worker.clock.is_steady and not (worker.is_cut_off or deployment.brokers.are_down)
            now = worker.clock.now() if is_steady and owner.backlog == 0 else None
            witness.kept += [f"{name}: {each}" for each in kept(owner.state, now)]


# Everything open has something that will end it


def endless(state: OwnerState) -> Iterator[str]:
    for run_id, run in state.durable.runs.items():
        if not _has_an_end(state, run_id, run):
            yield f"nothing will end {run_id}, which is {run.state.value}"


def _has_an_end(state: OwnerState, run_id: RunId, run: Run) -> bool:
    if run_id in state.derived.waiting:
        return True
    if run.held:
        return _is_held_by_something(state, run)
    match run.status.kind:
        case RunKind.DAG:
            return _epoch_goes_on(state, run_id)
        case RunKind.BACKFILL:
            return _backfill_goes_on(state, run_id)
    if run.open_attempt is not None:
        return run_id in state.seen.in_flight
    is_ready = any(queue.demands(run_id) is not None for queue in state.derived.ready.values())
    return is_ready or _waits_in_backfill(state, run)


def _waits_in_backfill(state: OwnerState, run: Run) -> bool:
    found = state.derived.backfills.by_run.get(run.backfill_id) if run.backfill_id else None
    return found is not None and run.run_id in found.held and _backfill_goes_on(state, found.stored.run_id)


def _is_held_by_something(state: OwnerState, run: Run) -> bool:
    job_id = run.status.job_id
    others = state.derived.open_runs.get(job_id, set()) - {run.run_id}
    return job_id in state.step.freed or any(not state.durable.runs[each].held for each in others)


def _epoch_goes_on(state: OwnerState, run_id: RunId) -> bool:
    epochs = state.derived.epochs
    is_pending = run_id in epochs.due or run_id in epochs.busy or run_id in state.step.touched_epochs
    return is_pending or any(
        run.status.node_id is not None and dag_run_of(each) == run_id for each, run in state.durable.runs.items()
    )


def _backfill_goes_on(state: OwnerState, run_id: RunId) -> bool:
    found = state.derived.backfills.by_run[run_id]
    is_pending = state.step.more_of_backfills or run_id in state.step.touched_backfills
    return is_pending or not found.stored.is_planned or bool(found.active)


# Nothing is kept of what is over


def kept(state: OwnerState, now: datetime | None) -> Iterator[str]:
    """What an owner still has in memory of runs that ended; of executors that are gone, unless `now` is None."""
    runs, derived, seen = state.durable.runs, state.derived, state.seen
    open_now = {run_id for run_id, run in runs.items() if run.open_attempt is not None}
    yield from _beyond("in flight", seen.in_flight, open_now)
    yield from _beyond("on the agenda", derived.waiting.places(), runs)
    yield from _beyond("among the deadlines", derived.start_deadlines.places(), runs)
    yield from _beyond("among open DAG runs", derived.epochs.by_run, runs)
    yield from _beyond("among open backfills", derived.backfills.by_run, runs)
    for queue in derived.ready.values():
        yield from _beyond("ready", queue.places(), runs)
    for found in derived.open_runs.values():
        yield from _beyond("among open runs", found, runs)
    yield from _beyond("occupied", derived.occupancy, {each.status.job_id for each in runs.values()})
    for agenda in (derived.waiting, derived.start_deadlines, derived.epochs.deadlines, derived.catchup_slots):
        yield from _dead(agenda)
    if now is not None:
        silent = state.seen.fleet.silent_since(now - state.settings.lease - FORGOTTEN_AFTER)
        if silent is not None:
            yield f"executor {silent} is still known, and it has been silent for longer than its lease"


def _beyond(where: str, keys: Iterable[str], allowed: Iterable[str]) -> Iterator[str]:
    left = set(keys) - set(allowed)
    if left:
        yield f"{min(left)} is {where}, and it is not open"


def _dead(agenda: Agenda[datetime, str]) -> Iterator[str]:
    if agenda.entries > 2 * len(agenda) + DEAD_ALLOWED:
        yield f"a heap has {agenda.entries} entries for {len(agenda)} keys"


def check_endless(history: History) -> list[str]:
    return history.deployment.witness.endless


def check_kept(history: History) -> list[str]:
    return history.deployment.witness.kept + list(_left_in_state(history))


def _left_in_state(history: History) -> Iterator[str]:
    """When nothing is open any more, `state` has no run, no DAG run and no backfill: it holds no history."""
    deployment = history.deployment
    if any(each.state in OPEN_STATES and each.job_id != LANDMINE for each in history.last.values()):
        return  # "everything open ends" says it
    for number in range(deployment.partitions):
        log = deployment.brokers.log(STATE, number)
        last = {each.key: each.value for each in log.read(log.first, log.stable_end())}
        for key, value in last.items():
            prefix = key.startswith((RUN_PREFIX, BACKFILL_PREFIX, EPOCH_PREFIX))
            if prefix and value is not None and LANDMINE not in key:
                yield f"{key} is in `state` of partition {number}, and nothing is open any more"
