"""The host that takes writes is found among hosts that are dead or read only."""

from __future__ import annotations

import socket
import time

import psycopg
import pytest
from psycopg import sql

from connectors.primary import CONNECT_SECONDS, addresses, find_primary
from tests.support.observed import reserved_port

READ_ONLY = "alter database {} set default_transaction_read_only = on"


@pytest.fixture
def dead(tmp_path):
    """An address at which no server listens."""
    with reserved_port(tmp_path) as found:
        yield found.address


@pytest.fixture
def named(empty_dsn):
    """A function from addresses to a DSN with them; None stands for the server of the tests."""
    ((host, port),) = addresses(empty_dsn)
    here = f"{host}:{port}"
    return lambda *hosts: empty_dsn.replace(here, ",".join(each or here for each in hosts))


def test_a_dead_host_is_passed_by(named, dead):
    assert find_primary(named(dead, None)) == 1
    assert find_primary(named(None, dead)) == 0


def test_a_silent_host_does_not_hold_up_the_answer(named):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody answers
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        assert find_primary(named(address, None)) == 1
        assert time.monotonic() - began < CONNECT_SECONDS
        assert find_primary(named(address, None), 0) == 1


def test_a_primary_stays_the_primary_while_it_takes_writes(named):
    assert find_primary(named(None, None), 1) == 1


def test_without_a_host_that_answers_there_is_no_primary(named, dead):
    assert find_primary(named(dead, dead)) is None


def test_a_server_that_only_reads_is_no_primary(named, dead, empty_dsn):
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(READ_ONLY).format(sql.Identifier(connection.info.dbname)))
    assert find_primary(named(None)) is None
    assert find_primary(named(dead, None)) is None
