"""Bugs in the life of an owner: protocol O1, O2, O3, O4, O5, O6, O7, O8, O9, O10 left out."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.topics import STATE
from streams.core.room import MICROSECONDS_OF_AN_EFFECT, TransactionRoom
from streams.core.stored import Applied
from streams.owner import recover, session
from streams.owner import session_calls as c
from streams.owner.owner import Owner
from streams.owner.phases import Outcome
from streams.owner.transaction_records import REQUEST_PREFIX, RUN_PREFIX
from tests.simulation.planted.bug import Bug, Patch
from tests.simulation.things import partition
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


def _end_at_once(_: Any) -> Any:
    return 0.0


def _read_once(original: Any) -> Any:
    """After its recovery the session believes that everything is delivered."""

    def start_pulls(self: Any) -> None:
        if not self._is_recovered:
            original(self)

    return start_pulls


def _work_is_free(_: Any) -> Any:
    return property(lambda self: self.effects * MICROSECONDS_OF_AN_EFFECT)


def _bytes_are_free(original: Any) -> Any:
    def spend(self: Any, **spent: int) -> None:
        original(self, **(spent | {"bytes": 0}))

    return spend


def _past_open_transactions(_: Any) -> Any:
    return lambda _, log: log.end


def _no_settling(_: Any) -> Any:
    return lambda _: None


BUGS = (
    Bug("O1", "runs are not in `state`", (Patch(OwnerLog, "begin_commit", _without_keys(RUN_PREFIX)),)),
    Bug(
        "O1",
        "request ids are not in `state`",
        (Patch(OwnerLog, "begin_commit", _without_keys(REQUEST_PREFIX)),),
        needs="sends rows again",
    ),
    Bug(
        "O2",
        "an offset of a deleted topic counts for the new one",
        (Patch(recover, "_restore_clock", _ignore_topic_ids),),
        needs="made anew",
    ),
    Bug(
        "O3",
        "an owner goes on after a failed commit",
        (Patch(session._DecisionLoop, "_commit", _keep_the_owner),),
        needs="answer to a worker is lost",
    ),
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
        needs="repeats a request",
    ),
    Bug(
        "O6",
        "the work of a step does not count",
        (Patch(TransactionRoom, "spent_us", _work_is_free),),
        needs="repeats a request",
    ),
    Bug(
        "O6",
        "the bytes of a transaction do not count",
        (Patch(TransactionRoom, "spend", _bytes_are_free),),
        needs="repeats a request",
    ),
    Bug(
        "O7",
        "ticks do not wait for the end of `cdc`",
        (Patch(Owner, "__init__", _tick_at_once), Patch(Owner, "stop_ticks", _tick_after_absences)),
        needs="while no worker runs",
    ),
    Bug("O8", "a topic is read past open transactions", (Patch(OwnerLog, "end_of", _past_open_transactions),)),
    Bug(
        "O5",
        "an owner ends when its partition is taken away",
        (Patch(partition, "HANDOVER_SECONDS", _end_at_once),),
        needs="all is well, and a worker",
    ),
    Bug(
        "O10",
        "what is delivered is never read again",
        (Patch(session._DecisionLoop, "_start_pulls", _read_once),),
        needs="deliveries are skipped",
    ),
    Bug(
        "O9",
        "a recovery does not settle the last transaction",
        (Patch(OwnerLog, "settle", _no_settling),),
        needs="loses markers",
    ),
)
