"""Reads a history: the two journals, the tables of a running stack, and the log of faults."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tests.chaos.judge.history import (
    Asked,
    Attempt,
    Began,
    Bounds,
    Defined,
    Effect,
    Entry,
    Fault,
    History,
    Line,
    Named,
    Problem,
    Run,
    Transition,
    Written,
)
from tests.chaos.load.load import LOAD_JOURNAL, PROCESS_JOURNAL
from tests.support.stack_client import StackClient
from tidemill.audit import tables as audit_tables
from tidemill.audit.matching import Span
from tidemill.audit.tables import Scope

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
TRIED = timedelta(seconds=5)
_Row = TypeVar("_Row", bound=msgspec.Struct)


def read_history(
    client: StackClient, folder: Path, faults: Path | None = None, bounds: Bounds | None = None
) -> History:
    """`folder` has the journals of the load; `faults`: JSON lines (`history.Fault`). All is read as it is now."""
    began, acts = read_acts(folder / LOAD_JOURNAL)
    lines, torn = read_lines(folder / PROCESS_JOURNAL, began)
    owners = sorted({each.owner for each in acts})
    return History(
        began=began,
        until=began.boot_is + timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME)),
        acts=tuple(acts),
        lines=tuple(lines),
        torn=tuple(torn),
        runs=_rows(client, Run, "runs", "job_id", owners),
        attempts=_rows(client, Attempt, "attempts", "job_id", owners),
        transitions=_rows(client, Transition, "transitions", "job_id", owners),
        problems=_rows(client, Problem, "problems", "owner", owners),
        effects=_effects(client, owners),
        named=tuple(_named(client, began, owners)),
        faults=tuple(read_faults(faults)) if faults else (),
        bounds=bounds or Bounds(),
    )


def read_acts(path: Path) -> tuple[Began, list[Defined | Asked]]:
    began, *acts = [msgspec.json.decode(line, type=Entry) for line in path.read_bytes().splitlines()]
    assert isinstance(began, Began)
    return began, [each for each in acts if not isinstance(each, Began)]


def read_lines(path: Path, began: Began) -> tuple[list[Line], list[str]]:
    """The lines, and those that cannot be read."""
    lines, torn = list[Line](), list[str]()
    for text in path.read_bytes().splitlines():
        try:
            written = msgspec.json.decode(text, type=Written)
        except msgspec.DecodeError:
            torn.append(text.decode(errors="replace"))
        else:
            lines.append(Line(at=began.boot_is + timedelta(seconds=written.boot), written=written))
    return lines, torn


def read_faults(path: Path) -> list[Fault]:
    """Those that may have happened. The first line of a log may say only its seed."""
    found = [msgspec.json.decode(line, type=Fault) for line in path.read_bytes().splitlines()]
    return [each for each in found if each.fault != "none" and (each.left_out is None or _took_a_while(each))]


def _took_a_while(fault: Fault) -> bool:
    """It was given up because its target did not come back, not because it could not begin."""
    return fault.until is not None and fault.until - fault.at > TRIED


def _rows(client: StackClient, type_: type[_Row], table: str, column: str, owners: Sequence[str]) -> tuple[_Row, ...]:
    fields = ", ".join(type_.__struct_fields__)
    found = client.rows(f"select {fields} from {table} where {column} = any (%s)", [owners])
    return tuple(_values(type_, found))


def _values(type_: type[_Row], rows: Iterable[dict[str, Any]]) -> list[_Row]:
    return [msgspec.convert(row, type_) for row in rows]


def _effects(client: StackClient, owners: Sequence[str]) -> tuple[Effect, ...]:
    mine = "split_part(split_part(run_id, '@', 1), '#', 1) = any (%s)"
    found = client.rows(f"select number, run_id, attempt, token from public.chaos_effects where {mine}", [owners])
    return tuple(_values(Effect, found))


def _named(client: StackClient, began: Began, owners: Sequence[str]) -> list[Named]:
    """Asks for one job after the other, because the audit lists a bounded number."""
    span = Span(began.at - MINUTE, began.at + DAY)
    again = [each for owner in owners for each in audit_tables.again(client.database, Scope(span=span, owner=owner))]
    return [Named(run_id=each.run_id, token=each.token) for each in again]


def unsettled(client: StackClient, folder: Path) -> list[str]:
    """The runs of a load that are open in the read model, and accepted requests that have neither run nor problem yet.

    A request for an unknown job waits for it, and is refused after `TIDEMILL_PARK_LIMIT`.
    """
    _, acts = read_acts(folder / LOAD_JOURNAL)
    owners = sorted({each.owner for each in acts})
    asked = [each for each in acts if isinstance(each, Asked) and (each.kind, each.outcome) == ("run", "accepted")]
    opened = client.rows("select run_id from runs where job_id = any (%s) and tidemill.is_open(state)", [owners])
    known = {row["run_id"] for row in client.rows("select run_id from runs where job_id = any (%s)", [owners])}
    refused = client.rows("select owner, request_id from problems where owner = any (%s)", [owners])
    known |= {f"{row['owner']}#{row['request_id']}" for row in refused}
    return sorted(
        [row["run_id"] for row in opened] + [each.new_run_id for each in asked if each.new_run_id not in known]
    )


def save(history: History, path: Path) -> None:
    path.write_bytes(msgspec.json.encode(history))


def load(path: Path) -> History:
    return msgspec.json.decode(path.read_bytes(), type=History)
