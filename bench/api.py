"""Measures the API in a process of its own: triggers and reads a second, beside the same rows in plain SQL."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.figure import Bench, Figure, Line, NotMeasuredError, percentile
from connectors.migrate import migrate
from tests.support.observed import reserved_port
from tests.support.read_model_rows import allow_writes
from tests.support.servers.postgres_node import running_postgres
from tests.support.waiting import eventually

TRIGGERS, READS, P99_MS = 1_000, 2_000, 100
CONNECTIONS = 16
OVERLOAD = 5
RUNS = 10_000
FILL = """insert into tidemill.runs
              (run_id, job_id, tenant, kind, nominal_time, scheduled_time, state, attempt, queued_at, version)
          select 'hot#r' || n, 'hot', 'default', 'requested', now(), now(), 'succeeded', 1, now(), 1
          from generate_series(1, %s) as n"""
Make = Callable[[int], bytes]
"""The request with a number, as bytes of HTTP."""


def measure(bench: Bench) -> Iterator[Line]:
    seconds = bench.pick(20, 2)
    with running_postgres(durable=True) as server:
        dsn = server("tidemill")
        _prepare(dsn)
        with _web(dsn) as port:
            plain = _plain(dsn, _insert, seconds)
            yield from _lines("triggers", TRIGGERS, port, _trigger, seconds, plain)
            plain = _plain(dsn, _select, seconds)
            yield from _lines("reads of a run", READS, port, _read, seconds, plain)
            rate, times = asyncio.run(_load(port, _read, seconds, CONNECTIONS * OVERLOAD))
            slowest = f"p99 {percentile(times, 0.99):.0f} ms"
            what = f"reads of a run, {OVERLOAD} x the connections"
            yield Line(what=what, value=rate, unit="/s", at_least=READS, baseline=slowest)


def _prepare(dsn: str) -> None:
    migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as postgres:
        postgres.execute("insert into tidemill.jobs (job_id, executable) values ('hot', 's3://bucket/key')")
        allow_writes(postgres)
        postgres.execute(FILL, (RUNS,))
        postgres.execute("analyze tidemill.runs")


@contextmanager
def _web(dsn: str) -> Iterator[int]:
    """The port of a web process, as a deployment runs it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        reserved_port(Path(folder)) as reserved,
        _serving(dsn, reserved.address),
    ):
        yield int(reserved.address.rpartition(":")[2])


@contextmanager
def _serving(dsn: str, address: str) -> Iterator[None]:
    port = int(address.rpartition(":")[2])
    settings = {
        "TIDEMILL_POSTGRES_DSN": dsn,
        "TIDEMILL_WEB_LISTEN": address,
        "TIDEMILL_WEB_HOSTS": "127.0.0.1",
        "TIDEMILL_WEB_CONNECTIONS": str(CONNECTIONS),
    }
    process = subprocess.Popen([sys.executable, "-m", "tidemill.web"], env=os.environ | settings)
    try:
        eventually(lambda: _answers(port), 30)
        yield
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        asyncio.run(_load(port, _read, 0.0, 1))
    except OSError:
        return False
    return True


def _trigger(number: int) -> bytes:
    body = b'{"payload": {"n": %d}}' % number
    return (
        b"POST /v1/jobs/hot/trigger HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b'Idempotency-Key: "b%d"\r\nContent-Length: %d\r\n\r\n%b' % (number, len(body), body)
    )


def _read(number: int) -> bytes:
    return b"GET /v1/runs/hot%%23r%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (number % RUNS + 1)


def _lines(what: str, wanted: int, port: int, make: Make, seconds: float, plain: float) -> Iterator[Line]:
    asyncio.run(_load(port, make, seconds / 10, CONNECTIONS, first=10**9))
    rate, times = asyncio.run(_load(port, make, seconds, CONNECTIONS))
    yield Line(what=what, value=rate, unit="/s", at_least=wanted, baseline=f"plain SQL: {plain:.0f}/s")
    yield Line(
        what=f"{what}, p99",
        value=percentile(times, 0.99),
        unit="ms",
        at_most=P99_MS,
        baseline=f"median {percentile(times, 0.5):.1f} ms, {CONNECTIONS} connections",
    )


async def _load(port: int, make: Make, seconds: float, connections: int, first: int = 0) -> tuple[float, list[float]]:
    """Answers a second, and the milliseconds of each."""
    times: list[float] = []
    began = time.perf_counter()
    numbers = iter(range(first, sys.maxsize))

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            sent = time.perf_counter()
            writer.write(make(next(numbers)))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith((b"HTTP/1.1 20", b"HTTP/1.1 404")):
                raise NotMeasuredError(f"the API answered {head.splitlines()[0].decode()}")
            await reader.readexactly(_length(head))
            times.append((time.perf_counter() - sent) * 1000)
            if time.perf_counter() - began >= seconds:
                break
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return len(times) / (time.perf_counter() - began), times


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


def _insert(postgres: psycopg.Connection[tuple[object, ...]], number: int) -> None:
    postgres.execute(
        "insert into tidemill.requests (request_id, job_id, payload) values (%s, 'hot', %s)",
        (f"p{number}", f'{{"n": {number}}}'),
    )


def _select(postgres: psycopg.Connection[tuple[object, ...]], number: int) -> None:
    postgres.execute("select * from tidemill.runs where run_id = %s", (f"hot#r{number % RUNS + 1}",)).fetchone()


def _plain(dsn: str, act: Callable[[psycopg.Connection[tuple[object, ...]], int], None], seconds: float) -> float:
    """The same rows by as many connections of this process."""
    until = time.perf_counter() + seconds

    def work(begin: int) -> int:
        done = 0
        with psycopg.connect(dsn, autocommit=True) as postgres:
            while time.perf_counter() < until:
                act(postgres, begin + done)
                done += 1
        return done

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return sum(threads.map(work, range(0, CONNECTIONS * 10**6, 10**6))) / seconds


FIGURES = (
    Figure(
        name="api",
        claim="The API in one process: 1,000 triggers and 2,000 reads a second, p99 within 100 ms.",
        measure=measure,
    ),
)
