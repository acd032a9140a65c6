"""No form of a Postgres address is shown with its secrets."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from tidemill.addresses import hide_password

PLAIN = ("secret", "s3cret", "se cret", "se?cret", "se%cret", "p@ss")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:s3cret@host:5432/db",
        "postgres://me:s3cret@one:1,two:2/db?sslmode=require",
        "postgresql://host/db?user=me&password=s3cret&sslpassword=s3cret",
        "postgresql://me:s3%20cret%40@host/db",
        "postgresql://me:se?cret@host/db",
        "host=host user=me password=s3cret dbname=db",
        "host = host password = 's3 \\' cret' sslpassword='s3cret'",
        "password=s3cret host=one,two port=1,2",
        "postgresql:///db?host=/var/run&password=s3cret",
    ],
)
def test_whatever_libpq_reads_is_shown_without_its_secrets(address):
    shown = hide_password(address)
    assert "cret" not in shown
    before, after = conninfo_to_dict(address), conninfo_to_dict(shown)
    assert {name: value for name, value in before.items() if "password" not in name} == {
        name: value for name, value in after.items() if "password" not in name
    }
    assert after["password"] == "***"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:s3cret@connect:8083", "http://me:***@connect:8083"),
        ("http://me:s3@cret@connect:8083/", "http://me:***@connect:8083/"),
        ("http://connect:8083", "http://connect:8083"),
        ("one:9092,two:9092", "one:9092,two:9092"),
        ("host=x password='s3cret", "***"),
        ("postgresql://me:s3cret@host:5432/db?nonsense=1", "postgresql://me:***@host:5432/db?nonsense=1"),
        ("postgresql://host/db?user=u&password=s3cret&sslmod=1", "postgresql://host/db?user=u&password=***&sslmod=1"),
        ("postgresql://me:s3/cret@host/db", "postgresql://me:***@host/db"),
        ("http://me:s3/cret@connect:8083", "http://me:***@connect:8083"),
        (None, None),
    ],
)
def test_another_address_is_shown_without_what_may_be_a_secret(address, shown):
    assert hide_password(address) == shown
