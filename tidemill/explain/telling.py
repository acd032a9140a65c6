"""What `tidemill explain` answers: facts, each one a sentence with its time, and how times are said."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from streams.core.schedule import zone as zones
from tidemill.output import seconds

NOTICEABLE = timedelta(seconds=1)
"""What takes less needs no explanation."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    sentence: str
    at: datetime | None = None
    data: dict[str, Any] = {}
    """The same for programs, where the sentence has numbers or names in it."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    about: str
    """A run's id, or a job's or DAG's."""
    nominal_time: datetime | None
    timezone: str
    answer: str
    """One word: the state of the run, or why there is none."""
    reason_code: str | None = None
    """Of the run: a `ReasonCode`."""
    sentence: str
    facts: tuple[Fact, ...] = ()
    """The newest first."""
    to_do: tuple[str, ...] = ()


class Local(msgspec.Struct, frozen=True):
    """Says instants as the clocks of a zone show them."""

    timezone: str

    def said(self, instant: datetime) -> str:
        """`2026-11-21 03:00:00 +01:00`, with milliseconds where there are any."""
        local = instant.astimezone(zones.load(self.timezone))
        text = local.isoformat(sep=" ", timespec="milliseconds" if local.microsecond >= 1000 else "seconds")
        return f"{text[:-6]} {text[-6:]}"


def newest_first(facts: list[Fact]) -> tuple[Fact, ...]:
    """Of one instant, the last one that was given comes first; what has no time comes last."""
    timed = [(each.at, place, each) for place, each in enumerate(facts) if each.at]
    return (
        *(each for *_, each in sorted(timed, key=lambda found: found[:2], reverse=True)),
        *(each for each in facts if not each.at),
    )


def lasted(duration: timedelta) -> str:
    """`0.034 s`, `90 s`, `2 h 5 min`, `3 d 4 h`."""
    minutes = int(duration.total_seconds()) // 60
    if minutes < 10:
        return seconds(duration)
    days, hours = divmod(minutes // 60, 24)
    parts = ((days, "d"), (hours, "h"), (minutes % 60, "min"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
