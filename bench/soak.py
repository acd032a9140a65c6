"""Runs half load for a long time: every run must succeed, and no process may grow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from bench.baselines import TRUE
from bench.due import warm
from bench.figure import Bench, Figure, Line
from bench.processes import rss_mb
from bench.stacks import Shape, jobs
from infra import stack
from tests.support.stack_client import StackClient
from tests.support.steady_load import SteadyLoad

SCHEDULED = 80
"""Jobs due every second."""
REQUESTED = 20
"""Requests a second; with the jobs, half of the 200 runs/s that the pipeline must reach."""
LEAD = timedelta(seconds=8)
DRAIN_SECONDS = 60
SAMPLE_SECONDS = 10
LIMIT_OF_GROWTH = 10
JVMS = {"kafka", "connect", "s3"}
"""JVM heaps grow up to their limits, so their growth is shown without a limit."""
STATES = """
select state, count(*) as n from runs where starts_with(job_id, 'soak') group by state order by n desc
"""


def measure(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape())
    seconds = bench.pick(1200, 30)
    warm(client)
    executable = client.put_object("bench/true", Path(TRUE).read_bytes())
    begin = (client.now() + LEAD).replace(microsecond=0)
    asked = [f"soak-asked{number}." for number in range(REQUESTED)]
    common = {"executable": executable, "overlap_policy": "allow_all", "starts_at": begin}
    common |= {"ends_at": begin + timedelta(seconds=seconds)}
    rows = [
        {"job_id": f"soak{number}", "schedule": "@every 1s", **common, "starts_at": begin + _phase(number)}
        for number in range(SCHEDULED)
    ]
    rows += [{"job_id": each, "schedule": None, **common} for each in asked]
    with jobs(client, rows):
        with SteadyLoad(client, asked, REQUESTED) as load:
            sizes = _sample(bench, client, seconds)
        expected = SCHEDULED * seconds + len(set(load.accepted))
        states = _settled(client, expected)
    bench.say(f"states: {states}")
    well = states.get("succeeded", 0)
    table = ", ".join(f"{state} {count}" for state, count in states.items())
    yield Line(
        what="succeeded",
        value=100 * well / expected,
        unit="%",
        at_least=100,
        baseline=f"of {expected}: {table}",
    )
    for name, values in sizes.items():
        yield _growth(name, values)


def _phase(number: int) -> timedelta:
    return timedelta(milliseconds=1000 * number // SCHEDULED)


def _sample(bench: Bench, client: StackClient, seconds: int) -> dict[str, list[float]]:
    """The megabytes of each process over time, by name."""
    sizes: dict[str, list[float]] = {}
    until = time.monotonic() + LEAD.total_seconds() + seconds
    while time.monotonic() < until:
        time.sleep(min(SAMPLE_SECONDS, seconds / 10))
        seen = stack.status(client.data)
        for process in seen.processes if seen else ():
            if process["pid"] is not None:
                sizes.setdefault(process["name"], []).append(rss_mb(process["pid"]))
        bench.say(", ".join(f"{name} {values[-1]:.0f} MB" for name, values in sizes.items()))
    return sizes


def _settled(client: StackClient, expected: int) -> dict[str, int]:
    """The number of runs by state, once all have succeeded or the time is over."""
    until = time.monotonic() + DRAIN_SECONDS
    while True:
        states = {row["state"]: row["n"] for row in client.rows(STATES)}
        if states.get("succeeded", 0) >= expected or time.monotonic() > until:
            return states
        time.sleep(1)


def _growth(name: str, values: list[float]) -> Line:
    """Compare the last quarter with the second one: in the first, caches fill."""
    quarter = max(1, len(values) // 4)
    early, late = _mean(values[quarter : 2 * quarter] or values[:1]), _mean(values[-quarter:])
    limit = None if name in JVMS or name == "postgres" else LIMIT_OF_GROWTH
    baseline = f"{early:.0f} → {late:.0f} MB"
    return Line(what=f"growth of {name}", value=100 * (late / early - 1), unit="%", at_most=limit, baseline=baseline)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


FIGURES = (Figure(name="soak", claim="runs that succeeded in 20 min at half load; memory flat", measure=measure),)
