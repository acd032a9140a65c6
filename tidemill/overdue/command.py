"""`tidemill overdue`: the jobs and DAGs with an occurrence that was due and of which the read model knows nothing."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from schemas.settings import Connections, read
from tidemill.lag import sink_waits_since
from tidemill.monitor.settings import MonitorSettings
from tidemill.output import say, show_json, show_rows
from tidemill.overdue.watch import Watch
from tidemill.queries import now_of
from tidemill.target import DEFAULT_DATA, AsJson, Data, Row, connect_to_read, connections, wall_clock

COLUMNS = ("name", "due", "late")


def overdue(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List the jobs and DAGs that were due, and have neither a run nor a reason why not."""
    found = look(connections(data), read(MonitorSettings).overdue_after)
    if as_json:
        show_json(found)
    elif found:
        show_rows(found, COLUMNS, as_json=False)
    else:
        say("No job or DAG is overdue.")


def look(target: Connections, after: timedelta) -> list[Row]:
    """The longest overdue first. Raises `BrokersError`, because only Kafka knows how far behind the sink is."""
    behind = sink_is_behind(target)
    watch = Watch()
    with connect_to_read(target) as postgres:
        watch.load(postgres)
        return judged(postgres, watch, after + behind)


def judged(postgres: psycopg.Connection[Row], watch: Watch, after: timedelta) -> list[Row]:
    """One round of a loaded watch: what is overdue by more than `after`, the longest first."""
    known = watch.refresh(postgres)
    watch.judge(postgres, known.now - after, known.earliest, lambda: True)
    now = now_of(postgres)
    ordered = sorted(watch.overdue.items(), key=lambda each: (each[1], each[0]))
    return [{"name": owner, "due": at, "late": now - at} for owner, at in ordered]


def sink_is_behind(target: Connections) -> timedelta:
    """How long the oldest record that the sink has not written waits."""
    since = sink_waits_since(target)
    return timedelta(0) if since is None else max(wall_clock() - since, timedelta(0))
