"""The policies by which Postgres shows each role the rows of its tenants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql as composed

EVERYWHERE = ("admin", "sink", "connect", "monitor", "web")
"""These see the rows of every tenant. Postgres drops `true or ...` when it plans a query, so it costs them nothing."""

_MINE = (
    "tenant = any ((select tidemill.my_tenants('read'))::text[]) or (select '*' = any (tidemill.my_tenants('read')))"
)
"""Both functions run once for each query, before its first row."""
_OWNED = (
    "exists (select from tidemill.owners as known where known.owner = {0}.owner) "
    "or exists (select from tidemill.dags as dag where dag.dag_id = {0}.owner)"
)
_SHOWN: Mapping[str, str] = {
    "jobs": _MINE,
    "dags": _MINE,
    "owners": _MINE,
    "runs": _MINE,
    "audit_log": _MINE,
    "dag_nodes": "exists (select from tidemill.dags as dag where dag.dag_id = dag_nodes.dag_id)",
    "definitions": _OWNED.format("definitions"),
    "requests": _OWNED.format("requests"),
    "problems": _OWNED.format("problems"),
    "stories": (
        "exists (select from tidemill.runs as run "
        "where run.run_id = stories.run_id and run.filed_on = stories.filed_on)"
    ),
    "members": "exists (select from pg_roles where rolname = members.role and pg_has_role(oid, 'USAGE'))",
}
"""Which rows a role with few tenants sees: an expression for each table. It also holds for rows that it writes; that it
may write them at all, a trigger decides before (schemas/tables/0015_access.sql)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    table: str
    name: str
    kinds: tuple[str, ...]
    shown: str


def policies() -> Iterator[Policy]:
    for table, shown in _SHOWN.items():
        yield Policy(table=table, name="by_tenant", kinds=("reader",), shown=shown)
        yield Policy(table=table, name="everywhere", kinds=EVERYWHERE, shown="true")


def bring_policies(connection: psycopg.Connection, names: Mapping[str, str]) -> None:
    """Make the policies anew that differ. The comment of a policy is its text, which Postgres does not keep."""
    found = {
        (table, name): text
        for table, name, text in connection.execute(
            "select relname, polname, obj_description(pg_policy.oid, 'pg_policy') from pg_policy "
            "join pg_class on pg_class.oid = polrelid where relnamespace = 'tidemill'::regnamespace"
        ).fetchall()
    }
    wanted = {(each.table, each.name): each for each in policies()}
    for table, name in sorted(found.keys() - wanted.keys()):
        connection.execute(_on("drop policy {} on {}", table, name))
    for (table, name), policy in sorted(wanted.items()):
        roles = [names[kind] for kind in policy.kinds]
        text = f"to {', '.join(roles)}: {policy.shown}"
        if found.get((table, name)) == text:
            continue
        connection.execute(_on("drop policy if exists {} on {}", table, name))
        to = composed.SQL(", ").join(map(composed.Identifier, roles))
        shown = composed.SQL(policy.shown)
        connection.execute(
            _on("create policy {} on {} ", table, name)
            + composed.SQL("to {} using ({}) with check ({})").format(to, shown, shown)
        )
        connection.execute(_on("comment on policy {} on {} is ", table, name) + composed.Literal(text))


def _on(statement: str, table: str, name: str) -> composed.Composed:
    return composed.SQL(statement).format(composed.Identifier(name), composed.Identifier("tidemill", table))
