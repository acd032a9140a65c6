"""Shell completion: names from the read model, within two seconds; on any error, no names."""

from __future__ import annotations

from pathlib import Path

import psycopg
import typer

from schemas.errors import TidemillError
from tidemill.queries import rows
from tidemill.target import DEFAULT_DATA, connect_to_read, connections

MOST = 100
PATIENCE = "-c statement_timeout=1000"
PATIENCE_SECONDS = 2


def job_names(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, "complete_jobs", incomplete)


def owner_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Jobs and DAGs, which share one namespace."""
    return _names(ctx, "complete_owners", incomplete)


def dag_names(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, "complete_dags", incomplete)


def dag_and_run_names(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, "complete_dags", incomplete) + _names(ctx, "complete_dag_runs", incomplete)


def owner_and_run_names(ctx: typer.Context, incomplete: str) -> list[str]:
    return _names(ctx, "complete_owners", incomplete) + _names(ctx, "complete_runs", incomplete)


def run_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The newest first."""
    return _names(ctx, "complete_runs", incomplete)


def _names(ctx: typer.Context, query: str, incomplete: str) -> list[str]:
    try:
        target = connections(Path(ctx.params.get("data") or DEFAULT_DATA))
        with connect_to_read(target, PATIENCE, PATIENCE_SECONDS) as postgres:
            return [row["name"] for row in rows(postgres, query, {"begin": incomplete, "most": MOST})]
    except (psycopg.Error, TidemillError, OSError, ValueError):  # completion cannot show an error
        return []
