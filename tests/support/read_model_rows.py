"""Writes rows of the read model as the sink would, for tests of its readers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import orjson
import psycopg


def allow_writes(connection: psycopg.Connection[Any], days: Iterable[date] = ()) -> None:
    """Lets the session write the read model, and creates the partitions for today and for `days`."""
    connection.execute("select set_config('tidemill.sink', 'on', false)")
    connection.execute("select tidemill.make_week(current_date)")
    for day in days:
        connection.execute("select tidemill.make_week(%s)", [day])


def add_story(
    connection: psycopg.Connection[Any],
    run_id: str,
    *,
    attempts: Iterable[dict[str, Any]] = (),
    transitions: Iterable[dict[str, Any]] = (),
) -> None:
    """Appends attempts and transitions to the story of a run whose row exists. Duplicates are kept."""
    connection.execute(
        """insert into tidemill.stories as known (run_id, filed_on, nominal_time, job_id, attempts, transitions)
           select run_id, filed_on, nominal_time, job_id,
               array(select row(each.*)::tidemill.attempt
                     from jsonb_populate_recordset(null::tidemill.attempt, %(attempts)s) as each),
               array(select row(each.*)::tidemill.transition
                     from jsonb_populate_recordset(null::tidemill.transition, %(transitions)s) as each)
           from tidemill.runs where run_id = %(run_id)s
           on conflict (run_id, filed_on) do update set
               attempts = known.attempts || excluded.attempts,
               transitions = known.transitions || excluded.transitions""",
        {"run_id": run_id, "attempts": _json(attempts), "transitions": _json(transitions)},
    )


def _json(rows: Iterable[dict[str, Any]]) -> str:
    return orjson.dumps([{"output_bytes": 0} | row for row in rows]).decode()
