"""Refuses numbers and times with which later code cannot compute, in records that any producer may have written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec

from schemas.errors import UndecodableError
from schemas.times import EPOCH, LATEST

LEAST, MOST = -(2**63), 2**63 - 1
"""The numbers that JSON writers and Postgres can hold."""
LONGEST = timedelta(days=10 * 366)
"""The rules of jobs allow at most 366 days for any duration."""
_SHOWN = 40
"""A sentence shows this many characters of a number."""


class _Outside(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, said: str) -> None:
        self.said, self.path = said, [""]


def check_bounds(value: object) -> None:
    """Look at all numbers and times in a decoded value. Raises `UndecodableError`, which names the place."""
    try:
        _check(value)
    except _Outside as outside:
        raise UndecodableError(f"{outside.said} - at `${''.join(reversed(outside.path))}`") from None


def _check(value: object) -> None:
    check = _CHECKS.get(type(value))
    if check is not None:
        check(value)
    elif isinstance(value, msgspec.Struct):
        _check_all((f".{name}", getattr(value, name)) for name in _fields(type(value)))


def _check_all(members: Iterable[tuple[str, object]]) -> None:
    for name, member in members:
        try:
            _check(member)
        except _Outside as outside:
            outside.path.append(name)
            raise


def _check_number(value: int) -> None:
    if not LEAST <= value <= MOST:
        raise _Outside(f"the number {str(value)[:_SHOWN]}... has more than 64 bits")


def _check_instant(value: datetime) -> None:
    if value.tzinfo is None:
        raise _Outside(f"the time {value.isoformat()} must end in Z or an offset such as +02:00")
    if not EPOCH <= value <= LATEST:
        raise _Outside(f"the time {value.isoformat()} must be from 1970 to 2199")


def _check_date(value: date) -> None:
    if not EPOCH.date() <= value <= LATEST.date():
        raise _Outside(f"the day {value.isoformat()} must be from 1970 to 2199")


def _check_duration(value: timedelta) -> None:
    if not -LONGEST <= value <= LONGEST:
        raise _Outside(f"the duration of {value.days} days must be at most {LONGEST.days} days")


def _check_items(values: Iterable[object]) -> None:
    _check_all((f"[{number}]", each) for number, each in enumerate(values))


def _check_values(values: Mapping[object, object]) -> None:
    _check_all(("[...]", each) for each in values.values())


_CHECKS: dict[type, Callable[[Any], None]] = {
    int: _check_number,
    datetime: _check_instant,
    date: _check_date,
    timedelta: _check_duration,
    list: _check_items,
    tuple: _check_items,
    dict: _check_values,
}


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields that may hold a number or a time, at any depth."""
    hints = get_type_hints(kind)
    return tuple(name for name in kind.__struct_fields__ if _may_hold(hints[name]))


def _may_hold(hint: Any) -> bool:
    if parts := get_args(hint):
        return any(map(_may_hold, parts))
    return hint in {int, datetime, date, timedelta, Any} or (
        isinstance(hint, type) and issubclass(hint, msgspec.Struct)
    )
