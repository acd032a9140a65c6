"""The monitor's judge on a real database: what it shows while the sink is behind, and while Postgres is away."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from schemas.settings import Connections
from tests.support.read_model_rows import allow_writes
from tidemill.monitor.judge import Judge, SinkPosition
from tidemill.monitor.shown import Shown
from tidemill.target import connect

AFTER = timedelta(minutes=2)
UNKNOWN = {"overdue": None, "oldest": None, "judged": None, "unjudged": None}


class Bench:
    """A judge, its clock, and a database with a job that is due each minute and has run at no time."""

    def __init__(self, dsn):
        self.seconds = 0.0
        self.sink, self.shown, self._registry = SinkPosition(lambda: self.seconds), Shown(), CollectorRegistry()
        self._registry.register(self.shown)
        self.judge = Judge(Connections(postgres_dsn=dsn), AFTER, self.sink, self.shown)
        with connect(dsn) as database:
            allow_writes(database)
            database.execute(
                "insert into tidemill.jobs (job_id, executable, schedule) values ('j', 's3://bucket/k', '* * * * *')"
            )
            database.execute("alter table tidemill.definitions disable trigger user")
            database.execute("update tidemill.definitions set valid_from = clock_timestamp() - interval '10 min'")

    def figures(self):
        names = {"overdue": "overdue_jobs", "oldest": "overdue_oldest_seconds", "judged": "judged_jobs"}
        names["unjudged"] = "unjudged_jobs"
        return {each: self._registry.get_sample_value(f"tidemill_{name}") for each, name in names.items()}


@pytest.fixture
def bench(tables_dsn):
    return Bench(tables_dsn)


def test_nothing_is_judged_before_it_is_known_how_far_the_sink_is_behind(bench):
    bench.judge.round()
    assert bench.figures() == UNKNOWN


def test_an_overdue_job_is_counted_with_the_age_of_its_occurrence(bench):
    bench.sink.note(timedelta(0))
    bench.judge.round()
    figures = bench.figures()
    assert 120 <= figures.pop("oldest") < 200
    assert figures == {"overdue": 1, "judged": 1, "unjudged": 0}


def test_while_the_sink_is_behind_occurrences_of_that_time_are_not_judged(bench):
    bench.sink.note(timedelta(0))
    bench.seconds = 600.0
    bench.judge.round()
    assert bench.figures() == {"overdue": 0, "oldest": 0, "judged": 1, "unjudged": 0}


def test_without_postgres_nothing_is_shown_and_the_next_round_connects_again(bench):
    bench.sink.note(timedelta(0))
    bench.judge.round()
    bench.judge._postgres.execute("set statement_timeout = 1")
    with pytest.raises(psycopg.Error):
        bench.judge._postgres.execute("select pg_sleep(1)")
    bench.judge.is_away()
    assert bench.figures() == UNKNOWN
    bench.judge.round()
    assert bench.figures()["overdue"] == 1
