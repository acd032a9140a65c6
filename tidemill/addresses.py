"""Addresses as they may be shown: without passwords, whichever form Postgres takes."""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
HIDDEN = "***"
_USER = re.compile(r"(://[^:/@]*):[^/]*@")


def hide_password(address: str | None) -> str | None:
    """Of Postgres, as a URL or in keywords, what libpq reads is written anew; in any other URL *** is the password."""
    if address is None:
        return None
    try:
        read = conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        # With a mistake in it nothing says where a password begins.
        return _USER.sub(rf"\1:{HIDDEN}@", address) if "://" in address else HIDDEN if "=" in address else address
    return make_conninfo("", **{name: HIDDEN if name in SECRETS else value for name, value in read.items()})
