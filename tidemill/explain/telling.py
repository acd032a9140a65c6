"""The answer of `tidemill explain` as a value: facts with sentences and times; formats times and durations."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from streams.core.schedule import zone as zones
from tidemill.output import seconds, size
from tidemill.target import Row

NOTICEABLE = timedelta(seconds=1)
"""A shorter delay is not mentioned."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    sentence: str
    at: datetime | None = None
    data: dict[str, Any] = {}
    """The numbers and names of the sentence, for programs."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    about: str
    """The id of a run, a job or a DAG."""
    nominal_time: datetime | None
    timezone: str
    answer: str
    """One word: the run's state, or why there is no run."""
    reason_code: str | None = None
    """The run's `ReasonCode`."""
    sentence: str
    facts: tuple[Fact, ...] = ()
    """The newest first."""
    to_do: tuple[str, ...] = ()


class Local(msgspec.Struct, frozen=True):
    """Formats instants in a time zone."""

    timezone: str

    def said(self, instant: datetime) -> str:
        """`2026-11-21 03:00:00 +01:00`, with milliseconds where there are any."""
        local = instant.astimezone(zones.load(self.timezone))
        text = local.isoformat(sep=" ", timespec="milliseconds" if local.microsecond >= 1000 else "seconds")
        return f"{text[:-6]} {text[-6:]}"


def newest_first(facts: list[Fact]) -> tuple[Fact, ...]:
    """Sort facts by time, the newest first; at equal times the later one of the list, and facts without a time last."""
    timed = [(each.at, target, each) for target, each in enumerate(facts) if each.at]
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


def used(attempt: Row) -> str:
    """What the processes of an attempt used, as far as it is known."""
    cpu, memory = attempt["cpu_seconds"], attempt["peak_memory"]
    parts = [
        None if cpu is None else f"{seconds(timedelta(seconds=cpu))} of CPU time",
        None if memory is None else f"{size(memory)} of memory",
    ]
    return " and ".join(each for each in parts if each)


def listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
