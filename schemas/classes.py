"""Timeout classes: each has its own topic, and a limit on the duration of an attempt."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from schemas.errors import TidemillError

_NAME = re.compile(r"([1-9][0-9]*)([smh])")
_UNIT = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


class InvalidClassError(TidemillError):
    """A timeout class is not of the form 10s, 1m, 1h."""


class TimeoutClass(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    limit: timedelta


def parse_classes(names: str) -> tuple[TimeoutClass, ...]:
    """Parses `"10s,1m,1h"`; returns the shortest class first. Raises `InvalidClassError`."""
    classes = sorted((class_called(name.strip()) for name in names.split(",")), key=lambda each: each.limit)
    if len({each.limit for each in classes}) != len(classes):
        raise InvalidClassError(f"timeout classes {names!r} contain the same limit twice")
    return tuple(classes)


def class_called(name: str) -> TimeoutClass:
    """The class of a name, whose limit is part of the name, configured or not. Raises `InvalidClassError`."""
    found = _NAME.fullmatch(name)
    if not found:
        raise InvalidClassError(
            f"timeout class {name!r} is not a number of seconds, minutes or hours such as 10s, 1m, 24h"
        )
    return TimeoutClass(name=name, limit=int(found[1]) * _UNIT[found[2]])
