"""A throwaway Postgres and S3 as in the local stack, and fixtures in them."""

from __future__ import annotations

from itertools import count

import psycopg
import pytest

from connectors.migrate import migrate
from connectors.objects import Objects
from infra.process_roles import set_passwords
from tests.support.servers.postgres_node import running_postgres
from tests.support.servers.server_process import running_s3

_numbers = count()


@pytest.fixture(scope="session")
def postgres_server():
    """A function from a database's name to its connection string."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def empty_dsn(postgres_server):
    """A new database without tables."""
    return _database(postgres_server, "template1")


@pytest.fixture(scope="session")
def migrated_template(postgres_server):
    dsn = _database(postgres_server, "template1")
    migrate(dsn)
    set_passwords(dsn)
    return dsn.rpartition("/")[2]


@pytest.fixture
def tables_dsn(postgres_server, migrated_template):
    """A new migrated database, for tests with several connections."""
    return _database(postgres_server, migrated_template)


@pytest.fixture(scope="module")
def module_dsn(postgres_server, migrated_template):
    """A migrated database for all tests of a file, which keep out of each other's way."""
    return _database(postgres_server, migrated_template)


@pytest.fixture(scope="session")
def shared_dsn(postgres_server, migrated_template):
    return _database(postgres_server, migrated_template)


@pytest.fixture
def tables(shared_dsn):
    """A connection to a migrated database, in a transaction that is rolled back."""
    with psycopg.connect(shared_dsn) as connection:
        yield connection
        connection.rollback()


def _database(server, template):
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server("postgres"), autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
    return server(name)


@pytest.fixture(scope="module")
def s3():
    with running_s3() as place:
        yield place


@pytest.fixture
def place(s3, tables_dsn, request):
    """A new migrated database and a new bucket."""
    bucket = request.node.originalname.replace("_", "-")[:60]
    made = s3.model_copy(update={"postgres_dsn": tables_dsn, "s3_bucket": bucket})
    Objects(made).make_bucket()
    return made


@pytest.fixture
def store(place):
    return Objects(place)
