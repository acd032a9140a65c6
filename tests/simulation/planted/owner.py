"""Bugs in the life of an owner: protocol O1, O2, O3, O4, O6, O7, O8, O9 left out."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.topics import STATE
from streams.core.room import TransactionRoom
from streams.core.stored import Applied
from streams.owner import recover, session
from streams.owner import session_calls as c
from streams.owner.owner import Owner
from streams.owner.phases import Outcome
from streams.owner.transaction_records import REQUEST_PREFIX, RUN_PREFIX
from tests.simulation.planted.bug import Bug, Patch
from tests.simulation.things.owner_log import OwnerLog


def _without_keys(prefix: str) -> Any:
    """The owner never stores what has this prefix."""

    def make(original: Any) -> Any:
        def begin_commit(self: Any, transaction: Any) -> Any:
            kept = [each for each in transaction.records if not (each.topic == STATE and each.key.startswith(prefix))]
            return original(self, msgspec.structs.replace(transaction, records=tuple(kept)))

        return begin_commit

    return make


def _ignore_topic_ids(original: Any) -> Any:
    def restore_clock(state: Any, value: bytes | None, topic_ids: Any) -> None:
        original(state, value, topic_ids)
        if value is not None:
            for each in recover.decode(value, recover.StoredClock).applied:
                found = Applied(topic=each.topic, topic_id=topic_ids[each.topic], offset=each.offset)
                state.durable.applied[each.topic] = found

    return restore_clock


def _keep_the_owner(original: Any) -> Any:
    """After a failed commit the same memory writes the same transaction again."""

    def commit(self: Any, prepared: Any) -> Any:
        try:
            yield from original(self, prepared)
        except c.LogFailedError:
            yield from original(self, prepared)

    return commit


def _never_ask(_: Any) -> Any:
    def check_assignment(self: Any) -> Any:
        answer = yield from c.perform(c.GetHeartbeats())  # any call, so that this is a generator
        return Outcome.UNASSIGNED if answer.is_handing_over else Outcome.HELD

    return check_assignment


def _never_full(_: Any) -> Any:
    return property(lambda _: False)


def _no_limit(_: Any) -> Any:
    return lambda *_: 10**9


def _always_fits(_: Any) -> Any:
    return lambda *_: True


def _tick_at_once(original: Any) -> Any:
    def init(self: Any, *arguments: Any, **more: Any) -> None:
        original(self, *arguments, **more)
        self.may_tick = True

    return init


def _tick_after_absences(_: Any) -> Any:
    return lambda _: None


def _past_open_transactions(_: Any) -> Any:
    return lambda _, log: log.end


def _no_settling(_: Any) -> Any:
    return lambda _: None


BUGS = (
    Bug("O1", "runs are not in `state`", (Patch(OwnerLog, "begin_commit", _without_keys(RUN_PREFIX)),)),
    Bug("O1", "request ids are not in `state`", (Patch(OwnerLog, "begin_commit", _without_keys(REQUEST_PREFIX)),)),
    Bug(
        "O2",
        "an offset of a deleted topic counts for the new one",
        (Patch(recover, "_restore_clock", _ignore_topic_ids),),
    ),
    Bug("O3", "an owner goes on after a failed commit", (Patch(session._DecisionLoop, "_commit", _keep_the_owner),)),
    Bug("O4", "nobody asks before fencing", (Patch(session.Session, "_check_assignment", _never_ask),)),
    Bug(
        "O6",
        "a transaction is never full",
        (
            Patch(TransactionRoom, "is_full", _never_full),
            Patch(TransactionRoom, "is_half_full", _never_full),
            Patch(TransactionRoom, "effects_limit_of_runs", _no_limit),
            Patch(TransactionRoom, "fits", _always_fits),
        ),
    ),
    Bug(
        "O7",
        "ticks do not wait for the end of `cdc`",
        (Patch(Owner, "__init__", _tick_at_once), Patch(Owner, "stop_ticks", _tick_after_absences)),
    ),
    Bug("O8", "a topic is read past open transactions", (Patch(OwnerLog, "end_of", _past_open_transactions),)),
    Bug("O9", "a recovery does not settle the last transaction", (Patch(OwnerLog, "settle", _no_settling),)),
)
