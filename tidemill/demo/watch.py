"""Shows the runs of a demo: a live table in a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import psycopg
from rich.live import Live
from rich.table import Table

from schemas.words import RunKind, RunState
from tidemill.dag_runs import counted
from tidemill.output import console, say, table, words
from tidemill.queries import rows
from tidemill.target import Row

LOOK_SECONDS = 0.5
SHOWN_RUNS = 14
COLUMNS = ("run_id", "state", "attempt", "timeout_class", "latency", "nodes", "reason")
ALL_RUNS = {"job_id": None, "states": None, "codes": None, "since": None, "limit": 1_000_000}

IsOver = Callable[[list[Row]], bool]


def watch(postgres: psycopg.Connection[Row], is_over: IsOver, printed: set[str]) -> list[Row]:
    """Show the runs until `is_over`, and return them. `printed`: the runs already printed into a pipe."""
    if not sys.stdout.isatty():
        return _lines(postgres, is_over, printed)
    with Live(console=console(), auto_refresh=False, transient=True) as live:
        while True:
            runs = all_runs(postgres)
            live.update(runs_table(runs), refresh=True)
            if is_over(runs):
                break
            time.sleep(LOOK_SECONDS)
    console().print(runs_table(runs))
    return runs


def all_runs(postgres: psycopg.Connection[Row]) -> list[Row]:
    """All runs, the newest first, with their latencies from due to started."""
    return rows(postgres, "runs", ALL_RUNS)


def runs_table(runs: list[Row]) -> Table:
    """A DAG run's row counts its nodes, so nodes have no rows of their own."""
    shown = [counted(run) for run in runs if run["kind"] != RunKind.NODE.value]
    return table(shown[:SHOWN_RUNS], COLUMNS, title=f"{len(runs)} runs, the newest; latency: due to started")


def _lines(postgres: psycopg.Connection[Row], is_over: IsOver, printed: set[str]) -> list[Row]:
    while True:
        runs = all_runs(postgres)
        for run in reversed(runs):
            if run["run_id"] not in printed and RunState(run["state"]).is_final and run["kind"] != RunKind.NODE.value:
                printed.add(run["run_id"])
                say(_line(run))
        if is_over(runs):
            return runs
        time.sleep(LOOK_SECONDS)


def _line(run: Row) -> str:
    if run["kind"] == RunKind.DAG.value:
        return f"{run['run_id']} {run['state']}, its nodes: {counted(run)['nodes']}"
    said = f"{run['run_id']} {run['state']} at attempt {run['attempt']} in {run['timeout_class']}"
    return f"{said}, started {words(run['latency'])} after it was due"
