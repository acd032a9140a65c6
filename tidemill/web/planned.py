"""The section of planned starts: a heat map of the week, bars of the minutes, and the next starts."""

from __future__ import annotations

import htpy as h

from tidemill.output import visible
from tidemill.web.ask import Ask
from tidemill.web.background import Reading
from tidemill.web.heat import bars, heat_map, in_words, minutes_from
from tidemill.web.pieces import instant, job_url, section
from tidemill.web.week import Week

SOON = 10
"""The next starts that the page lists."""


def planned(ask: Ask, reading: Reading[Week] | None) -> h.Element:
    if reading is None or reading.value is None:
        why = "The schedules are being read." if reading is None else visible(reading.problem or "")
        return section("Planned starts", h.p(class_="empty")[why], id_="planned")
    week = reading.value
    if not week.all:
        return section(
            "Planned starts",
            h.p(class_="empty")["No job and no DAG has a schedule that makes it due in the next seven days."],
            id_="planned",
        )
    left_out = f" {week.left_out:,} rarer schedules are not counted." if week.left_out else ""
    return section(
        "Planned starts",
        h.p(class_="summary")[f"{in_words(week, ask.timezone)}.{left_out}"],
        h.div(class_="planned")[
            h.div[h.h3["The next seven days"], heat_map(week, ask.timezone)],
            h.div[
                h.h3["The next hour"],
                bars(week.next_hour, minutes_from(reading.at.minute), "The next hour"),
                h.h3["By the minute of the hour"],
                bars(
                    week.minutes,
                    [f":{each:02}" if each % 15 == 0 else "" for each in range(60)],
                    "By the minute of the hour",
                ),
            ],
            h.div[h.h3["Next"], _soon(ask, week)],
        ],
        id_="planned",
    )


def _soon(ask: Ask, week: Week) -> h.Element:
    soon = [each for each in week.soon if each.at > ask.now][:SOON]
    if not soon:
        return h.p(class_="empty")["Nothing is due in the next hour."]
    return h.ol(class_="soon")[
        (
            h.li[
                h.span(class_="when")[instant(ask, each.at)],
                h.span[
                    h.a(href=job_url(each.example))[visible(each.example)],
                    f" and {each.others:,} more" if each.others else "",
                ],
            ]
            for each in soon
        )
    ]
