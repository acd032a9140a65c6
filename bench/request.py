"""Measures the time from a request's commit to the start of its process, one request at a time, so that none queues."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from bench.baselines import TRUE
from bench.due import warm
from bench.figure import Bench, Figure, Line, percentile
from bench.stacks import Shape, jobs
from schemas.ids import request_run_id
from schemas.times import epoch_ms
from schemas.topics import CDC
from tests.support.stack_client import StackClient
from tests.support.waiting import eventually
from tidemill.target import wall_clock

NAME = "asked"
PAUSE_SECONDS = 0.1
STARTED = "select run_id, started_at from runs where job_id = %s and started_at is not null"


def measure(bench: Bench) -> Iterator[Line]:
    client = bench.stacks.get(Shape())
    count = bench.pick(600, 30)
    warm(client)
    with jobs(client, [{"job_id": NAME, "executable": client.put_object("bench/true", Path(TRUE).read_bytes())}]):
        bench.say(f"{count} requests, one every {PAUSE_SECONDS} s")
        committed: dict[str, int] = {}
        for number in range(count):
            client.request(NAME, f"asked-{number}")
            committed[f"asked-{number}"] = epoch_ms(wall_clock())  # the brokers' clock is this machine's
            time.sleep(PAUSE_SECONDS)
        eventually(lambda: len(client.rows(STARTED, [NAME])) == count, 60, "the start of all requests")
        started = {row["run_id"]: epoch_ms(row["started_at"]) for row in client.rows(STARTED, [NAME])}
    delays = [started[request_run_id(NAME, each)] - at for each, at in committed.items()]
    captured = percentile(_captured_after(client, committed), 0.5)
    baseline = f"row committed → record in {CDC}: p50 {captured:.0f} ms"
    yield Line(what="p50", value=percentile(delays, 0.5), unit="ms", at_most=120, baseline=baseline)
    yield Line(what="p99", value=percentile(delays, 0.99), unit="ms")


def _captured_after(client: StackClient, committed: dict[str, int]) -> Iterator[float]:
    for message in client.read(CDC):
        at = committed.get(orjson.loads(message.value() or b"{}").get("request_id"))
        if at is not None:
            yield message.timestamp()[1] - at


FIGURES = (Figure(name="request", claim="request row committed → process started", measure=measure),)
