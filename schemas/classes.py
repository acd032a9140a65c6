"""Timeout classes: the topic that a run waits in, and the longest that an attempt may take there."""

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
    """`"10s,1m,1h"` as classes, the shortest first. Raises `InvalidClassError`."""
    classes = sorted((class_called(name.strip()) for name in names.split(",")), key=lambda each: each.limit)
    if len({each.limit for each in classes}) != len(classes):
        raise InvalidClassError(f"timeout classes {names!r} contain one limit twice")
    return tuple(classes)


def class_called(name: str) -> TimeoutClass:
    """A name says its limit, also that of a class that is not configured any more. Raises `InvalidClassError`."""
    found = _NAME.fullmatch(name)
    if not found:
        raise InvalidClassError(
            f"timeout class {name!r} is not a number of seconds, minutes or hours such as 10s, 1m, 24h"
        )
    return TimeoutClass(name=name, limit=int(found[1]) * _UNIT[found[2]])
