"""Bugs in ids and records, and in what an owner keeps: protocol S2, decision 40, and two invariants."""

from __future__ import annotations

from typing import Any

import msgspec

from executors import consumer
from schemas import request_rules
from schemas.errors import UndecodableError
from schemas.topics import STATE
from streams.core import step
from streams.core.state import OwnerState
from streams.owner import recover
from streams.owner.transaction_records import RUN_PREFIX
from tests.simulation.planted.bug import Bug, Patch
from tests.simulation.things.owner_log import OwnerLog
from tests.simulation.things.releases import FIELD


def _any_id(_: Any) -> Any:
    return lambda _: True


def _strict(original: Any) -> Any:
    """A record with a field that this release does not know is refused."""

    def decode(value: bytes, *rest: Any) -> Any:
        if value.endswith(FIELD):
            raise UndecodableError("unknown field")
        return original(value, *rest)

    return decode


def _keep_known(_: Any) -> Any:
    return lambda *_: None


def _keep_ended_runs(original: Any) -> Any:
    def begin_commit(self: Any, transaction: Any) -> Any:
        kept = [
            each
            for each in transaction.records
            if not (each.topic == STATE and each.key.startswith(RUN_PREFIX) and each.value is None)
        ]
        return original(self, msgspec.structs.replace(transaction, records=tuple(kept)))

    return begin_commit


def _retries_wait_for_nothing(original: Any) -> Any:
    def wait_until(self: Any, due_at: Any, run_id: Any) -> None:
        run = self.durable.runs.get(run_id)
        if run is None or run.open_attempt is None:
            original(self, due_at, run_id)

    return wait_until


BUGS = (
    Bug("S2", "an id may have any character", (Patch(request_rules, "is_id", _any_id),), needs="odd id"),
    Bug(
        "decision 40",
        "a record of the next release is refused",
        (Patch(recover, "decode", _strict), Patch(consumer, "decode_foreign", _strict)),
        needs="release is rolled out",
    ),
    Bug(
        "memory",
        "an executor that fell silent stays known",
        (Patch(step, "forget_silent_executors", _keep_known),),
        needs="an executor is killed",
    ),
    Bug("memory", "a run that ended stays in `state`", (Patch(OwnerLog, "begin_commit", _keep_ended_runs),)),
    Bug("endless", "a retry is on no agenda", (Patch(OwnerState, "wait_until", _retries_wait_for_nothing),)),
)
