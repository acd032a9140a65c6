"""Measures the time from due to process started at a steady rate, by the start that the executor reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from bench.baselines import TRUE, hop_line
from bench.figure import Bench, Figure, Line, percentile
from bench.stacks import Shape, jobs
from tests.support.stack_client import StackClient

LEAD = timedelta(seconds=10)
"""The time from the rows to the first occurrence: the rows are captured, and the executable is fetched."""
DRAIN_SECONDS = 30
DELAYS = """
select extract(epoch from started_at - scheduled_time)::float8 * 1000 as ms, state, attempt
from runs where starts_with(job_id, %s)
"""


def measure(bench: Bench, rate: int, seconds: int, limits: dict[str, dict[str, float]]) -> Iterator[Line]:
    client = bench.stacks.get(Shape())
    baseline = hop_line(client.connections)
    name = f"due{rate}-"
    warm(client)
    begin = (client.now() + LEAD).replace(microsecond=0)
    executable = client.put_object("bench/true", Path(TRUE).read_bytes())
    rows = [
        {
            "job_id": f"{name}{number}",
            "executable": executable,
            "schedule": "@every 1s",
            "overlap_policy": "allow_all",
            "starts_at": begin + timedelta(seconds=number / rate),
            "ends_at": begin + timedelta(seconds=seconds),
        }
        for number in range(rate)
    ]
    bench.say(f"{rate} runs a second for {seconds} s")
    with jobs(client, rows):
        _wait(client, name, rate * seconds, (begin - client.now()).total_seconds() + seconds + DRAIN_SECONDS)
        found = client.rows(DELAYS, [name])
    delays = [row["ms"] for row in found if row["ms"] is not None]
    for share in ("p50", "p99"):
        value = percentile(delays, int(share[1:]) / 100)
        yield Line(
            what=share, value=value, unit="ms", baseline=baseline if share == "p50" else "", **limits.get(share, {})
        )
    yield Line(what="longest", value=max(delays), unit="ms")
    yield Line(what="early", value=sum(ms < 0 for ms in delays), unit=f"of {rate * seconds}", at_most=0)
    yield Line(what="missed", value=rate * seconds - len(delays), unit=f"of {rate * seconds}", at_most=0)
    yield Line(what="did not succeed", value=sum(row["state"] != "succeeded" for row in found), unit="runs", at_most=0)


def warm(client: StackClient) -> None:
    """Run the executable once, so that the executor has fetched it."""
    executable = client.put_object("bench/true", Path(TRUE).read_bytes())
    name = f"warm-{time.monotonic_ns()}"
    with jobs(client, [{"job_id": name, "executable": executable}]):
        client.wait_until_final(client.request(name, name))


def _wait(client: StackClient, name: str, expected: int, seconds: float) -> None:
    """Wait until all runs have ended, for at most `seconds`: missing runs are a result, not an error."""
    until = time.monotonic() + seconds
    query = "select count(*) as n from runs where starts_with(job_id, %s) and finished_at is not null"
    while time.monotonic() < until and client.rows(query, [name])[0]["n"] < expected:
        time.sleep(1)


def _at(rate: int, full_seconds: int, **limits: dict[str, float]) -> Callable[[Bench], Iterator[Line]]:
    return lambda bench: measure(bench, rate, bench.pick(full_seconds, 10), limits)


FIGURES = (
    Figure(
        name="due20",
        claim="due → process started, 20 runs/s, 5 min",
        measure=_at(20, 300, p50={"at_most": 40, "aim": 30}, p99={"at_most": 250, "aim": 150}),
    ),
    Figure(name="due100", claim="the same at 100 runs/s", measure=_at(100, 120, p99={"at_most": 500})),
    Figure(name="due200", claim="the same at 200 runs/s", measure=_at(200, 120, p99={"at_most": 1000})),
)
