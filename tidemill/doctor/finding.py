"""The result of a check: a sentence about the state and its effect, and a remedy."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec


class Level(Enum):
    OK = "ok"
    WARN = "warn"
    """It works now, but it may fail later or is slower than it could be."""
    BAD = "bad"
    """Something does not work."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """`part.check`: a stable name for programs."""
    level: Level
    sentence: str
    remedy: str | None = None


def ok(name: str, sentence: str) -> Finding:
    return Finding(name=name, level=Level.OK, sentence=sentence)


def warn(name: str, sentence: str, remedy: str) -> Finding:
    return Finding(name=name, level=Level.WARN, sentence=sentence, remedy=remedy)


def bad(name: str, sentence: str, remedy: str) -> Finding:
    return Finding(name=name, level=Level.BAD, sentence=sentence, remedy=remedy)


def is_healthy(findings: Iterable[Finding]) -> bool:
    return all(each.level is not Level.BAD for each in findings)


def listed(names: Iterable[object]) -> str:
    """`a, b and c`."""
    words = [str(each) for each in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
