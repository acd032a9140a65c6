"""The definition of a job or DAG as it is, and as it would be with other values: Postgres checks and writes these, and
takes them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from schemas.codec import decode
from schemas.dag import DagSpec
from schemas.ids import OwnerId
from schemas.job import Definition, JobSpec
from schemas.words import DefinitionKind
from tidemill.confined import SIZES, in_bytes
from tidemill.dag_file import DAG_COLUMNS
from tidemill.names import nearest
from tidemill.put import SETTABLE, with_column
from tidemill.queries import one
from tidemill.target import NotFoundError, Row, UsageError

LOCK_WAIT: Final = "-c lock_timeout=5s"
"""The option of a connection for `changed`: another transaction may hold the row."""
_COLUMNS = {"job": SETTABLE, "dag": frozenset(DAG_COLUMNS) - {"dag_id"}}
_A = {"job": "a job", "dag": "a DAG"}


def pairs(kind: str, texts: list[str]) -> dict[str, Any]:
    """The values of `--set COLUMN=VALUE`; an empty one is null. `kind`: `job` or `dag`. Raises `UsageError`."""
    found: dict[str, Any] = {}
    for each in texts:
        name, equals, value = each.partition("=")
        if not (name and equals):
            raise UsageError(f"--set {each!r} is not of the form COLUMN=VALUE")
        if name not in _COLUMNS[kind]:
            near = nearest(name, _COLUMNS[kind])
            meant = f"did you mean {near}? " if near else ""
            allowed = ", ".join(sorted(_COLUMNS[kind]))
            raise UsageError(f"--set {each}: {_A[kind]} has no column {name}; {meant}allowed are {allowed}")
        found[name] = None if value == "" else in_bytes(name, value) if name in SIZES else value
    return found


def current(postgres: psycopg.Connection[Row], owner: str) -> Definition:
    """Raises `NotFoundError`."""
    row = one(postgres, "definition", {"owner": owner})
    if row is None or row["deleted"]:
        raise NotFoundError(f"the job or DAG {owner!r} does not exist any more")
    kind = DefinitionKind(row["kind"])
    return Definition(
        owner=OwnerId(owner),
        kind=kind,
        version=row["version"],
        valid_from=row["valid_from"],
        deleted=False,
        spec=_spec(kind, row["spec"].encode()),
    )


def changed(postgres: psycopg.Connection[Row], owner: str, kind: str, values: Mapping[str, Any]) -> Definition:
    """The definition with these values, in a transaction that is rolled back: nothing is changed, and nothing sees it.

    Raises `UsageError` for a value of the wrong type, and the database's refusal.
    """
    with postgres.transaction(force_rollback=True):
        try:
            postgres.execute(_statement(owner, kind, values))
        except psycopg.DataError as error:
            raise UsageError(with_column(error, dict(values))) from error
        postgres.execute("set constraints all immediate")  # the version of a DAG is written at the commit
        return current(postgres, owner)


def _spec(kind: DefinitionKind, json: bytes) -> JobSpec | DagSpec:
    return decode(json, JobSpec) if kind is DefinitionKind.JOB else decode(json, DagSpec)


def _statement(owner: str, kind: str, values: Mapping[str, Any]) -> Composed:
    assignments = SQL(", ").join(
        SQL("{} = {}").format(Identifier(name), Literal(value)) for name, value in values.items()
    )
    return SQL("update tidemill.{} set {} where {} = {}").format(
        Identifier(f"{kind}s"), assignments, Identifier(f"{kind}_id"), Literal(owner)
    )
