"""Measures `tidemill audit` over a million runs: its time, CPU and memory, and that it finds the mistakes in them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg

from bench.figure import Bench, Figure, Line, NotMeasuredError
from bench.history_made import SESSION
from connectors.migrate import migrate
from tests.support.servers.postgres_node import running_postgres
from tidemill.target import wall_clock

ROWS = Path(__file__).with_name("audit_rows.sql").read_text(encoding="utf-8")
JOBS, MINUTES, SHORT_JOBS = 1_000, 1_000, 20
SECONDS, MEGABYTES = 60, 300
DEFINITIONS = """
insert into tidemill.definitions (owner, kind, version, valid_from, deleted, spec)
select
    'job-' || lpad(job::text, 6, '0'), 'job', job + 1, %(first)s::timestamptz - interval '1 day', false,
    json_build_object(
        'schedule', '* * * * *', 'timezone', 'Europe/Berlin', 'dst_gap', 'shift', 'overlap_policy', 'skip',
        'paused', false, 'tenant', 'default')
from generate_series(0, %(jobs)s - 1) as job
"""
ONE = "job_id = '{job}' and nominal_time = %(first)s::timestamptz + interval '{minutes} min'"
MISTAKES = (
    f"delete from tidemill.runs where {ONE.format(job='job-000007', minutes=9)}",
    f"update tidemill.runs set state = 'failed' where {ONE.format(job='job-000011', minutes=5)}",
    f"update tidemill.runs set nominal_time = nominal_time + '30 s' where {ONE.format(job='job-000013', minutes=5)}",
)
FOUND = {"missing": 2, "unexpected": 1, "status_lie": 1, "unexplained": 1}
"""What the audit must find. A run with a wrong time counts twice: one occurrence is missing, one is unexpected."""
LOOK = """
import sys
from datetime import datetime
from tidemill.audit.command import look
from tidemill.audit.matching import Span
from tidemill.audit.tables import Scope
from tidemill.output import show_json
from tidemill.target import connect
begin, end = map(datetime.fromisoformat, sys.argv[2:])
with connect(sys.argv[1]) as postgres:
    report = look(postgres, Scope(span=Span(begin, end)))
show_json({"runs": report.tally.runs, "found": [[each.finding, each.count] for each in report.found]})
"""


def measure(bench: Bench) -> Iterator[Line]:
    jobs = bench.pick(JOBS, SHORT_JOBS)
    first = wall_clock().replace(second=0, microsecond=0) - timedelta(minutes=MINUTES + 5)
    with running_postgres(durable=True) as server:
        dsn = server("tidemill")
        _make(dsn, jobs, first)
        bench.say(f"{jobs * MINUTES:,} runs are there")
        began, cpu = time.monotonic(), _cpu_seconds(dsn)
        found = _audited(dsn, first - timedelta(seconds=1), first + timedelta(minutes=MINUTES - 1))
        seconds, cpu = time.monotonic() - began, _cpu_seconds(dsn) - cpu
    if found["runs"] != jobs * MINUTES - 1:
        raise NotMeasuredError(f"the audit saw {found['runs']} runs of {jobs * MINUTES - 1}")
    counts: dict[str, int] = {}
    for finding, number in found["found"]:
        counts[finding] = counts.get(finding, 0) + number
    wrong = sum(abs(counts.get(each, 0) - FOUND.get(each, 0)) for each in counts.keys() | FOUND.keys())
    yield Line(what=f"audit of {jobs * MINUTES:,} runs", value=seconds, unit="s", at_most=SECONDS)
    yield Line(what="its CPU time, with that of Postgres", value=cpu, unit="s", at_most=SECONDS)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    yield Line(what="its memory", value=used, unit="MB", at_most=MEGABYTES)
    yield Line(what="mistakes not found, or found wrongly", value=wrong, unit="", at_most=0)


def _cpu_seconds(dsn: str) -> float:
    """Of the children of this process that have ended, and of the sessions of Postgres that have ended."""
    with psycopg.connect(dsn) as postgres:
        ((folder,),) = postgres.execute("select current_setting('data_directory')").fetchall()
    pid = Path(folder, "postmaster.pid").read_text(encoding="utf-8").split()[0]
    *_, of_user, of_kernel = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:15]
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ours.ru_utime + ours.ru_stime + (int(of_user) + int(of_kernel)) / os.sysconf("SC_CLK_TCK")


def _make(dsn: str, jobs: int, first: datetime) -> None:
    migrate(dsn)
    values = {"jobs": jobs, "minutes": MINUTES, "first": first}
    with psycopg.connect(dsn, autocommit=True, options=SESSION) as postgres:
        for day in range(-7, 8):
            postgres.execute("select tidemill.make_week(%s)", [(first + timedelta(days=day)).date()])
        postgres.execute(DEFINITIONS, values)
        postgres.execute(ROWS, values)
        for each in MISTAKES:
            postgres.execute(each, values)
        postgres.execute("vacuum analyze")


def _audited(dsn: str, begin: datetime, end: datetime) -> dict[str, Any]:
    command = [sys.executable, "-c", LOOK, dsn, begin.isoformat(), end.isoformat()]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found


FIGURES = (
    Figure(
        name="audit",
        claim=f"`tidemill audit` finds each mistake in 1,000,000 runs within {SECONDS} s, in at most {MEGABYTES} MB.",
        measure=measure,
    ),
)
