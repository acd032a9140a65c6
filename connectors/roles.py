"""The roles of a deployment in Postgres: the table of what each may do; a migration brings a database to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql as composed
from psycopg.errors import DuplicateObject
from psycopg.rows import class_row

from connectors.policies import bring_policies
from connectors.rights import MissingRightsError
from connectors.statements import sql

DEFAULT_PREFIX = "tidemill_"
MONITOR_TENANT = "default"
"""The tenant of the monitor's canary: its role may write there, and nowhere else."""
LOCK_KEY = 0x71DE_0112
"""The advisory lock: only one process changes the rights in a database at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a role is, apart from its grants."""

    logs_in: bool = False
    replicates: bool = False
    member_of: tuple[str, ...] = ()
    inherits: bool = True
    """False: it has the rights of `member_of` only after SET ROLE."""


ROLES: Mapping[str, Role] = {
    "reader": Role(),
    "operator": Role(member_of=("reader",)),
    "writer": Role(member_of=("operator",)),
    "admin": Role(member_of=("writer",)),
    "sink": Role(logs_in=True),
    "connect": Role(logs_in=True, replicates=True),
    "monitor": Role(logs_in=True, member_of=("reader",)),
    "web": Role(logs_in=True, member_of=("writer",)),
    "api": Role(logs_in=True, member_of=("reader", "operator", "writer", "admin"), inherits=False),
}
"""By kind. The web page serves the API too, so it writes whatever a writer may. The supervisor logs in as `connect`:
the connector that it configures has its DSN."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Grant:
    """One right of one role. `column` is empty for a right on the whole object."""

    kind: str
    privilege: str
    sort: str
    """table, function or schema."""
    name: str
    """As Postgres writes it, with the schema."""
    column: str = ""


_OF_TENANTS = (
    "jobs",
    "dags",
    "dag_nodes",
    "definitions",
    "owners",
    "requests",
    "runs",
    "stories",
    "problems",
    "members",
    "audit_log",
)
_VIEWS = ("dag_runs", "attempts", "transitions", "backfills")
_OF_THE_DEPLOYMENT = (
    "roles", "zones", "timeout_classes", "sink_offsets", "weeks", "retention", "heartbeat", "deployment", "restored",
    "migrations", "reconciliation",
)  # fmt: skip
_PAUSING = "(paused,paused_note,resumed_at,catchup_after_pause)"
_TABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "reader": {"SELECT": (*_OF_TENANTS, *_VIEWS, *_OF_THE_DEPLOYMENT)},
    "operator": {"INSERT": ("requests",), f"UPDATE {_PAUSING}": ("jobs", "dags")},
    "writer": dict.fromkeys(("INSERT", "UPDATE", "DELETE"), ("jobs", "dags", "dag_nodes")),
    "admin": {
        "SELECT": ("fences", "definitions_pruned"),
        **dict.fromkeys(("INSERT", "UPDATE", "DELETE"), ("members",)),
    },
    "sink": {
        "SELECT": (
            "jobs", "dags", "dag_nodes", "definitions", "runs", "stories", "problems", "attempts", "transitions",
            "sink_offsets", "weeks", "retention", "deployment", "restored", "migrations", "definition_version",
            "audit_log",
        ),
        "INSERT": ("runs", "stories", "problems", "sink_offsets", "weeks", "retention"),
        "UPDATE": ("runs", "stories", "sink_offsets", "weeks", "retention"),
    },
    "connect": {"SELECT": ("definitions", "requests", "heartbeat", "migrations"), "UPDATE (at)": ("heartbeat",)},
    "monitor": {"INSERT": ("jobs", "requests"), "UPDATE": ("jobs",)},
}  # fmt: skip
_FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "admin": ("prune(interval)",),
    "sink": (
        "make_week(date)", "prune_week(date,boolean,bigint)", "prune_definitions(interval)", "prune_requests(interval)",
        "prune_fences(interval)", "note_restore(bigint)", "note_comparison(bigint,text,bigint)",
        "note_healing(bigint,bigint,text)", "append_again(text[],bigint[])", "append_deletions(text[],text[])",
    ),
}  # fmt: skip


def grants() -> frozenset[Grant]:
    """Everything that the roles may do, and nothing else: a test compares it with the rights in Postgres."""
    return frozenset(_grants())


def _grants() -> Iterator[Grant]:
    for kind in ("reader", "sink", "connect"):
        yield Grant(kind=kind, privilege="USAGE", sort="schema", name="tidemill")
    for kind, rights in _TABLES.items():
        for right, names in rights.items():
            privilege, _, columns = right.partition(" ")
            for name in names:
                for column in columns.strip("()").split(","):
                    yield Grant(kind=kind, privilege=privilege, sort="table", name=f"tidemill.{name}", column=column)
    for kind, functions in _FUNCTIONS.items():
        for function in functions:
            yield Grant(kind=kind, privilege="EXECUTE", sort="function", name=f"tidemill.{function}")


def bring_roles(dsn: str, prefix: str | None = None, lock_timeout: timedelta = timedelta(seconds=5)) -> list[str]:
    """Make the missing roles, and give all of them exactly these rights; returns the names of the new roles.

    `prefix` begins the names of new roles; None: that of this database, or `DEFAULT_PREFIX`.
    Raises `MissingRightsError`.
    """
    with psycopg.connect(dsn, application_name="tidemill-migrate") as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        milliseconds = lock_timeout // timedelta(milliseconds=1)
        connection.execute("select set_config('lock_timeout', %s, false)", (f"{milliseconds}ms",))
        names = _names(connection, prefix)
        made = _make(connection, names)
        _keep_names(connection, names)
        _bring_grants(connection, names)
        bring_policies(connection, names)
    return made


def names_of(prefix: str) -> dict[str, str]:
    """Kind -> the name of the role."""
    return {kind: f"{prefix}{kind}" for kind in ROLES}


def _names(connection: psycopg.Connection, prefix: str | None) -> dict[str, str]:
    """A role keeps its name; `prefix` is for new ones."""
    known: dict[str, str] = dict(connection.execute("select kind, name from tidemill.roles").fetchall())
    if prefix is None and known:
        prefix = str(known["reader"]).removesuffix("reader")
    return names_of(DEFAULT_PREFIX if prefix is None else prefix) | ({} if prefix is not None else known)


def _make(connection: psycopg.Connection, names: Mapping[str, str]) -> list[str]:
    existing = {name for (name,) in connection.execute("select rolname from pg_roles").fetchall()}
    missing = {kind: name for kind, name in names.items() if name not in existing}
    if missing:
        replicates = _may_make_roles(connection, sorted(missing.values()))
        for kind, name in missing.items():
            _create(connection, name, ROLES[kind], replicates=replicates)
    _join(connection, names)
    return list(missing.values())


def _may_make_roles(connection: psycopg.Connection, missing: list[str]) -> bool:
    """Returns whether this role may also make a role with REPLICATION."""
    found = connection.execute(
        "select rolname, rolsuper or rolcreaterole, rolsuper or rolreplication "
        "from pg_roles where rolname = current_user"
    ).fetchone()
    assert found is not None
    name, may_create, may_replicate = found
    if not may_create:
        quoted = composed.Identifier(name).as_string(connection)
        raise MissingRightsError(
            f"the role {name} may not create the roles {', '.join(missing)}: "
            f"let a superuser run: ALTER ROLE {quoted} CREATEROLE;"
        )
    return bool(may_replicate)


def _create(connection: psycopg.Connection, name: str, role: Role, *, replicates: bool) -> None:
    """Another migration may make the same role for another database at the same time."""
    options = " login" * role.logs_in + " replication" * (role.replicates and replicates)
    options += "" if role.inherits else " noinherit"
    try:
        with connection.transaction():
            connection.execute(
                composed.SQL("create role {} {}").format(composed.Identifier(name), composed.SQL(options))
            )
    except DuplicateObject:
        return


def _join(connection: psycopg.Connection, names: Mapping[str, str]) -> None:
    found = connection.execute(
        "select pg_get_userbyid(member), pg_get_userbyid(roleid) from pg_auth_members "
        "where pg_get_userbyid(member) = any (%s)",
        (list(names.values()),),
    )
    known = set(found.fetchall())
    for kind, role in ROLES.items():
        for group in role.member_of:
            if (names[kind], names[group]) not in known:
                pair = composed.Identifier(names[group]), composed.Identifier(names[kind])
                connection.execute(composed.SQL("grant {} to {}").format(*pair))


def _keep_names(connection: psycopg.Connection, names: Mapping[str, str]) -> None:
    known: dict[str, str] = dict(connection.execute("select kind, name from tidemill.roles").fetchall())
    if known == names:
        return
    connection.execute("select set_config('tidemill.keeping', 'on', true)")
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into tidemill.roles values (%s, %s) on conflict (kind) do update set name = excluded.name",
            list(names.items()),
        )
    connection.execute(
        "insert into tidemill.members (role, tenant, may) values (%s, %s, 'write') on conflict do nothing",
        (names["monitor"], MONITOR_TENANT),
    )


def found_grants(connection: psycopg.Connection[Any], names: Mapping[str, str]) -> frozenset[Grant]:
    """The rights that these roles have in the schema."""
    kinds = {name: kind for kind, name in names.items()}
    rows = connection.cursor(row_factory=class_row(Grant)).execute(sql("role_grants"), {"names": list(kinds)})
    return frozenset(
        Grant(kind=kinds[row.kind], privilege=row.privilege, sort=row.sort, name=row.name, column=row.column)
        for row in rows
    )


def _bring_grants(connection: psycopg.Connection, names: Mapping[str, str]) -> None:
    """Write only what differs, so that a repeated migration takes no lock."""
    wanted, found = grants(), found_grants(connection, names)
    for statement in _statements(found - wanted, "revoke", "from", names):
        connection.execute(statement)
    for statement in _statements(wanted - found, "grant", "to", names):
        connection.execute(statement)


def _statements(
    chosen: Iterable[Grant], verb: str, preposition: str, names: Mapping[str, str]
) -> Iterator[composed.Composed]:
    for each in sorted(chosen):
        what = f"{each.privilege} ({each.column})" if each.column else each.privilege
        text = f"{verb} {what} on {each.sort} {each.name} {preposition} {{}}"
        yield composed.SQL(text).format(composed.Identifier(names[each.kind]))
