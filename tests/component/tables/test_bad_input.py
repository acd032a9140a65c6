"""A thousand bad rows for the tables that users write: each refusal is one clear sentence, and a good row passes."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.bad_input.records import VICTIM
from tests.support.bad_input.rows import EXECUTABLE, bad_rows, columns_of
from tests.support.bad_input.sentences import problem_with

COUNT = 1_000
SEED = 1


@pytest.fixture
def victims(tables):
    """The job and the DAG that bad rows name."""
    tables.execute("insert into tidemill.jobs (job_id, executable) values (%s, %s)", [VICTIM, EXECUTABLE])
    tables.execute("insert into tidemill.dags (dag_id) values (%s)", [f"{VICTIM}-dag"])
    return tables


def test_bad_rows_are_refused_with_a_sentence_and_good_rows_pass(victims):
    refused = 0
    sentences = []
    for each in bad_rows(SEED, COUNT, columns_of(victims)):
        try:
            with victims.transaction(force_rollback=each.is_aborted):
                victims.execute(each.statement, each.values)
        except psycopg.errors.CheckViolation as error:
            sentences.append(error.diag.message_primary)
        except (psycopg.Error, UnicodeError):
            refused += 1  # by a type or a key of Postgres, or by the client, in their own words
    victims.execute("insert into tidemill.jobs (job_id, executable) values ('good', %s)", [EXECUTABLE])
    victims.execute("insert into tidemill.requests (request_id, job_id) values ('good', 'good')")
    assert len(sentences) > COUNT // 4
    assert len(sentences) + refused > COUNT // 2
    assert [each for each in sentences if problem_with(each)] == []
