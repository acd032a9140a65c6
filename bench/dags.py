"""Measures DAGs on the real stack: a long chain, its hops, and a wide diamond, each requested by one row."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.baselines import TRUE, hop_line, spawn_rate
from bench.due import warm
from bench.figure import Bench, Figure, Line, NotMeasuredError, percentile
from bench.stacks import Shape
from schemas.ids import request_run_id
from tests.support.stack_client import StackClient
from tests.support.waiting import eventually
from tidemill.target import Row, wall_clock

SLEEP, TASK_SECONDS = "/bin/sleep", "0.01"
CHAIN, HOPS, WIDE = 40, 10, 1_000
MUST_SECONDS, AIM_SECONDS = 3.0, 2.0
PEERS = "published for 2 vCPU: Windmill 2.1 to 4.4 s, Kestra 6.0 s, Airflow 116 s"
MOST_SPAWNS = 4
END_SECONDS = 120
NODES = """
select node_id, started_at, finished_at from runs where dag_id = %s and starts_with(run_id, %s)
"""


def chain(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape())
    name, raw = "chain", _raw_chain()
    with _dag(client, name, _chained(CHAIN), SLEEP, args=[TASK_SECONDS]):
        _epoch(client, name, "warm")
        found = [_epoch(client, name, f"turn{turn}") for turn in range(bench.pick(9, 2))]
    baseline = f"the {CHAIN} processes without us, one after the other: {raw:.2f} s; {PEERS}"
    yield Line(
        what="row committed → DAG run ended, median",
        value=percentile(found, 0.5),
        unit="s",
        at_most=MUST_SECONDS,
        aim=AIM_SECONDS,
        baseline=baseline,
    )
    yield Line(what="worst", value=max(found), unit="s")


def hop(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape())
    name, baseline, turns = "hop", hop_line(client.connections), bench.pick(60, 4)
    with _dag(client, name, _chained(HOPS), TRUE):
        _epoch(client, name, "warm")
        found = [ms for turn in range(turns) for ms in _hops(client, name, f"turn{turn}")]
    limits = {"p50": 50, "p99": 250}
    for share, at_most in limits.items():
        value = percentile(found, int(share[1:]) / 100)
        yield Line(what=share, value=value, unit="ms", at_most=at_most, baseline=baseline if share == "p50" else "")
    yield Line(what="longest", value=max(found), unit="ms", baseline=f"{len(found)} hops")


def diamond(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape())
    name, wide = "diamond", bench.pick(WIDE, 50)
    middle = [f"n{number}" for number in range(wide)]
    nodes = {"first": [], **{each: ["first"] for each in middle}, "last": middle}
    with _dag(client, name, nodes, TRUE):
        warm(client)
        for turn in range(bench.pick(3, 1)):
            raw = len(nodes) / spawn_rate(bench.pick(5, 1))
            seconds = _epoch(client, name, f"turn{turn}")
            yield Line(
                what=f"1 → {wide} → 1, turn {turn + 1}: row committed → DAG run ended",
                value=seconds / raw,
                unit="of the raw spawns",
                at_most=MOST_SPAWNS,
                baseline=f"{seconds:.2f} s; its {len(nodes)} processes spawned one after the other: {raw:.2f} s",
            )


def _chained(length: int) -> Mapping[str, Sequence[str]]:
    return {f"n{number}": [f"n{number - 1}"] if number else [] for number in range(length)}


@contextlib.contextmanager
def _dag(
    client: StackClient, name: str, nodes: Mapping[str, Sequence[str]], program: str, args: Sequence[str] = ()
) -> Iterator[None]:
    """A DAG that exists until the block ends; each node runs the program, with its hash, as `dag put` writes it."""
    content = Path(program).read_bytes()
    executable, sha256 = client.put_object(f"bench/{Path(program).name}", content), hashlib.sha256(content).hexdigest()
    rows = [(name, node_id, list(needed), executable, sha256, list(args)) for node_id, needed in nodes.items()]
    with client.database.transaction(), client.database.cursor() as cursor:
        client.insert("dags", dag_id=name)
        cursor.executemany(
            """insert into dag_nodes (dag_id, node_id, depends_on, executable, sha256, args)
               values (%s, %s, %s, %s, %s, array_to_json(%s::text[])::jsonb)""",
            rows,
        )
    try:
        yield
    finally:
        client.database.execute("delete from dags where dag_id = %s", [name])


def _epoch(client: StackClient, name: str, request_id: str) -> float:
    """The seconds from the commit of the request to the end of the DAG run."""
    asked_at = wall_clock()  # the brokers, whose clock the owner uses, run on this machine
    client.insert("requests", dag_id=name, request_id=f"{name}-{request_id}")
    run = client.wait_until_final(request_run_id(name, f"{name}-{request_id}"), END_SECONDS)
    if run["state"] != "succeeded":
        raise NotMeasuredError(f"{run['run_id']} {run['state']}: {run['reason']}")
    return float((run["finished_at"] - asked_at).total_seconds())


def _hops(client: StackClient, name: str, request_id: str) -> Iterator[float]:
    """The milliseconds from the end of each process to the start of the next."""
    _epoch(client, name, request_id)
    where = [name, f"{request_run_id(name, f'{name}-{request_id}')}/"]

    def nodes() -> list[Row]:
        return [row for row in client.rows(NODES, where) if row["finished_at"]]

    eventually(lambda: len(nodes()) == HOPS, END_SECONDS, "all nodes in the read model")
    by_node = {row["node_id"]: row for row in nodes()}
    for number in range(1, HOPS):
        before, after = by_node[f"n{number - 1}"], by_node[f"n{number}"]
        yield float((after["started_at"] - before["finished_at"]).total_seconds() * 1000)


def _raw_chain() -> float:
    began = time.monotonic()
    for _ in range(CHAIN):
        subprocess.run([SLEEP, TASK_SECONDS], check=True)
    return time.monotonic() - began


FIGURES = (
    Figure(name="chain", claim="a chain of 40 tasks of 10 ms", measure=chain),
    Figure(name="hop", claim="a chain of 10 /bin/true: process ended → next one started", measure=hop),
    Figure(name="diamond", claim="1 → 1,000 → 1 of /bin/true", measure=diamond),
)
