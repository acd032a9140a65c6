"""Hides the passwords in addresses that the commands print."""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
HIDDEN = "***"
_USER = re.compile(r"(://[^:/@]*):.*@")
_OPTION = re.compile(rf"([?&](?:{'|'.join(sorted(SECRETS))})=)[^&]*")


def hide_password(address: str | None) -> str | None:
    """Replace passwords with ***: libpq parses a Postgres address (URL or keywords), a pattern any other URL."""
    if address is None:
        return None
    try:
        read = conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        return _without(address)
    if "://" in address and "@" in str(read.get("dbname", "")):
        return _without(address)  # the password has a slash, so libpq reads its end as a part of the database name
    return make_conninfo("", **{name: HIDDEN if name in SECRETS else value for name, value in read.items()})


def _without(address: str) -> str:
    """In a malformed address the end of the password is unknown: hide everything that may belong to it."""
    if "://" not in address:
        return HIDDEN if "=" in address else address
    return _OPTION.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1:{HIDDEN}@", address))
