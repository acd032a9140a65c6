"""Measures the rate of /bin/true through the whole pipeline, compared with the machine's spawn rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.baselines import TRUE, spawn_rate
from bench.due import warm
from bench.figure import Bench, Figure, Line
from bench.stacks import Shape, jobs
from tests.support.stack_client import StackClient
from tests.support.waiting import eventually

JOBS = 64
SHARE_AIMED_AT = 0.6
REQUESTS = """
insert into requests (request_id, job_id)
select 'true' || n, 'true' || n %% %s from generate_series(1, %s) as n
"""
ENDED = "select count(*) as n from runs where starts_with(job_id, 'true') and finished_at is not null"
THIRDS = """
select count(*) as n, count(*) filter (where state <> 'succeeded') as otherwise,
    extract(epoch from min(started_at))::float8 as began, extract(epoch from max(finished_at))::float8 as ended
from (
    select state, started_at, finished_at, ntile(3) over (order by finished_at) as third
    from runs where starts_with(job_id, 'true')
) as numbered
group by third order by third
"""


class Ran(NamedTuple):
    """What became of the runs."""

    rate: float
    """Runs a second, from the first start to the last end."""
    first_third: float
    last_third: float
    otherwise: int
    """Runs that did not succeed."""


def run_true(client: StackClient, count: int) -> Ran:
    """Request so many runs of /bin/true at once, and wait for their ends."""
    warm(client)
    executable = client.put_object("bench/true", Path(TRUE).read_bytes())
    with jobs(client, [{"job_id": f"true{number}", "executable": executable} for number in range(JOBS)]):
        client.database.execute(REQUESTS, [JOBS, count])
        eventually(lambda: client.rows(ENDED)[0]["n"] == count, 60 + count / 20, f"the end of {count} runs")
        first, second, last = client.rows(THIRDS)
    return Ran(
        rate=count / (last["ended"] - first["began"]),
        first_third=first["n"] / (first["ended"] - first["began"]),
        last_third=last["n"] / (last["ended"] - second["ended"]),
        otherwise=sum(third["otherwise"] for third in (first, second, last)),
    )


def measure(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape())
    count, cores = bench.pick(30_000, 1_000), os.cpu_count() or 1
    serial, parallel = spawn_rate(bench.pick(10, 1)), spawn_rate(bench.pick(10, 1), cores)
    bench.say(f"raw spawn rate: {serial:.0f}/s in one process, {parallel:.0f}/s in {cores}; {count} requests")
    ran = run_true(client, count)
    baseline = f"raw spawn rate {serial:.0f}/s in one process, {parallel:.0f}/s in {cores}"
    aim = SHARE_AIMED_AT * serial
    yield Line(what="runs ended", value=ran.rate, unit="1/s", at_least=200, aim=aim, baseline=baseline)
    yield Line(what="of the raw spawn rate", value=100 * ran.rate / serial, unit="%", aim=100 * SHARE_AIMED_AT)
    yield Line(
        what="the last third's rate, in % of the first third's",
        value=100 * ran.last_third / ran.first_third,
        unit="%",
        baseline=f"{ran.first_third:.0f}/s in the first third, {ran.last_third:.0f}/s in the last",
    )
    yield Line(what="did not succeed", value=ran.otherwise, unit="runs", at_most=0)


FIGURES = (Figure(name="true", claim="/bin/true through the whole pipeline", measure=measure),)
