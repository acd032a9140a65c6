"""`tidemill demo`: runs four jobs and a DAG on an own stack, kills two processes, and checks the counts."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import psycopg
import typer
from rich.markup import escape

from infra import extra, stack
from infra.stack import StackOptions
from schemas.settings import Connections
from schemas.times import rfc3339
from schemas.words import RunKind, RunState
from tidemill.dag_runs import show_run
from tidemill.dags import stored, write
from tidemill.demo.checks import Check, check_all, check_gap, due
from tidemill.demo.faults import Killed, are_back, check_back, kill
from tidemill.demo.victims import victims
from tidemill.demo.watch import all_runs, watch
from tidemill.output import console, say, table
from tidemill.stack import show_ready, start_detached, stop
from tidemill.target import DEFAULT_DATA, Data, Row, UsageError, connect, connections

WORKERS = 2
EXECUTORS = 2
NO_CANARY = {"TIDEMILL_CANARY_INTERVAL": "PT0S"}
"""The demo checks every job that it finds."""
SHORTEST_SECONDS = 30
UNBOUNDED_KILL = timedelta(seconds=45)
"""Without SECONDS, the kill comes after this time; with SECONDS, after half of it."""
DAG = Path(__file__).parents[2] / "examples" / "etl" / "etl.yaml"
LEAD = timedelta(seconds=3)
"""The window opens this long after the jobs are written, so that it does not depend on the time of the writes."""
MINUTE_JOB_AFTER = timedelta(seconds=12)
"""The first minute job is due this long after the window opens, so that a short demo shows it too."""
SETTLE = timedelta(seconds=150)
"""The longest wait for the last runs: a lease, a new attempt, and the slow job."""
HALF_SECOND = timedelta(milliseconds=500)


@dataclass(kw_only=True)
class Demo:
    """The state of one demo."""

    data: Path
    target: Connections
    postgres: psycopg.Connection[Row]
    starts_at: datetime
    ends_at: datetime | None
    kill_at: datetime
    killed: Killed | None = None
    printed: set[str] = field(default_factory=set)
    """The runs that were printed into a pipe."""


def demo(
    seconds: Annotated[
        int | None, typer.Argument(metavar="[SECONDS]", min=SHORTEST_SECONDS, help="Default: until Ctrl-C.")
    ] = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Show Tidemill on this machine: run four jobs and a DAG, kill two processes, and check the counts."""
    extra.need()
    folder = data / "demo"
    with _own_stack(folder):
        target = connections(folder)
        with connect(target.postgres_dsn) as postgres:
            checks = _play(folder, target, postgres, seconds)
    failed = [check for check in checks if not check.holds]
    if failed:
        say(f"{len(failed)} of {len(checks)} checks failed; the logs are in {folder / 'logs'}.")
        raise typer.Exit(1)
    say(f"All {len(checks)} checks hold.")


def _play(folder: Path, target: Connections, postgres: psycopg.Connection[Row], seconds: int | None) -> list[Check]:
    starts_at = _now(postgres).replace(microsecond=0) + LEAD
    # No schedule is due on a half second, so the end of the window is unambiguous.
    ends_at = None if seconds is None else starts_at + timedelta(seconds=seconds) - HALF_SECOND
    kill_at = starts_at + (UNBOUNDED_KILL if seconds is None else timedelta(seconds=seconds / 2))
    this = Demo(data=folder, target=target, postgres=postgres, starts_at=starts_at, ends_at=ends_at, kill_at=kill_at)
    _write_jobs(this)
    _put_dag(this)
    try:
        _watch_until(this, kill_at)
        _kill(this)
        _watch_until(this, ends_at)
    except KeyboardInterrupt:
        if seconds is not None:
            raise
    if this.ends_at is None:
        _end(this)
    _settle(this)
    return _judge(this)


def _write_jobs(this: Demo) -> None:
    second = (this.starts_at + MINUTE_JOB_AFTER).second
    values = {"starts_at": this.starts_at, "ends_at": this.ends_at, "every_minute": f"{second} * * * * *"}
    _show_and_run(this, "jobs", values)


def _put_dag(this: Demo) -> None:
    """Put the example DAG, with a faster schedule."""
    _headline(f"tidemill dag put {DAG.relative_to(DAG.parents[2])}")
    file = stored(this.target, DAG)
    with this.postgres.transaction():
        write(this.postgres, file)
        _show_and_run(this, "dag", {"starts_at": this.starts_at, "ends_at": this.ends_at})


def _watch_until(this: Demo, until: datetime | None) -> None:
    watch(this.postgres, lambda _: until is not None and _now(this.postgres) >= until, this.printed)


def _kill(this: Demo) -> None:
    names = victims(this.target, all_runs(this.postgres))
    this.killed = kill(this.data, names, _now(this.postgres))
    pids = ", ".join(f"{name} (pid {pid})" for name, pid in this.killed.pids.items())
    _headline(f"kill -9: {pids}, at {rfc3339(this.killed.at)}")


def _end(this: Demo) -> None:
    """After Ctrl-C: close the window at the next half second."""
    from_now = _now(this.postgres).replace(microsecond=0) + timedelta(seconds=1)
    this.ends_at = max(from_now, this.starts_at) + HALF_SECOND
    _show_and_run(this, "end", {"ends_at": this.ends_at})


def _settle(this: Demo) -> None:
    """Wait until all due runs have ended and the killed processes run again, for at most `SETTLE`."""
    due_of = {job["job_id"]: len(due(job)) for job in _jobs(this)}
    expected = sum(due_of.values()) + sum(due_of[node["dag_id"]] for node in _nodes(this))
    give_up_at = (this.ends_at or _now(this.postgres)) + SETTLE
    _headline(f"{sum(due_of.values())} occurrences were due; waiting for the last ones")

    def is_over(runs: list[Row]) -> bool:
        ended = len(runs) >= expected and all(RunState(run["state"]).is_final for run in runs)
        return _now(this.postgres) > give_up_at or (ended and (this.killed is None or are_back(this.data, this.killed)))

    watch(this.postgres, is_over, this.printed)


def _judge(this: Demo) -> list[Check]:
    counts = _show_and_run(this, "counts", {})
    console().print(table(counts, list(counts[0]) if counts else []))
    runs = all_runs(this.postgres)
    _draw(this, runs)
    attempts = this.postgres.execute(_sql("attempts")).fetchall()
    checks = list(check_all(_jobs(this), _nodes(this), runs, attempts))
    if this.killed:
        checks.append(check_back(this.data, this.killed))
        starts = [attempt["started_at"] for attempt in attempts if attempt["started_at"]]
        checks.append(check_gap(starts, this.killed.at))
    for check in checks:
        console().print(
            f"[{'green' if check.holds else 'bold red'}]{'ok  ' if check.holds else 'FAIL'}[/] {escape(check.sentence)}"
        )
    return checks


def _draw(this: Demo, runs: list[Row]) -> None:
    """Draw the newest DAG run."""
    newest = next((run["run_id"] for run in runs if run["kind"] == RunKind.DAG.value), None)
    if newest is not None:
        _headline(f"tidemill dag show '{newest}'")
        show_run(this.postgres, newest, as_json=False, as_dot=False, every=False)


def _jobs(this: Demo) -> list[Row]:
    return this.postgres.execute(_sql("jobs_as_written")).fetchall()


def _nodes(this: Demo) -> list[Row]:
    return this.postgres.execute(_sql("nodes")).fetchall()


def _show_and_run(this: Demo, name: str, values: dict[str, Any]) -> list[Row]:
    """Print the SQL, and execute exactly that."""
    cursor = psycopg.ClientCursor(this.postgres)
    text = cursor.mogrify(_sql(name), values)
    _headline("SQL")
    say(f"{text.strip()};")
    done = this.postgres.execute(text.encode())
    return done.fetchall() if done.description else []


def _sql(name: str) -> str:
    return files("tidemill").joinpath("demo", f"{name}.sql").read_text(encoding="utf-8")


def _now(postgres: psycopg.Connection[Row]) -> datetime:
    found = postgres.execute("select clock_timestamp() as now").fetchone()
    assert found is not None
    now: datetime = found["now"]
    return now


def _headline(sentence: str) -> None:
    console().print(f"\n[bold]{escape(sentence)}[/]", soft_wrap=True)


@contextmanager
def _own_stack(folder: Path) -> Iterator[None]:
    if stack.status(folder) is not None:
        raise UsageError(
            f"a demo already runs in {folder}; stop it with `tidemill down --data {folder}`, or use another --data"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    signal.signal(signal.SIGTERM, _stop)
    began = time.monotonic()
    _headline(f"Starting a stack with {WORKERS} stream workers and {EXECUTORS} executors in {folder}")
    try:
        options = StackOptions(
            data=folder, workers=WORKERS, executors=EXECUTORS, monitor_env=NO_CANARY, until_parent_exits=True
        )
        show_ready(folder, start_detached(options), began)
        yield
    finally:
        say("Stopping the stack.")
        stop(folder)


def _stop(number: int, _: FrameType | None) -> None:
    """Exit with an exception, so that the context stops the stack."""
    sys.exit(128 + number)
