"""`tidemill sql` prints rows of any type, and psql gets the password in its environment."""

from __future__ import annotations

import os
import subprocess
import sys

import orjson
import pytest
from psycopg.conninfo import conninfo_to_dict

from tidemill.cli import run
from tidemill.prompt import psql_target

SECONDS = 30
ODD = """select repeat('[', 3000) || repeat(']', 3000) as text,
             (repeat('[', 3000) || repeat(']', 3000))::json as deep,
             ('{"n": 1' || repeat('0', 40) || '}')::jsonb as big,
             '\\xdead'::bytea as bytes, '03:00'::time as clock, int4range(1, 5) as range, 2::numeric ^ 80 as power"""


@pytest.fixture
def sql(tables_dsn, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TIDEMILL_POSTGRES_DSN", tables_dsn)

    def call(*arguments, code=0):
        assert run(["sql", *arguments, "--data", str(tmp_path)]) == code
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    return call


def test_every_type_has_a_form_in_json_and_in_a_table(sql):
    (row,) = orjson.loads(sql("--json", "-c", ODD))
    assert row["deep"] == row["text"]
    assert (row["big"], row["bytes"]) == ({"n": "1" + "0" * 40}, "\\xdead")
    assert (row["clock"], row["range"]) == ("03:00:00", "[1, 5)")
    assert len(sql("-c", ODD).splitlines()) == 2


def test_two_columns_of_one_name_are_two_columns(sql):
    assert [line.split() for line in sql("-c", "select 1 as a, 2 as a").splitlines()] == [["a", "a_2"], ["1", "2"]]
    (row,) = orjson.loads(sql("--json", "-c", "select 1 as a, 2 as a, 3 as a_2, 4 as a"))
    assert row == {"a": 1, "a_3": 2, "a_2": 3, "a_4": 4}


def test_a_time_that_python_cannot_hold_is_shown(sql):
    query = (
        "select 'infinity'::timestamptz as a, '-infinity'::date as b, '0044-03-15 BC'::timestamp as c, '1 h'::interval"
    )
    (row,) = orjson.loads(sql("--json", "-c", query))
    assert row == {"a": "infinity", "b": "-infinity", "c": "0044-03-15 00:00:00 BC", "interval": "PT3600S"}


def test_a_row_with_a_newline_is_one_line_of_a_pipe(sql):
    assert sql("-c", "select E'a\\nb' as x, 1 as y").splitlines()[1].split() == [r"a\nb", "1"]


def test_a_statement_without_rows_is_an_empty_list(sql):
    assert orjson.loads(sql("--json", "-c", "create temporary table t (a int)")) == []
    assert sql("-c", "create temporary table t (a int)") == "CREATE TABLE\n"


@pytest.mark.parametrize(
    "copy", ["copy (select 1) to stdout", "copy tidemill.jobs from stdin", "select 1; copy (select 1) to stdout"]
)
def test_a_copy_through_the_client_is_refused_with_a_sentence(sql, copy):
    said = sql("-c", copy, code=2)
    assert said.startswith("tidemill: -c cannot COPY to STDOUT or from STDIN")
    assert len(said.splitlines()) == 1


def test_psql_gets_the_password_by_its_environment():
    dsn = "postgresql://me:se%20cret@one:5432,two:5433/db?keepalives=1&options=-c%20work_mem%3D1MB"
    target, environment = psql_target(dsn, {"HOME": "here"})
    assert conninfo_to_dict(target) == {
        "user": "me",
        "host": "one,two",
        "port": "5432,5433",
        "dbname": "db",
        "keepalives": "1",
    }
    assert environment["PGPASSWORD"] == "se cret"
    assert environment["PGOPTIONS"] == "-c work_mem=1MB -c search_path=tidemill,public"
    assert environment["HOME"] == "here"


def test_the_prompt_is_on_the_right_database(tables_dsn, tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", "tidemill", "sql", "--data", str(tmp_path)],
        input="select count(*) as jobs from jobs;",
        env={**os.environ, "TIDEMILL_POSTGRES_DSN": tables_dsn},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert (found.stdout.split()[0], found.stderr) == ("jobs", "")
