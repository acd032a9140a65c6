"""Addresses as they may be shown: without passwords, whichever form Postgres takes."""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
HIDDEN = "***"
_USER = re.compile(r"(://[^:/@]*):.*@")
_OPTION = re.compile(rf"([?&](?:{'|'.join(sorted(SECRETS))})=)[^&]*")


def hide_password(address: str | None) -> str | None:
    """Of Postgres, as a URL or in keywords, what libpq reads is written anew; in any other URL *** is the password."""
    if address is None:
        return None
    try:
        read = conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        return _without(address)
    if "://" in address and "@" in str(read.get("dbname", "")):
        return _without(address)  # a slash in the password: what libpq took for the database begins with its end
    return make_conninfo("", **{name: HIDDEN if name in SECRETS else value for name, value in read.items()})


def _without(address: str) -> str:
    """With a mistake in it nothing says where a password ends: all that may be one is hidden."""
    if "://" not in address:
        return HIDDEN if "=" in address else address
    return _OPTION.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1:{HIDDEN}@", address))
