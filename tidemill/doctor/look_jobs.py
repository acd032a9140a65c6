"""Looks for overdue jobs and DAGs, and for runs that no executor can run."""

from __future__ import annotations

import psycopg

from schemas.errors import TidemillError
from schemas.settings import Connections, read
from tidemill.doctor.facts import Overdue, Silent, silent
from tidemill.monitor.settings import MonitorSettings
from tidemill.overdue import command
from tidemill.queries import rows
from tidemill.target import connect


def look(target: Connections) -> Overdue | Silent:
    after = read(MonitorSettings).overdue_after
    try:
        names = tuple(row["name"] for row in command.look(target, after))
        with connect(target.postgres_dsn) as postgres:
            unmet = tuple((row["run_id"], row["reason"]) for row in rows(postgres, "doctor_unmet"))
        return Overdue(after=after, names=names, unmet=unmet)
    except (TidemillError, psycopg.Error) as error:
        return silent(error)
