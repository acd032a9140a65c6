"""The rows that `tidemill explain` reads from the tables of users, triggers and the sink."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg.rows import dict_row

from tests.support.dag_rows import put, settle
from tests.support.read_model_rows import allow_writes
from tidemill.explain.history import Moment
from tidemill.explain.look import find_history, read_history, read_occurrence
from tidemill.explain.story import story
from tidemill.explain.unwritten import explain_request
from tidemill.explain.why_no_run import Nothing, why_no_run
from tidemill.queries import now_of
from tidemill.target import NotFoundError

DUE = datetime(2026, 11, 21, 2, tzinfo=UTC)
JOB = """insert into tidemill.jobs (job_id, executable, schedule, timezone, max_runs)
         values ('j', 's3://bucket/k', '0 3 * * *', 'Europe/Berlin', 2)"""
RUN = """insert into tidemill.runs (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, reason_code,
                                    reason, attempt, missed_from, missed_to, missed_count, missed_at_least, version)
         values (%s, 'j', 'default', 'scheduled', %s, %s, 'skipped', %s, %s, 0, %s, %s, %s, false, 1)"""
PROBLEM = """insert into tidemill.problems (at, partition, record_offset, topic_id, owner, kind, code, reason,
                                            request_id, record)
             values (%s, 1, 1, 't', %s, 'dead_letter', %s, %s, %s, %s)"""


@pytest.fixture
def database(tables):
    """A database with a job that was written ten days before it was due."""
    tables.row_factory = dict_row
    tables.execute(JOB)
    tables.execute("alter table tidemill.definitions disable trigger user")
    tables.execute("update tidemill.definitions set valid_from = %s", (DUE - timedelta(days=10),))
    days = [(DUE + timedelta(days=number)).date() for number in range(-1, 2)]
    allow_writes(tables, days)
    return tables


def explained(database, at=DUE):
    history = read_history(database, "j")
    found = read_occurrence(database, "j", Moment(instant=at), history, DUE + timedelta(hours=5))
    return why_no_run(found) if isinstance(found, Nothing) else story(found)


def run(database, run_id, nominal_time, code, reason, *missed):
    database.execute(RUN, (run_id, nominal_time, nominal_time, code, reason, *(missed or (None, None, None))))


def test_an_occurrence_without_a_row_is_not_there(database):
    assert explained(database).answer == "not_there"
    assert explained(database, DUE + timedelta(minutes=1)).answer == "no_occurrence"
    with pytest.raises(NotFoundError):
        read_history(database, "unknown")


def test_an_occurrences_own_row_or_range_is_found(database):
    first, last = DUE - timedelta(days=1), DUE + timedelta(days=1)
    run(database, "j@a~b", first, "paused", "paused: a break", first, last, 3)
    assert "one of the 3 occurrences of j@a~b, did not run: it was paused: a break" in explained(database).sentence
    run(database, "j@2026-11-21T02:00:00Z", DUE, "overlap_skipped", "j#r is running")
    assert explained(database).sentence.startswith("j@2026-11-21T02:00:00Z did not run: its overlap_policy")


def test_the_occurrence_that_said_that_all_runs_are_made_is_found(database):
    run(database, "j@earlier", DUE - timedelta(days=1), "max_runs", "all 2 runs are made; nothing more is due")
    assert explained(database).answer == "max_runs"


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("quarantined", "quarantined"),
        ("invalid_schedule", "quarantined"),
        ("class_unknown", "not_there"),
        ("run_dead", "not_there"),
    ],
)
def test_of_the_problems_of_a_job_those_count_that_keep_it_from_running(database, code, answer):
    database.execute(PROBLEM, (DUE - timedelta(hours=1), "j", code, "what is wrong", None, None))
    assert explained(database).answer == answer


def test_a_refused_request_says_why(database):
    database.execute("insert into tidemill.requests (request_id, job_id) values ('r', 'j')")
    refusal = "request 'r' is refused: job 'j' was deleted"
    database.execute(PROBLEM, (DUE, "j", "request_refused", refusal, "r", None))
    told = explain_request(database, "j#r", "j", read_history(database, "j"), now_of(database))
    assert (told.answer, "was deleted" in told.sentence) == ("refused", True)
    assert [fact.name for fact in told.facts] == ["asked_for", "refused"]


def test_a_refused_request_that_came_by_topic_says_why_also_for_an_owner_that_does_not_exist(database):
    refusal = "request \"it's\" is refused: no job or DAG 'ghost' was there within 60 s"
    database.execute(PROBLEM, (DUE, "ghost", "request_refused", refusal, "it's", None))
    told = explain_request(database, "ghost#it's", "ghost", find_history(database, "ghost"), now_of(database))
    assert (told.answer, told.sentence) == ("refused", f"ghost#it's did not run: {refusal}.")


@pytest.mark.parametrize(
    ("key", "record", "is_it"),
    [
        ("j", '{"request_id":"r","kind":"fly","job_id":"j"}', True),
        (None, '{"job_id": "j", "request_id" : "r"}', True),
        (None, '{"job_id": "other", "request_id": "r"}', False),
        ("j", '{"request_id": "r2", "job_id": "j"}', False),
        ("j", '{"run_id": "j#r"}', False),
    ],
)
def test_an_unreadable_request_is_found_by_the_text_of_its_record(database, key, record, is_it):
    database.execute("insert into tidemill.requests (request_id, job_id) values ('r', 'j')")
    database.execute(PROBLEM, (DUE, key, "record_refused", "record requests@7 is odd", None, record))
    told = explain_request(database, "j#r", "j", read_history(database, "j"), now_of(database))
    assert told.answer == ("refused" if is_it else "not_there")
    assert ("record requests@7 is odd" in told.sentence) is is_it


def test_the_versions_of_a_dag_come_without_its_nodes(database):
    put(database, {"a": [], "b": ["a"]}, schedule="0 3 * * *", timezone="Europe/Berlin")
    settle(database)
    (version,) = read_history(database, "d")
    assert (version.is_dag, version.spec.schedule) == (True, "0 3 * * *")
