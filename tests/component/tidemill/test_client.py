"""A request and the fence from Python, with each kind of driver, in the transaction of the caller."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import pg8000.dbapi
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.dag_rows import EXECUTABLE
from tidemill import client
from tidemill.job import Run

LATER = datetime(2100, 1, 1, tzinfo=UTC)
ODD = "100% of 'it' :x $1 ? %s ä"


@pytest.fixture
def database(tables_dsn):
    with psycopg.connect(tables_dsn, autocommit=True) as connection:
        connection.execute("insert into tidemill.jobs (job_id, executable) values ('a', %s)", (EXECUTABLE,))
        yield connection


@pytest.fixture(params=["psycopg", "pg8000"])
def connection(request, database, tables_dsn):
    """A connection of a DB-API driver, inside a transaction."""
    if request.param == "psycopg":
        made = psycopg.connect(tables_dsn)
    else:
        made = pg8000.dbapi.connect(**pg8000_options(tables_dsn))
    yield made
    made.close()


def pg8000_options(dsn):
    said = conninfo_to_dict(dsn)
    host = str(said["host"])
    place = {"unix_sock": f"{host}/.s.PGSQL.{said.get('port', 5432)}"} if host.startswith("/") else {"host": host}
    return {
        "user": said["user"],
        "password": said.get("password"),
        "database": said["dbname"],
        "port": int(said.get("port", 5432)),
        **place,
    }


def rows(database):
    query = "select request_id, job_id, payload::text, run_at from tidemill.requests order by request_id"
    return database.execute(query).fetchall()


def test_a_request_counts_when_the_transaction_of_the_caller_commits(connection, database):
    run_id = client.request(connection.cursor(), "a", {"text": ODD}, request_id=ODD.replace("#", ""), run_at=LATER)
    assert rows(database) == []
    connection.rollback()
    assert rows(database) == []
    assert client.request(connection.cursor(), "a", [1], "r", run_at=LATER) == "a#r"
    connection.commit()
    assert run_id == f"a#{ODD}"
    assert rows(database) == [("r", "a", "[1]", LATER)]


def test_the_same_id_again_changes_nothing_and_without_an_id_each_call_is_a_request(connection, database):
    cursor = connection.cursor()
    assert client.request(cursor, "a", 1, "r") == client.request(cursor, "a", 2, "r") == "a#r"
    assert client.request(cursor, "a") != client.request(cursor, "a")
    connection.commit()
    assert len(rows(database)) == 3
    assert ("r", "a", "1") in [row[:3] for row in rows(database)]


def test_what_the_database_refuses_is_its_own_sentence(connection):
    with pytest.raises(Exception, match="request_id") as refused:
        client.request(connection.cursor(), "a", request_id="no#good")
    assert type(refused.value).__module__.startswith(("psycopg", "pg8000"))


def test_a_time_without_a_zone_and_a_request_for_nothing_are_refused(connection):
    with pytest.raises(ValueError, match="has no time zone"):
        client.request(connection.cursor(), "a", run_at=datetime(2100, 1, 1))
    with pytest.raises(ValueError, match="name either a job or a DAG"):
        client.request(connection.cursor(), None)


def test_an_asynchronous_connection_of_each_driver_requests_too(database, tables_dsn):
    async def ask():
        async with await psycopg.AsyncConnection.connect(tables_dsn) as connection:
            first = await client.request_async(connection, "a", {"n": 1}, "r1", run_at=LATER)
        other = await asyncpg.connect(**asyncpg_options(tables_dsn))
        second = await client.request_async(other, "a", {"n": 2}, "r2", run_at=LATER)
        await other.close()
        return first, second

    assert asyncio.run(ask()) == ("a#r1", "a#r2")
    assert [row[2] for row in rows(database)] == ['{"n": 1}', '{"n": 2}']


def asyncpg_options(dsn):
    said = conninfo_to_dict(dsn)
    names = {"host": "host", "port": "port", "user": "user", "password": "password", "dbname": "database"}
    return {name: said[key] for key, name in names.items() if key in said}


def run(token):
    return Run({"TIDEMILL_RUN_ID": f"a#{ODD}", "TIDEMILL_FENCING_TOKEN": str(token)})


def test_the_fence_holds_back_an_attempt_that_is_older(connection):
    run(7).fence(connection)
    connection.commit()
    with pytest.raises(Exception, match=r"newer attempt|7"):
        run(6).fence(connection)
    connection.rollback()
    run(7).fence(connection)


def test_the_fence_is_there_for_asynchronous_connections(database, tables_dsn):
    async def pass_it():
        async with await psycopg.AsyncConnection.connect(tables_dsn) as connection:
            await run(3).fence_async(connection)
        other = await asyncpg.connect(**asyncpg_options(tables_dsn))
        await run(4).fence_async(other)
        await other.close()

    asyncio.run(pass_it())
    assert database.execute("select run_id, token from tidemill.fences").fetchall() == [(f"a#{ODD}", 4)]
