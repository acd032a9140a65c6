"""Makes the role with which Grafana reads Postgres, if it is missing: `python -m infra.grafana_role`.

Whoever may look at Grafana may send its data source any statement; so its role can only read. It has the password of
the role that owns the tables, which Grafana's viewers do not see.
"""

from __future__ import annotations

import sys

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from schemas.settings import Connections, read

ROLE = "grafana"
_READER = "select name from tidemill.roles where kind = 'reader'"
_MEMBER = "insert into tidemill.members (role, tenant, may) values (%s, '*', 'read') on conflict do nothing"


def make(dsn: str) -> list[str]:
    """Returns what it made. Only a role that may create roles can do that. Raises psycopg's errors."""
    role, password = sql.Identifier(ROLE), sql.Literal(conninfo_to_dict(dsn).get("password", ""))
    with psycopg.connect(dsn, application_name="tidemill-prepare") as postgres:
        found = postgres.execute("select 1 from pg_roles where rolname = %s", (ROLE,)).fetchone()
        if found is None:
            postgres.execute(sql.SQL("create role {}").format(role))
        postgres.execute(sql.SQL("alter role {} login password {}").format(role, password))
        reader = postgres.execute(_READER).fetchone()
        assert reader is not None
        postgres.execute(sql.SQL("grant {} to {}").format(sql.Identifier(reader[0]), role))
        postgres.execute(_MEMBER, (ROLE,))
    return [ROLE] if found is None else []


def main() -> int:
    try:
        make(read(Connections).postgres_dsn)
    except psycopg.Error as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
