"""Converts records of `status` and `deadletter` into rows of the read model. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec
import orjson

from connectors.record import Record
from schemas.codec import decode_foreign
from schemas.errors import UndecodableError
from schemas.ids import dag_run_of, occurrence_run_id
from schemas.reasons import ProblemCode, ProblemKind
from schemas.status import Attempt, RunStatus

Filed: TypeAlias = dict[str, date]
"""By run id: the UTC day whose week is the partition of the run's rows."""
Row: TypeAlias = dict[str, Any]
"""Values by column name."""

MAX_TEXT_CHARACTERS = 8192
"""The read model keeps so much of a record that could not be decoded."""
MAX_OWNER_CHARACTERS = 200
"""Cut the key of a record here: our keys are shorter, and an index row has room for it; a foreign key may be longer."""
_MAX_INT, _MAX_BIGINT = 2**31 - 1, 2**63 - 1
_NUL, _REPLACEMENT = "\x00", "\ufffd"
"""Postgres stores no NUL in a text; the output of a process may contain one."""
_NESTED = frozenset({"attempts", "transitions"})


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    runs: list[RunStatus]
    """At most one record of each run: the one with the highest version."""
    earlier: list[RunStatus] = []
    """For each rerun in the batch: the last record before it, for its attempts and transitions."""
    problems: list[Row]
    ends: dict[tuple[str, int], int]
    """The next offset of each (topic, partition) that the batch read from."""

    @property
    def filed(self) -> Filed:
        """The day of each run, from this batch alone: of its first record; for a node, of its DAG run."""
        found: Filed = {}
        for run in (*self.earlier, *self.runs):
            found[run.run_id] = min(run.filed, found.get(run.run_id, run.filed))
        return {run_id: min(day, found.get(dag_run_of(run_id), day)) for run_id, day in found.items()}

    def weeks(self, filed: Filed) -> dict[date, datetime | None]:
        """The Mondays of the weeks that the batch writes to, each with the latest time of a run in it."""
        found: dict[date, datetime | None] = {week_of(row["at"].date()): None for row in self.problems}
        for run in self.runs:
            week, at = week_of(filed[run.run_id]), run.finished_at or run.queued_at or run.scheduled_time
            found[week] = max(found.get(week) or at, at)
        return found


def collect(records: Iterable[Record], status_topic: str, topic_ids: dict[str, str]) -> Batch:
    """Every record except a tombstone gives a row; a record that cannot be decoded becomes a problem."""
    latest: dict[str, RunStatus] = {}
    earlier: list[RunStatus] = []
    problems: list[Row] = []
    ends: dict[tuple[str, int], int] = {}
    for record in records:
        ends[record.topic, record.partition] = record.offset + 1
        if record.unreadable:
            reason = record.unreadable.said_of(record.topic)
            found = problem(record, topic_ids[record.topic], ProblemCode.BATCH_UNREADABLE, reason)
            problems.append(found | {"source_offset": record.unreadable.first})
            continue
        if record.value is None:
            continue
        if record.topic != status_topic:
            problems.append(reported_problem(record, topic_ids[record.topic]))
            continue
        try:
            status = decode_foreign(record.value, RunStatus)
        except UndecodableError as error:
            said = f"record {record.topic}@{record.offset} {error}"
            problems.append(problem(record, topic_ids[record.topic], ProblemCode.STATUS_REFUSED, said))
            continue
        known = latest.get(status.run_id)
        if known is None or known.version < status.version:
            latest[status.run_id] = status
            if known and known.rerun_id != status.rerun_id:
                earlier.append(known)
    return Batch(runs=list(latest.values()), earlier=earlier, problems=problems, ends=ends)


def problem(record: Record, topic_id: str, code: ProblemCode, reason: str) -> Row:
    """The row for a record that the sink cannot decode or write."""
    return _problem_row(record, topic_id) | {
        "source_topic": record.topic,
        "source_partition": record.partition,
        "source_offset": record.offset,
        "kind": ProblemKind.DEAD_LETTER.value,
        "code": code.value,
        "reason": reason,
        "request_id": None,
        "run_id": None,
    }


def reported_problem(record: Record, topic_id: str) -> Row:
    """The row for a record of the topic `deadletter`; its headers contain its kind, its source and the reason."""
    headers = record.headers
    return _problem_row(record, topic_id) | {
        "source_topic": _text(headers.get("source_topic")),
        "source_partition": _integer(headers.get("source_partition"), _MAX_INT),
        "source_offset": _integer(headers.get("source_offset"), _MAX_BIGINT),
        "kind": _member(headers.get("kind"), ProblemKind, ProblemKind.DEAD_LETTER),
        "code": _member(headers.get("code"), ProblemCode, ProblemCode.OTHER),
        "reason": _text(headers.get("reason")) or "no reason was given",
        "request_id": _text(headers.get("request_id")),
        "run_id": _text(headers.get("run_id")),
    }


def week_of(day: date) -> date:
    """The Monday of the day's week."""
    return day - timedelta(days=day.weekday())


def filed_with_rows(runs: Iterable[RunStatus], filed: Filed) -> list[Row]:
    """The runs that may have rows from before a rerun: they are reruns, or nodes of one."""
    return [
        {"run_id": run.run_id, "filed_on": filed[run.run_id], "filed_with": known_as, "since": _earliest_filed(run)}
        for run in runs
        if run.rerun_id is not None
        for known_as in {run.run_id, dag_run_of(run.run_id)}
    ]


def _earliest_filed(run: RunStatus) -> date:
    """The first day on which the run can be filed: an occurrence's own day, minus one day for clocks that differ."""
    of_occurrence = dag_run_of(run.run_id) == occurrence_run_id(run.job_id, run.nominal_time)
    return run.nominal_time.date() - timedelta(days=1) if of_occurrence else date.min


def run_rows(runs: Iterable[RunStatus], filed: Filed) -> list[Row]:
    return [_run_row(run) | {"filed_on": filed[run.run_id]} for run in runs]


def story_rows(runs: Iterable[RunStatus], filed: Filed) -> list[Row]:
    return [
        {
            "run_id": run.run_id,
            "filed_on": filed[run.run_id],
            "nominal_time": run.nominal_time,
            "job_id": run.job_id,
            "attempts": [_attempt_row(each) for each in run.attempts],
            "transitions": [msgspec.structs.asdict(each) for each in run.transitions],
        }
        for run in runs
    ]


def to_json(rows: list[Row]) -> str:
    """One parameter for all rows, for `json_populate_recordset`."""
    text = orjson.dumps(rows, default=_raw_json)
    if rb"\u0000" in text:
        text = orjson.dumps([_without_nul(row) for row in rows], default=_raw_json)
    return text.decode()


def _raw_json(value: object) -> orjson.Fragment:
    """A result is JSON already."""
    if isinstance(value, msgspec.Raw):
        return orjson.Fragment(bytes(value))
    raise TypeError(f"{type(value).__name__} has no form as JSON")


def _run_row(run: RunStatus) -> Row:
    row = msgspec.structs.asdict(run)
    del row["transitions"], row["attempts"]
    row["first_started_at"] = min((each.started_at for each in run.attempts if each.started_at), default=run.started_at)
    if run.nodes is not None:
        row["nodes"] = {state.value: count for state, count in run.nodes.items()}
    result = row.pop("result")
    if result is not None:
        columns = {"bytes": result.bytes, "uri": result.uri, "sha256": result.sha256}
        row |= {"result": result.value} | {f"result_{name}": value for name, value in columns.items()}
    missed = row.pop("missed")
    if missed is None:
        return row
    return row | {
        "missed_from": missed.first,
        "missed_to": missed.last,
        "missed_count": missed.count,
        "missed_at_least": missed.at_least,
    }


def _attempt_row(attempt: Attempt) -> Row:
    row = msgspec.structs.asdict(attempt)
    return row | {"ended_as": row.pop("end")}


def _problem_row(record: Record, topic_id: str) -> Row:
    return {
        "at": record.at,
        "partition": record.partition,
        "record_offset": record.offset,
        "topic_id": topic_id,
        "owner": _text(record.key, MAX_OWNER_CHARACTERS),
        "record": _text(record.value),
    }


def _text(value: bytes | None, longest: int = MAX_TEXT_CHARACTERS) -> str | None:
    return None if value is None else value.decode(errors="replace")[:longest]


def _member(value: bytes | None, members: type[StrEnum], default: StrEnum) -> str:
    """The value if it is one of the enum's, otherwise the default: any producer may write to the topic."""
    text = _text(value)
    return text if text in {each.value for each in members} else default.value


def _integer(value: bytes | None, limit: int) -> int | None:
    try:
        number = None if value is None else int(value)
    except ValueError:
        return None
    return number if number is not None and 0 <= number <= limit else None


def _without_nul(row: Row) -> Row:
    return {name: _value_without_nul(name, value) for name, value in row.items()}


def _value_without_nul(name: str, value: Any) -> Any:
    """Replace NUL in texts, but not in a result: Postgres stores it unchanged, or refuses it."""
    if isinstance(value, str):
        return value.replace(_NUL, _REPLACEMENT)
    return [_without_nul(each) for each in value] if name in _NESTED else value
