"""Stop a DAG run: no node starts any more, and later steps stop the open nodes."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.ids import RunId, owner_of_run
from schemas.reasons import ReasonCode
from schemas.words import RunState
from streams.core.dag.epoch import Epoch
from streams.core.effects import Effect, PutEpoch, PutRun
from streams.core.reason import Reason
from streams.core.runs.run import transition_to
from streams.core.runs.weight import bytes_of
from streams.core.state import OwnerState
from streams.core.stored import StoredEpoch


def stop_epoch(state: OwnerState, run_id: RunId, ends_as: RunState) -> list[Effect]:
    """The first call decides the final state; a second call stops the open nodes again."""
    epoch = state.derived.epochs.by_run[run_id]
    epoch.stop(ends_as)
    state.derived.epochs.busy[run_id] = None
    return [PutEpoch(run_id=run_id, epoch=stored_epoch(epoch))]


def stop_overdue(state: OwnerState, now: datetime) -> list[Effect]:
    """Stop the DAG runs that have been open for longer than their `dag_timeout`."""
    effects: list[Effect] = []
    deadlines, room = state.derived.epochs.deadlines, state.transaction
    while not room.is_full and (run_id := deadlines.pop_due(now)) is not None:
        state.current_job = owner_of_run(run_id)
        epoch = state.derived.epochs.by_run[run_id]
        if epoch.ends_as:
            continue
        run = state.durable.runs[run_id]
        reason = Reason(ReasonCode.DAG_TIMEOUT, f"open for longer than {epoch.graph.dag.dag_timeout}")
        status = transition_to(run.status, RunState.CANCELLING, version=state.next_token(), at=now, reason=reason)
        run = msgspec.structs.replace(run, status=status)
        state.keep(run)
        effects += [PutRun(run=run), *stop_epoch(state, run_id, RunState.TIMED_OUT)]
        room.spend(effects=2, bytes=bytes_of(run))
    return effects


def stored_epoch(epoch: Epoch) -> StoredEpoch:
    return StoredEpoch(version=epoch.graph.version, ends_as=epoch.ends_as, base=epoch.base)
