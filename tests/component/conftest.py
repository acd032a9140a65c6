"""A throwaway Postgres for the tests of this tier, the same as the local stack's, and databases in it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from connectors.migrate import migrate
from infra import postgres as local
from infra.credentials import credentials
from infra.ports import Ports
from infra.settings import InfraSettings
from tests.servers import start

_numbers = count()


@pytest.fixture(scope="session")
def postgres_server():
    """A function from the name of a database to its connection string."""
    with running_postgres() as server:
        yield server


@contextmanager
def running_postgres():
    """The same as the local stack's, on a port of its own; its data is thrown away."""
    settings = InfraSettings()
    with tempfile.TemporaryDirectory(prefix="tidemill-postgres-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        data.chmod(0o755)  # so that the user whom Postgres runs as can enter it
        keys = credentials(data)
        ports = Ports(data, settings.cache.expanduser(), ["postgres"])
        place = local.prepare(data, settings.postgres_home, keys, print)
        server = local.part(data, ports.by_name["postgres"], place)
        process = start(server)
        try:
            yield lambda name: local.dsn(ports.by_name["postgres"], keys).removesuffix(local.DATABASE) + name
        finally:
            process.send_signal(server.stop_signal)
            process.wait(timeout=server.stop_seconds)
            ports.close()


@pytest.fixture
def empty_dsn(postgres_server):
    """A database of its own, without tables."""
    return _database(postgres_server, "template1")


@pytest.fixture(scope="session")
def migrated_template(postgres_server):
    dsn = _database(postgres_server, "template1")
    migrate(dsn)
    return dsn.rpartition("/")[2]


@pytest.fixture
def tables_dsn(postgres_server, migrated_template):
    """A database of its own, migrated: for tests with several connections."""
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
