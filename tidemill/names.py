"""Finds jobs, DAGs and runs by name; for an unknown name, suggests the nearest known one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import psycopg

from schemas.ids import owner_of_run
from tidemill.output import complain
from tidemill.queries import one, rows
from tidemill.target import NotFoundError, Row

MOST_NEAR = 5_000
"""The most names that a suggestion compares: a tenth of a second."""
MOST_NEAR_RUNS = 200
SIMILAR = 0.6
NOUNS = {"job": "job", "dag": "DAG"}


def owner_row(postgres: psycopg.Connection[Row], name: str) -> Row:
    """`kind`, `job` or `dag`, and `timezone`. Raises `NotFoundError`."""
    found = one(postgres, "owner_kind", {"name": name})
    if found is None:
        raise NotFoundError(f"there is no job or DAG {name!r}{suggested_owner(postgres, name)}")
    return found


def owner_kind(postgres: psycopg.Connection[Row], name: str) -> str:
    """`job` or `dag`. Raises `NotFoundError`."""
    return str(owner_row(postgres, name)["kind"])


def names_of(postgres: psycopg.Connection[Row], name: str) -> dict[str, str | None]:
    """The columns of a request that name its job or DAG."""
    kind = owner_kind(postgres, name)
    return {"job_id": name if kind == "job" else None, "dag_id": name if kind == "dag" else None}


def no_owner(postgres: psycopg.Connection[Row], kind: str, name: str) -> NotFoundError:
    """The error for an unknown job or DAG."""
    said = f"there is no {NOUNS[kind]} {name!r}"
    other = one(postgres, "owner_kind", {"name": name})
    if other:
        return NotFoundError(f"{said}: it is a {NOUNS[other['kind']]}, see `tidemill {other['kind']} --help`")
    return NotFoundError(f"{said}{suggested_owner(postgres, name)}")


def check_owner(postgres: psycopg.Connection[Row], name: str | None) -> None:
    """After an empty list: raises `NotFoundError` if no job or DAG has, or ever had, this name."""
    if name is not None and not rows(postgres, "explain_definitions", {"owner": name, "most": 1}):
        owner_row(postgres, name)


def run_row(postgres: psycopg.Connection[Row], run_id: str, of_all: str = "") -> Row:
    """Raises `NotFoundError` with the sentence of `no_run`."""
    found = one(postgres, "run", {"run_id": run_id})
    if found is None:
        raise no_run(postgres, run_id, of_all)
    return found


def run_to_read(postgres: psycopg.Connection[Row], name: str, *, started: bool = False) -> Row:
    """A run by its id, or the latest run of a job or DAG, named on standard error. Raises `NotFoundError`."""
    if owner_of_run(name) is None and (latest := _latest(postgres, name, started=started)):
        complain(f"the latest run of {name} is {latest['run_id']}")
        return latest
    return run_row(postgres, name)


def no_run(postgres: psycopg.Connection[Row], run_id: str, of_all: str = "") -> NotFoundError:
    """The error for an unknown run, with a suggestion; `of_all` says how to name all runs of a job."""
    owner = owner_of_run(run_id)
    said = f"there is no run {run_id!r}"
    if owner is not None:
        near = [row["run_id"] for row in rows(postgres, "near_runs", {"owner": owner, "most": MOST_NEAR_RUNS})]
        if near:
            return NotFoundError(f"{said}{_did_you_mean(run_id, near)}")
        known = one(postgres, "owner_kind", {"name": owner})
        return NotFoundError(f"{said}: {owner!r} has no run" if known else f"{said}{suggested_owner(postgres, owner)}")
    known = one(postgres, "owner_kind", {"name": run_id})
    if known is None:
        meant = suggested_owner(postgres, run_id) or ": a run is <job>@<time> or <job>#<request>"
        return NotFoundError(f"{said}{meant}")
    latest = _latest(postgres, run_id)
    noun = NOUNS[known["kind"]]
    which = f"its latest run is {latest['run_id']!r}" if latest else "it has no run yet"
    return NotFoundError(f"{said}: {run_id!r} is a {noun}, and {which}{of_all}")


def _latest(postgres: psycopg.Connection[Row], owner: str, *, started: bool = False) -> Row | None:
    return one(postgres, "latest_run", {"owner": owner, "started": started})


def nearest(name: str, known: Iterable[str]) -> str | None:
    """A known name that starts with `name`, otherwise one with a similar spelling."""
    known = list(known)
    begins = [each for each in known if each.startswith(name)] if name else []
    return next(iter(begins or get_close_matches(name, known, 1, SIMILAR)), None)


def suggested_owner(postgres: psycopg.Connection[Row], name: str) -> str:
    """The end of a sentence about an unknown name: the suggestion, or nothing."""
    return _did_you_mean(
        name, (row["name"] for row in rows(postgres, "near_owners", {"name": name, "most": MOST_NEAR}))
    )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    found = nearest(name, known)
    return f"; did you mean {found!r}?" if found else ""
