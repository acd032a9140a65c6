"""The roles with which the processes of the local stack log in to Postgres, each with a password of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connectors.roles import DEFAULT_PREFIX, ROLES

OF_MODULES: Mapping[str, str] = {
    "connectors.sink": "sink",
    "connectors.supervisor": "connect",
    "tidemill.monitor": "monitor",
    "tidemill.web": "web",
}
"""The kind of role of each process that uses Postgres; the others get no address of it."""
CONNECT = f"{DEFAULT_PREFIX}connect"
"""The role of the connector."""
_NAMES = "select kind, name from tidemill.roles where kind = any (%s)"


def password_of(owner: str, name: str) -> str:
    """The password of a role, from that of the owner of the tables."""
    return hashlib.sha256(f"{owner} {name}".encode()).hexdigest()[:32]


def dsn_as(dsn: str, name: str) -> str:
    """The owner's DSN, for another role."""
    own = password_of(str(conninfo_to_dict(dsn)["password"]), name)
    return make_conninfo(dsn, user=name, password=own)


def set_passwords(dsn: str) -> list[str]:
    """Sets the password of each role that logs in, at every start; returns their names. Raises psycopg's errors."""
    kinds = [kind for kind, role in ROLES.items() if role.logs_in]
    owner = str(conninfo_to_dict(dsn)["password"])
    with psycopg.connect(dsn, application_name="tidemill-prepare") as postgres:
        names = [str(name) for _, name in postgres.execute(_NAMES, (kinds,)).fetchall()]
        for name in names:
            password = sql.Literal(password_of(owner, name))
            postgres.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(name), password))
    return names
