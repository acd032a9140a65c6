"""Looks for overdue jobs and DAGs."""

from __future__ import annotations

import psycopg

from schemas.errors import TidemillError
from schemas.settings import Connections, read
from tidemill.doctor.facts import Overdue, Silent, silent
from tidemill.monitor.settings import MonitorSettings
from tidemill.overdue import command


def look(target: Connections) -> Overdue | Silent:
    after = read(MonitorSettings).overdue_after
    try:
        return Overdue(after=after, names=tuple(row["name"] for row in command.look(target, after)))
    except (TidemillError, psycopg.Error) as error:
        return silent(error)
