"""Measures the read model with ten million runs of 400 days: queries of the commands, batches of the sink, pruning."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from bench.figure import Bench, Figure, Line, NotMeasuredError, percentile
from bench.history_made import make
from bench.processes import cpu_seconds
from connectors.batch import collect
from connectors.ledger import open_ledger
from connectors.record import Record
from connectors.statements import sql
from schemas.codec import encode
from schemas.ids import OwnerId, occurrence_run_id
from schemas.status import RunStatus
from schemas.words import RunKind
from tests.support.run_histories import histories
from tests.support.servers.postgres_node import running_postgres
from tidemill.queries import rows
from tidemill.target import Row, wall_clock

DAYS = 400
QUERY_MS, SHOW_MS, BATCH_MS, PRUNE_MS = 50, 5, 30, 100
LOCKS = 500
BATCH = 400
TIMES = 20
WARM = 12
"""The number of unmeasured queries first, after which the query is prepared and the server has cached its plan."""
ANY: dict[str, Any] = {
    "job_id": None,
    "states": None,
    "codes": None,
    "since": None,
    "limit": 50,
    "dag_id": None,
    "tenant": None,
}
AGAIN: dict[str, Any] = {"rerun_id": "b", "request_id": "b", "kind": RunKind.BACKFILLED}
NO_MARKS = str.maketrans("@#/", "---")
STATUS, IDS = "status", {"status": "id"}


def measure(bench: Bench) -> Iterator[Line]:
    count, now = bench.pick(10_000_000, 50_000), wall_clock()
    with running_postgres(durable=True) as server:
        dsn = server("tidemill")
        make(dsn, count, DAYS, now, bench.say)
        yield from measure_in(dsn, now)


def measure_in(dsn: str, now: datetime) -> Iterator[Line]:
    with psycopg.connect(dsn, autocommit=True, row_factory=dict_row, options="-c TimeZone=UTC") as pooled:
        yield from _queries(pooled, now)
        yield from _show(pooled)
    yield from _batches(dsn, now)
    with psycopg.connect(dsn, autocommit=True, options="-c TimeZone=UTC") as pruning:
        yield from _pruned(pruning)


def asked(now: datetime) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The label, the name of the query, and its values."""
    week_ago = now - timedelta(days=7)
    yield "runs", "runs", ANY
    yield "runs --job of a busy one", "runs", ANY | {"job_id": "hot"}
    yield "runs --job of a quiet one", "runs", ANY | {"job_id": "job-004711"}
    yield "runs --state failed", "runs", ANY | {"states": ["failed"]}
    yield "runs --state running", "runs", ANY | {"states": ["running"]}
    yield "runs --state cancelled --since 7d", "runs", ANY | {"states": ["cancelled"], "since": week_ago}
    yield "runs --job --state dead", "runs", ANY | {"job_id": "hot", "states": ["dead"]}
    yield "runs --job --state missed", "runs", ANY | {"job_id": "hot", "states": ["missed"]}
    yield "runs --reason out_of_memory", "runs", ANY | {"codes": ["out_of_memory"]}
    yield "dag runs", "dag_runs", ANY
    yield "dag runs --dag", "dag_runs", ANY | {"dag_id": "dag-7"}
    yield "open runs of a job", "open_runs", {"job_id": "hot", "run_id": None}
    yield "backfills", "backfills", ANY
    yield "job list, a page", "jobs", ANY | {"after": "job-050000"}
    yield "explain: a range", "explain_range", {"owner": "hot", "at": week_ago}
    yield "explain: the newest", "explain_newest", {"owner": "hot"}
    yield "explain: beside", "explain_beside", {"owner": "hot", "at": week_ago, "since": now - timedelta(days=300)}
    yield "problems", "problems", ANY
    yield "names of runs", "complete_runs", {"begin": "job-0", "most": 50}
    yield "the weeks to prune", "retention", {}


def _queries(pooled: psycopg.Connection[Row], now: datetime) -> Iterator[Line]:
    slowest, locks = 0.0, 0
    for what, query, values in asked(now):
        found, cpu = _timed(pooled, query, values)
        slowest, locks = max(slowest, found), max(locks, _locks(pooled, query, values))
        yield Line(what=what, value=found, unit="ms", at_most=QUERY_MS, baseline=f"{cpu:.1f} ms of CPU")
    yield Line(what="the slowest of them", value=slowest, unit="ms", at_most=QUERY_MS)
    yield Line(what="locks that a query takes", value=locks, unit="locks", at_most=LOCKS)


def _show(pooled: psycopg.Connection[Row]) -> Iterator[Line]:
    row = pooled.execute("select * from tidemill.runs where kind = 'scheduled' limit 1").fetchone()
    if row is None:
        raise NotMeasuredError("there is no run")
    found, cpu = zip(*(_timed(pooled, query, row) for query in ("run", "attempts", "transitions")), strict=True)
    baseline = f"{sum(cpu):.1f} ms of CPU"
    yield Line(what="show: three queries", value=sum(found), unit="ms", at_most=SHOW_MS, baseline=baseline)


def _timed(pooled: psycopg.Connection[Row], query: str, values: dict[str, Any]) -> tuple[float, float]:
    """The median milliseconds of a query, and of the server's CPU, on a warm connection."""
    for _ in range(WARM):
        rows(pooled, query, values)
    found, before = [], _cpu_ms(pooled)
    for _ in range(TIMES):
        began = time.perf_counter()
        rows(pooled, query, values)
        found.append((time.perf_counter() - began) * 1000)
    return percentile(found, 0.5), (_cpu_ms(pooled) - before) / TIMES


def _cpu_ms(connection: psycopg.Connection[Any]) -> float:
    return cpu_seconds(connection.info.backend_pid) * 1000


def _locks(pooled: psycopg.Connection[Row], query: str, values: dict[str, Any]) -> int:
    with pooled.transaction():
        rows(pooled, query, values)
        found = pooled.execute("select count(*) as n from pg_locks where pid = pg_backend_pid()").fetchone()
    return int(found["n"]) if found else 0


def _batches(dsn: str, now: datetime) -> Iterator[Line]:
    """Batches of runs with different times; a backfilled run may be filed in any later week."""
    with open_ledger(dsn, IDS) as ledger:
        offset = ledger.load_offsets([(STATUS, 0)])[STATUS, 0]
        pid = _pid_of_sink(dsn)
        for what, days, changes in (
            ("due now", 1, {}),
            (f"due on {DAYS} days", DAYS, {}),
            ("of a backfill of 30 days", 30, AGAIN),
            (f"of a backfill of {DAYS} days", DAYS, AGAIN),
        ):
            found, before = [], cpu_seconds(pid)
            for _ in range(TIMES):
                batch = collect(_records(offset, now, days, changes), STATUS, IDS)
                began = time.perf_counter()
                ledger.write(batch)
                found.append((time.perf_counter() - began) * 1000)
                offset += BATCH
            cpu = (cpu_seconds(pid) - before) / TIMES * 1000
            yield Line(
                what=f"a batch of {BATCH} records, {what}",
                value=percentile(found, 0.5),
                unit="ms",
                at_most=BATCH_MS,
                baseline=f"{cpu:.1f} ms of CPU, the first one {found[0]:.0f} ms",
            )


def _pid_of_sink(dsn: str) -> int:
    with psycopg.connect(dsn) as postgres:
        query = "select pid from pg_stat_activity where application_name = 'tidemill-sink'"
        ((pid,),) = postgres.execute(query).fetchall()
    return int(pid)


def _records(offset: int, now: datetime, days: int, changes: dict[str, Any]) -> Iterator[Record]:
    """The records of a busy owner: three for each run, interleaved with other runs."""
    statuses = [each for _, each in zip(range(BATCH), histories(BATCH), strict=False)]
    runs: dict[str, int] = {}
    for number, status in enumerate(statuses):
        ago = timedelta(days=runs.setdefault(status.run_id, len(runs)) % days)
        yield _record(offset + number, _unlike(status, offset, now - ago, changes))


def _unlike(status: RunStatus, offset: int, nominal_time: datetime, changes: dict[str, Any]) -> RunStatus:
    """Change the status to a job and occurrence that no other batch has."""
    job_id = OwnerId(f"{status.run_id.translate(NO_MARKS)}-{offset}")
    return msgspec.structs.replace(
        status,
        run_id=occurrence_run_id(job_id, nominal_time),
        job_id=job_id,
        nominal_time=nominal_time,
        version=status.version + offset,
        filed_on=wall_clock().date(),
        **changes,
    )


def _record(offset: int, status: RunStatus) -> Record:
    at = status.transitions[0].at
    return Record(topic=STATUS, partition=0, offset=offset, at=at, key=b"k", value=encode(status))


def _pruned(pruning: psycopg.Connection[Any]) -> Iterator[Line]:
    """Reduce weeks and drop weeks; the result for one day is a seventh."""
    limits = {"history_ttl": timedelta(days=30), "failed_history_ttl": timedelta(days=90)}
    began = time.perf_counter()
    due = pruning.execute(sql("weeks_to_prune"), limits).fetchall()
    yield Line(what="to find what to prune", value=(time.perf_counter() - began) * 1000, unit="ms", at_most=PRUNE_MS)
    for what, keep_failures in (("dropped", False), ("reduced to its failures", True)):
        found = []
        for week, keeps, mark, _ in [each for each in due if each[1] is keep_failures][1:5]:
            values = {"week": week, "keep_failures": keeps, "mark": mark}
            began = time.perf_counter()
            why = pruning.execute(sql("prune_week"), values).fetchone()
            if why != (None,):
                raise NotMeasuredError(f"the week of {week} was not pruned: {why}")
            found.append((time.perf_counter() - began) * 1000 / 7)
        yield Line(what=f"a day {what}", value=percentile(found, 0.5), unit="ms", at_most=PRUNE_MS)


FIGURES = (
    Figure(
        name="history",
        claim=f"ten million runs over {DAYS} days: every query ≤ {QUERY_MS} ms, a batch ≤ {BATCH_MS} ms",
        measure=measure,
    ),
)
