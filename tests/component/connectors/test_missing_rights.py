"""A missing right is reported at once, with the statement that grants it; after the grant it works."""

from __future__ import annotations

import time
from itertools import count

import psycopg
import pytest
from psycopg import conninfo, sql

from connectors.apply import apply_connector
from connectors.migrate import migrate
from connectors.rights import MissingRightsError, check_may_capture
from schemas.settings import Connections

AT_ONCE_SECONDS = 20.0
_numbers = count()


@pytest.fixture
def admin(postgres_server):
    with psycopg.connect(postgres_server("postgres"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def plain(postgres_server, admin):
    """A superuser's database, opened by a role with LOGIN only."""
    name = f"plain-{next(_numbers)}"
    admin.execute(sql.SQL("create role {} login password 'secret'").format(sql.Identifier(name)))
    admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return conninfo.make_conninfo(postgres_server(name), user=name, password="secret")


@pytest.fixture
def as_admin(postgres_server, plain):
    with psycopg.connect(postgres_server(conninfo.conninfo_to_dict(plain)["dbname"]), autocommit=True) as connection:
        yield connection


def remedy(error):
    """The SQL statement in the message."""
    return str(error.value).partition("run: ")[2].partition(";")[0]


def test_a_role_without_create_gets_the_grant_to_execute(plain, as_admin):
    with pytest.raises(MissingRightsError, match="may not create the schema tidemill and its publication") as refused:
        migrate(plain)
    as_admin.execute(remedy(refused))
    with psycopg.connect(plain) as connection:
        connection.execute("create schema tidemill")


def test_a_schema_of_another_role_is_reported_with_its_owner(plain, as_admin):
    as_admin.execute("create schema tidemill")
    with pytest.raises(MissingRightsError, match=r"the schema tidemill belongs to the role .*, and plain-") as refused:
        migrate(plain)
    assert remedy(refused).startswith("GRANT ")


def test_a_role_without_replication_is_refused_without_waiting(plain, as_admin):
    began = time.monotonic()
    with pytest.raises(MissingRightsError, match="may not replicate") as refused:
        apply_connector(Connections(postgres_dsn=plain, connect_url="http://127.0.0.1:1"))
    assert time.monotonic() - began < AT_ONCE_SECONDS
    as_admin.execute(remedy(refused))
    check_may_capture(plain)
