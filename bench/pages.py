"""Measures the web page over a read model with ten million runs: the server's time for each page, and its size."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from urllib.parse import quote

import psycopg

from bench.figure import Bench, Figure, Line, NotMeasuredError, percentile
from bench.history import DAYS
from bench.history_made import make
from schemas.settings import Connections
from tests.support.servers.postgres_node import running_postgres
from tests.support.web_site import Site, running_site
from tidemill.target import connect, wall_clock
from tidemill.web.assets import NAMES, content

PAGE_MS, FIRST_LOAD_KB = 100, 100
WARM, TIMES = 3, 15
AWAY = "http://127.0.0.1:1"


def paths(a_run: str, a_dag_run: str) -> Iterator[tuple[str, str]]:
    yield "home", "/"
    yield "runs", "/runs"
    yield "runs, of a busy job", "/runs?job=hot"
    yield "runs, of a quiet job", "/runs?job=job-004711"
    yield "runs, failed", "/runs?state=failed"
    yield "runs, failed or dead or timed out", "/runs?state=failed&state=dead&state=timed_out"
    yield "runs, of a tenant", "/runs?tenant=default"
    yield "runs, of a tenant that has none", "/runs?tenant=none"
    yield "runs, by a reason", "/runs?reason=out_of_memory"
    yield "runs, that ended in the last 2 h", "/runs?time=finished&from=2h"
    yield "runs, of nodes", "/runs?kind=node"
    yield "a run", f"/runs/{quote(a_run, safe='')}"
    yield "a DAG run", f"/runs/{quote(a_dag_run, safe='')}"
    yield "jobs", "/jobs"
    yield "jobs, in the middle", "/jobs?after=job-050000"
    yield "jobs, by a part of the name", "/jobs?search=99999"
    yield "a quiet job", "/jobs/job-004711"
    yield "the busiest job", "/jobs/hot"
    yield "a DAG", "/dags/dag-7"
    yield "the form of a job", "/jobs/job-004711/edit"
    yield "DAGs", "/dags"
    yield "problems", "/problems"


def measure(bench: Bench) -> Iterator[Line]:
    count, now = bench.pick(10_000_000, 50_000), wall_clock()
    with running_postgres(durable=True) as server:
        dsn = server("tidemill")
        make(dsn, count, DAYS, now, bench.say)
        _define(dsn)
        target = Connections(postgres_dsn=dsn, s3_endpoint=AWAY, s3_access_key="a", s3_secret_key="b")
        with running_site(target) as site:
            yield from _pages(site, list(paths(*_runs(dsn))), bench)


def _define(dsn: str) -> None:
    """The busiest job of the history, and one of its DAGs."""
    with psycopg.connect(dsn) as postgres:
        postgres.execute(
            "insert into tidemill.jobs (job_id, schedule, executable) values ('hot', '@every 60s', 's3://bucket/key')"
        )
        postgres.execute("insert into tidemill.dags (dag_id, schedule) values ('dag-7', '@hourly')")
        postgres.execute(
            "insert into tidemill.dag_nodes (dag_id, node_id, depends_on, executable) "
            "select 'dag-7', 'node-' || n, case n when 0 then '{}' else array['node-' || n - 1] end, 's3://bucket/key' "
            "from generate_series(0, 29) as n"
        )


def _runs(dsn: str) -> tuple[str, str]:
    query = "select run_id from tidemill.runs where kind = %s order by nominal_time desc limit 1"
    with connect(dsn) as postgres:
        found = [postgres.execute(query, [kind]).fetchone() for kind in ("scheduled", "dag")]
    if None in found:
        raise NotMeasuredError("the read model has no scheduled run or no DAG run")
    scheduled, dag = (row["run_id"] for row in found if row)
    return scheduled, dag


def _pages(site: Site, asked: list[tuple[str, str]], bench: Bench) -> Iterator[Line]:
    slowest, largest = 0.0, 0
    files = sum(len(gzip.compress(content(name))) for name in NAMES)
    for what, path in asked:
        times, size = _timed(site, path)
        slowest, largest = max(slowest, percentile(times, 0.5)), max(largest, size)
        bench.say(f"{what}: {percentile(times, 0.5):.0f} ms")
        yield Line(
            what=what,
            value=percentile(times, 0.5),
            unit="ms",
            at_most=PAGE_MS,
            baseline=f"slowest of {TIMES}: {max(times):.0f} ms, {size / 1000:.0f} KB",
        )
    yield Line(what="the slowest page", value=slowest, unit="ms", at_most=PAGE_MS)
    yield Line(what="the largest first load", value=(files + largest) / 1000, unit="KB", at_most=FIRST_LOAD_KB)


def _timed(site: Site, path: str) -> tuple[list[float], int]:
    """The milliseconds of a page on a warm server, and its size as it is sent, compressed."""
    for _ in range(WARM):
        answer = site.get(path)
        if answer.status != 200:
            raise NotMeasuredError(f"{path} answered {answer.status}")
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = site.get(path)
        times.append((time.perf_counter() - began) * 1000)
    return times, len(gzip.compress(answer.text.encode()))


FIGURES = (
    Figure(
        name="pages",
        claim="The web page over 10,000,000 runs: the server needs at most 100 ms for a page, and a first load 100 KB.",
        measure=measure,
    ),
)
