"""Reads what an audit needs from the topics, without the read model: one partition after the other. It matches `status`
with the definitions, and the attempts in it with what was dispatched, claimed, started and ended.

Memory holds the runs of one partition. The history of definitions comes from Postgres, where users write it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
from confluent_kafka import OFFSET_BEGINNING, KafkaException

from schemas.codec import decode
from schemas.errors import UndecodableError
from schemas.settings import Connections
from schemas.status import Attempt, RunStatus
from schemas.topics import STATUS
from schemas.words import RunKind
from tidemill.audit import executed, tables
from tidemill.audit.attempts import Tried, executed_again, found_of, unmatched
from tidemill.audit.contradictions import Contradiction, contradictions
from tidemill.audit.findings import Again, Executions, Finding, Found, Tally
from tidemill.audit.matching import Record, match
from tidemill.audit.tables import Scope
from tidemill.lag import offsets, read_to_end, unavailable
from tidemill.queries import now_of, rows
from tidemill.target import Row

_NOT_KEPT: dict[str, Any] = dict.fromkeys(("output", "reason", "sha256", "log_uri"))
"""Texts of attempts that no finding needs, and that would take much memory."""
SETTLES = timedelta(minutes=1)
"""Records that are appended later than so long before the audit began are not judged: others may still follow them."""
_OF_SCHEDULE = (RunKind.SCHEDULED, RunKind.DAG)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The latest record of a run."""

    owner: str
    record: Record | None
    """None: it is no occurrence of a schedule."""
    version: int
    state: str
    offset: int
    wrong: tuple[Contradiction, ...]
    nominal_time: datetime
    attempts: tuple[Attempt, ...]
    """Without their longer texts."""
    is_rerun: bool


def occurrences(
    postgres: psycopg.Connection[Row],
    target: Connections,
    scope: Scope,
    tally: Tally,
    turn: Callable[[int], object],
    executions: Executions,
    *,
    compared: bool,
) -> Iterator[Found]:
    """Match all occurrences with the records of `status`, and their attempts with the other topics; `compared`: also
    with the rows of the read model. `executions` gets what was executed again after a lost lease.

    Raises `BrokersError`.
    """
    topic, waiting = target.topic(STATUS), dict(tables.versions(postgres, scope))
    places = executed.topics_of(target, scope, now_of(postgres) - SETTLES)
    tally.owners += len(waiting)
    for number in range(target.partitions):
        seen = _partition(target, scope, number, turn)
        by_owner: dict[str, list[Record]] = defaultdict(list)
        for each in seen.values():
            if each.record:
                by_owner[each.owner].append(each.record)
        for owner, records in by_owner.items():
            records.sort(key=lambda each: each.at)
            found = match(owner, waiting.pop(owner, []), scope.span, records, tally)
            yield from (_with_place(each, seen, topic, number) for each in found)
        yield from _wrong(seen, topic, number)
        read = executed.read(target, places, scope, number, seen, turn)
        executions.kept_from = max(executions.kept_from, read.kept.complete_from)
        yield from _attempts(seen, read, places, tally, executions.again)
        if compared:
            yield from _differences(postgres, seen, topic, number)
    for owner, versions in waiting.items():  # no partition has a record of these
        yield from match(owner, versions, scope.span, [], tally)


def _partition(target: Connections, scope: Scope, number: int, turn: Callable[[int], object]) -> dict[str, Seen]:
    where = (target.topic(STATUS), number)
    try:
        begin = offsets(target, [where], OFFSET_BEGINNING)
    except KafkaException as error:
        raise unavailable(target, error) from error
    found: dict[str, Seen] = {}
    with closing(read_to_end(target, begin)) as messages:
        for message in messages:
            run_id = bytes(message.key() or b"").decode(errors="replace")
            found.pop(run_id, None)
            status = _status(message.value())
            if status is not None and _is_in(status, scope):
                found[run_id] = _seen(status, int(message.offset()))
            turn(1)
    return found


def _status(value: bytes | None) -> RunStatus | None:
    """None: a tombstone, or a record that the sink sets aside as a problem."""
    try:
        return decode(value, RunStatus) if value else None
    except UndecodableError:
        return None


def _is_in(status: RunStatus, scope: Scope) -> bool:
    last = status.missed.last if status.missed else status.nominal_time
    return (
        last > scope.span.after
        and status.nominal_time <= scope.span.until
        and scope.owner in (None, status.job_id)
        and scope.tenant in (None, status.tenant)
    )


def _seen(status: RunStatus, offset: int) -> Seen:
    return Seen(
        owner=status.job_id,
        record=_record(status) if status.kind in _OF_SCHEDULE and status.request_id is None else None,
        version=status.version,
        state=status.state.value,
        offset=offset,
        wrong=tuple(contradictions(status, tables.TOLERANCE)),
        nominal_time=status.nominal_time,
        attempts=tuple(msgspec.structs.replace(each, **_NOT_KEPT) for each in status.attempts),
        is_rerun=status.rerun_id is not None,
    )


def _record(status: RunStatus) -> Record:
    missed = status.missed
    return Record(
        run_id=status.run_id,
        at=missed.first if missed else status.nominal_time,
        state=status.state.value,
        reason_code=status.reason_code and status.reason_code.value,
        last=missed.last if missed else None,
        count=missed.count if missed else 1,
        at_least=missed.at_least if missed else False,
    )


def _with_place(found: Found, seen: dict[str, Seen], topic: str, number: int) -> Found:
    known = seen.get(found.run_id or "")
    return msgspec.structs.replace(found, evidence=f"{topic}/{number}@{known.offset}") if known else found


def _wrong(seen: dict[str, Seen], topic: str, number: int) -> Iterator[Found]:
    for run_id, each in seen.items():
        for finding, sentence in each.wrong:
            yield Found(
                finding=finding,
                owner=each.owner,
                run_id=run_id,
                sentence=f"{run_id}: {sentence}",
                evidence=f"{topic}/{number}@{each.offset}",
            )


def _attempts(
    seen: dict[str, Seen], found: executed.Read, places: executed.Topics, tally: Tally, again: list[Again]
) -> Iterator[Found]:
    for run_id, each in seen.items():
        place = f"{places.status}/{found.number}@{each.offset}"
        run = Tried(
            owner=each.owner,
            run_id=run_id,
            nominal_time=each.nominal_time,
            attempts=each.attempts,
            is_rerun=each.is_rerun,
            place=place,
        )
        traces = found.traces.get(run_id, {})
        for wrong in unmatched(run, traces, found.kept, places.settled, tally):
            yield found_of(run, *wrong)
        for one in executed_again(run, traces, tables.TOLERANCE):
            if isinstance(one, Again):
                again.append(one)
            else:
                yield found_of(run, *one)
    for head, place in found.unknown:
        yield Found(
            finding=Finding.UNEXPECTED,
            owner=head.owner,
            run_id=head.run_id,
            first=head.nominal_time,
            sentence=f"attempt {head.attempt} of {head.run_id} was dispatched, and the run has no status",
            evidence=place,
        )


def _differences(postgres: psycopg.Connection[Row], seen: dict[str, Seen], topic: str, number: int) -> Iterator[Found]:
    """Runs whose row is missing, or has another version or state. The caller waited for the sink."""
    names = list(seen)
    for first in range(0, len(names), tables.CHUNK):
        some = names[first : first + tables.CHUNK]
        shown = {row["run_id"]: row for row in rows(postgres, "audit_shown", {"run_ids": some})}
        for run_id in some:
            each, row = seen[run_id], shown.get(run_id)
            if row is not None and row["version"] > each.version:
                continue  # it has moved on since the topic was read
            if row is None:
                sentence = f"{run_id} is in the topic as {each.state}, and has no row"
            elif (row["version"], row["state"]) == (each.version, each.state):
                continue
            else:
                sentence = (
                    f"{run_id} is {each.state} at version {each.version} in the topic, and {row['state']} "
                    f"at version {row['version']} in the read model"
                )
            yield Found(
                finding=Finding.STATUS_LIE,
                owner=each.owner,
                run_id=run_id,
                sentence=sentence,
                evidence=f"{topic}/{number}@{each.offset}",
            )
