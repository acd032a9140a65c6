"""A DSN may name several hosts; one of them is chosen by its position."""

from __future__ import annotations

import pytest
from psycopg import conninfo

from connectors.primary import addresses, only

LINE = [("a", "5432"), ("b", "5432")]


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("postgresql://mill@a/main", [("a", "5432")]),
        ("postgresql://mill@a:1,b:2/main", [("a", "1"), ("b", "2")]),
        ("postgresql://mill@a,b:2/main", [("a", "5432"), ("b", "2")]),
        ("postgresql://mill@[::1]:1,b:2/main", [("::1", "1"), ("b", "2")]),
        ("host=a,b dbname=main", LINE),
        ("host=a,b port=1 dbname=main", [("a", "1"), ("b", "1")]),
        ("hostaddr=10.0.0.1,10.0.0.2 port=1,2", [("10.0.0.1", "1"), ("10.0.0.2", "2")]),
        ("dbname=main", [("", "5432")]),
    ],
)
def test_hosts_and_ports_are_paired_by_the_rules_of_libpq(dsn, expected):
    assert addresses(dsn) == expected


@pytest.mark.parametrize("name", ["host", "hostaddr"])
def test_one_host_is_chosen_and_all_else_stays(name):
    dsn = f"{name}=10.0.0.1,10.0.0.2 port=1,2 user=mill password=s3cret target_session_attrs=primary"
    found = conninfo.conninfo_to_dict(only(dsn, 1))
    assert found == conninfo.conninfo_to_dict(dsn) | {name: "10.0.0.2", "port": "2"}


def test_a_dsn_with_one_host_stays_as_it_is():
    assert only("postgresql://mill@a/main", 0) == "postgresql://mill@a/main"
