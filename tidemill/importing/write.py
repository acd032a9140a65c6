"""Writes the jobs of a plan: an entry that is there already, and has not changed, stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from connectors.objects import Objects
from schemas.settings import Connections
from tidemill.importing.plan import Plan, PlannedJob
from tidemill.objects import store_command, storing
from tidemill.put import Columns, write_columns
from tidemill.target import Row, UsageError, connect

CREATED, CHANGED, UNCHANGED, REFUSED = "created", "changed", "unchanged", "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    job_id: str
    outcome: str
    """One of `created`, `changed`, `unchanged` and `refused`."""
    why: str | None = None
    """Why the database has refused it."""


def write(plan: Plan, target: Connections, given: Columns) -> Iterator[Written]:
    """Write each job in a transaction of its own, with the columns `given` for all. A refused one stops no other."""
    with storing(target), connect(target.postgres_dsn) as postgres:
        objects = Objects(target)
        for job in plan.jobs:
            columns = store_command(objects, job.command) | job.columns | given
            yield _written(postgres, job, columns)


def _written(postgres: psycopg.Connection[Row], job: PlannedJob, columns: Columns) -> Written:
    try:
        with postgres.transaction():
            before = _version(postgres, job.job_id)
            write_columns(postgres, job.job_id, columns)
            after = _version(postgres, job.job_id)
    except (psycopg.Error, UsageError) as error:
        diagnosis = error.diag.message_primary if isinstance(error, psycopg.Error) else None
        return Written(job_id=job.job_id, outcome=REFUSED, why=diagnosis or str(error).strip())
    if before is None:
        return Written(job_id=job.job_id, outcome=CREATED)
    return Written(job_id=job.job_id, outcome=UNCHANGED if after == before else CHANGED)


def _version(postgres: psycopg.Connection[Row], job_id: str) -> int | None:
    row = postgres.execute("select version from tidemill.jobs where job_id = %s for update", (job_id,)).fetchone()
    return None if row is None else int(row["version"])
