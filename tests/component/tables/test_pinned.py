"""A new program cannot keep the old checksum: an executor with the old program in its cache would run that."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.dag_rows import put, settle
from tidemill.put import statement

OLD, NEW = "ab" * 32, "cd" * 32
SENTENCE = "it is the checksum of the previous executable; set sha256 too"
TABLES = ["jobs", "dag_nodes"]
every_table = pytest.mark.parametrize("table", TABLES)


@pytest.fixture
def pinned(tables):
    tables.execute(
        """insert into tidemill.jobs (job_id, executable, sha256) values ('j', 's3://tidemill/old', %s)""", (OLD,)
    )
    put(tables, {"a": []})
    tables.execute("""update tidemill.dag_nodes set executable = 's3://tidemill/old', sha256 = %s""", (OLD,))
    settle(tables)
    return tables


def program(tables, table):
    return tables.execute(f"select executable, sha256 from tidemill.{table}").fetchone()


@every_table
def test_a_new_program_without_its_checksum_is_refused_with_a_remedy(pinned, table):
    with pytest.raises(psycopg.errors.CheckViolation) as error, pinned.transaction():
        pinned.execute(f"""update tidemill.{table} set executable = 's3://tidemill/new'""")
    assert SENTENCE in str(error.value)
    assert program(pinned, table) == ("s3://tidemill/old", OLD)


@every_table
@pytest.mark.parametrize("sha256", [NEW, None, OLD], ids=["its own", "none", "the same program elsewhere"])
def test_a_statement_that_sets_the_checksum_is_accepted(pinned, table, sha256):
    pinned.execute(f"""update tidemill.{table} set executable = 's3://tidemill/new', sha256 = %s""", (sha256,))
    assert program(pinned, table) == ("s3://tidemill/new", sha256)


@every_table
def test_each_statement_is_checked_separately(pinned, table):
    pinned.execute(f"update tidemill.{table} set sha256 = sha256")
    with pytest.raises(psycopg.errors.CheckViolation, match="previous"), pinned.transaction():
        pinned.execute(f"""update tidemill.{table} set executable = 's3://tidemill/new'""")
    pinned.execute(f"update tidemill.{table} set max_attempts = 2")


@every_table
def test_a_program_without_a_checksum_can_be_replaced(pinned, table):
    pinned.execute(f"update tidemill.{table} set sha256 = null")
    pinned.execute(f"""update tidemill.{table} set executable = 's3://tidemill/new'""")
    assert program(pinned, table) == ("s3://tidemill/new", None)


def test_an_upsert_counts_as_an_update(pinned):
    write = """insert into tidemill.jobs (job_id, executable, sha256) values ('j', 's3://tidemill/new', %s)
        on conflict (job_id) do update set executable = excluded.executable"""
    with pytest.raises(psycopg.errors.CheckViolation, match="previous"), pinned.transaction():
        pinned.execute(write, (OLD,))
    pinned.execute(write + ", sha256 = excluded.sha256", (OLD,))
    assert program(pinned, "jobs") == ("s3://tidemill/new", OLD)


def test_job_put_sets_the_checksum_with_the_program(pinned):
    with pytest.raises(psycopg.errors.CheckViolation, match="previous"), pinned.transaction():
        pinned.execute(statement("j", {"executable": "s3://tidemill/new"}))
    pinned.execute(statement("j", {"executable": "s3://tidemill/new", "sha256": None}))
    assert program(pinned, "jobs") == ("s3://tidemill/new", None)
