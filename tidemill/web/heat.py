"""Planned starts as SVG: a heat map of weekdays and hours, and bars for the minutes of an hour. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import htpy as h

from streams.core.schedule import zone as zones
from tidemill.web.week import HOUR, Week

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LEFT, TOP, WIDE, TALL, GAP = 34, 16, 22, 18, 2
LEVELS = 5
BAR, BARS_TALL = 9, 56


def heat_map(week: Week, timezone: str) -> h.Element:
    """Seven days by 24 hours in the reader's zone, from now on."""
    cells = _cells(week, timezone)
    some = [count for _, _, count in cells if count]
    most = max(some, default=0)
    least = min([*some, most // 2])  # otherwise one start more or less would look like a storm
    width, height = LEFT + 24 * (WIDE + GAP), TOP + 7 * (TALL + GAP)
    return h.div(class_="scroll", tabindex="0", role="region", aria_label="Planned starts by weekday and hour")[
        h.svg(class_="heat", viewBox=f"0 0 {width} {height}", role="img", aria_label=in_words(week, timezone))[
            (h.text(x=str(LEFT + hour * (WIDE + GAP)), y="10")[f"{hour:02}"] for hour in range(0, 24, 3)),
            (h.text(x="0", y=str(TOP + day * (TALL + GAP) + 13))[name] for day, name in enumerate(DAYS)),
            (_cell(each, level(each[2], least, most), is_now=not index) for index, each in enumerate(cells)),
        ]
    ]


def _cells(week: Week, timezone: str) -> list[tuple[int, int, int]]:
    """The weekday, the hour and the number of starts; at a change of the clock, one hour is there twice or not."""
    zone = zones.load(timezone)
    local = [(week.begin + index * HOUR).astimezone(zone) for index in range(len(week.hours))]
    return [(at.weekday(), at.hour, count) for at, count in zip(local, week.hours, strict=True)]


def _cell(cell: tuple[int, int, int], shade: int, *, is_now: bool) -> h.Element:
    day, hour, count = cell
    return h.rect(
        class_=f"h{shade}{' now' if is_now else ''}",
        x=str(LEFT + hour * (WIDE + GAP)),
        y=str(TOP + day * (TALL + GAP)),
        width=str(WIDE),
        height=str(TALL),
        rx="3",
    )[h.title[f"{DAYS[day]} {hour:02}:00: {starts(count)}{', now' if is_now else ''}"]]


def level(count: int, least: int, most: int) -> int:
    """0 for none; otherwise 1 to `LEVELS`, from the least busy hour to the busiest."""
    if count <= 0:
        return 0
    if most <= least:
        return (LEVELS + 1) // 2
    share = math.sqrt((count - least) / (most - least))
    return 1 + round(share * (LEVELS - 1))


def in_words(week: Week, timezone: str) -> str:
    cells = _cells(week, timezone)
    day, hour, count = max(cells, key=lambda each: each[2])
    if count == 0:
        return "No start is planned in the next seven days."
    busiest = f"the busiest hour is {DAYS[day]} {hour:02}:00 with {count:,}"
    return f"{week.all:,} starts in the next seven days; {busiest}; {week.herd:.0%} of all are at minute :00"


def starts(count: int) -> str:
    return f"{count:,} {'start' if count == 1 else 'starts'}"


def bars(counts: Sequence[int], labels: Sequence[str], title: str) -> h.Element:
    """A bar for each minute; `labels` name some of them, by position."""
    most = max([*counts, 1])
    width = len(counts) * BAR
    peak = max(range(len(counts)), key=counts.__getitem__)
    words = f"{title}: {starts(sum(counts))}, at most {counts[peak]:,} in one minute"
    return h.svg(class_="bars", viewBox=f"0 0 {width} {BARS_TALL + 16}", role="img", aria_label=words)[
        (_bar(index, count, most) for index, count in enumerate(counts)),
        (h.text(x=str(index * BAR), y=str(BARS_TALL + 12))[label] for index, label in enumerate(labels) if label),
    ]


def _bar(index: int, count: int, most: int) -> h.Element:
    tall = max(round(count / most * BARS_TALL, 1), 2 if count else 0.8)
    return h.rect(
        class_="some" if count else "none",
        x=str(index * BAR),
        y=f"{BARS_TALL - tall:g}",
        width=str(BAR - 2),
        height=f"{tall:g}",
        rx="1",
    )[h.title[f"minute {index}: {starts(count)}"]]


def minutes_from(now_minute: int) -> list[str]:
    """Labels for the next hour: each full quarter."""
    return [f":{(now_minute + index) % 60:02}" if (now_minute + index) % 15 == 0 else "" for index in range(60)]
