"""Reads what the tables say for the first page: each number stops at a limit."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import psycopg

from tidemill.queries import now_of, one, rows
from tidemill.target import Row
from tidemill.web.run_list import MOST_READ, MOST_SEARCHED

DAY = timedelta(days=1)
LONGEST = 6
NEWEST_PROBLEMS = 4


class HomeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables say."""

    now: datetime
    open: dict[str, Row]
    failing: list[Row]
    late: list[Row]
    backlog: list[Row]
    longest: list[Row]
    problems: int
    newest: list[Row]


def read_home(postgres: psycopg.Connection[Row]) -> HomeFacts:
    now = now_of(postgres)
    most = {"most": MOST_READ}
    return HomeFacts(
        now=now,
        open={each["state"]: each for each in rows(postgres, "web_open", most)},
        failing=rows(postgres, "web_failing", most | {"since": now - DAY}),
        late=rows(postgres, "web_late", {"most": MOST_SEARCHED, "since": now - DAY}),
        backlog=rows(postgres, "web_backlog", most),
        longest=rows(postgres, "web_longest", {"limit": LONGEST}),
        problems=(one(postgres, "web_problems_of_day", most) or {"problems": 0})["problems"],
        newest=rows(postgres, "problems", {"since": now - DAY, "codes": None, "limit": NEWEST_PROBLEMS}),
    )
