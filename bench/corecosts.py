"""Measures one step of an owner's core with 10, 1,000 and 10,000 entries that the step must not search."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

import msgspec

from bench import partitions
from bench.figure import Bench, Figure, Line, percentile
from schemas.dag import NodeSpec
from schemas.event import EventBatch
from schemas.heartbeat import Window
from schemas.ids import ExecutorId
from streams.core.inputs import ClockAdvanced, ExecutorReported, HeartbeatHeard, Input
from streams.core.runs.pace import take_slot
from streams.core.step import step
from streams.owner.transaction_records import to_transaction
from tests.support.simulated.driven_session import DrivenSession
from tests.support.simulated.log import Log, ended, started

FEW = 10
SIZES = (1_000, 10_000)
TURNS = 40
MOST_TIMES = 3.0
"""The limit for the growth of the cost: caches and the allocator stay below it, a search does not."""


def measure(bench: Bench) -> Iterator[Line]:
    """Measures CPU seconds, which other load on the machine does not change."""
    for what, cost in COSTS.items():
        few = cost(FEW)
        for size in SIZES if not bench.short else SIZES[:1]:
            found = cost(size)
            yield Line(
                what=f"{what.format(f'{size:,}')}",
                value=found * 1e6,
                unit="µs of CPU",
                at_most=MOST_TIMES * few * 1e6,
                baseline=f"beside {FEW}: {few * 1e6:.0f} µs",
            )
    edits = bench.pick(SIZES[-1], SIZES[0])
    yield Line(
        what=f"timers in memory, after {edits:,} edits of the only job",
        value=_left_behind(edits),
        unit="entries",
        at_most=FEW * 2,
    )


def _median(log: Log, owner: DrivenSession, turn: Callable[[int], Iterable[Input]]) -> float:
    """The median CPU seconds of the steps of one turn; the median excludes garbage collections."""
    found = []
    for number in range(TURNS):
        inputs = turn(number)
        owner.state.begin_transaction()
        began = time.process_time()
        effects = [effect for each in inputs for effect in step(owner.state, each, log.now)]
        found.append(time.process_time() - began)
        log.written += to_transaction(owner.state, effects).records
    return percentile(found, 0.5)


def _settled(log: Log) -> DrivenSession:
    owner = log.recover()
    owner.learn(HeartbeatHeard(heartbeat=partitions.heartbeat(1, log.now), appended_at=log.now))
    while owner.backlog or owner.state.has_more_to_do:
        log.turn(owner, 0.001)
    return owner


def _heartbeat(size: int) -> float:
    """The worst case: each executor holds the partition and reports no free slot, and a run waits."""
    log = Log()
    log.define()
    owner = _settled(log)
    full = (Window(timeout_class=partitions.CLASS, partition=0, size=0),)
    beat = msgspec.structs.replace(partitions.heartbeat(1, log.now), windows=full)
    beats = [msgspec.structs.replace(beat, executor_id=ExecutorId(f"e.{number}")) for number in range(size)]
    for each in beats:
        step(owner.state, HeartbeatHeard(heartbeat=each, appended_at=log.now), log.now)
    owner.offer(log.request("r"))
    log.turn(owner)
    turn = [HeartbeatHeard(heartbeat=each, appended_at=log.now) for each in beats[:FEW]]
    return _median(log, owner, lambda _: turn) / FEW


def _occurrence(size: int) -> float:
    """An occurrence of a job that skips while a run is open; half of the open runs were requested for a later time."""
    log = Log()
    log.define(schedule="@every 1s", overlap_policy="skip")
    for number in range(size // 2):
        log.request(f"now-{number}")
        log.request(f"later-{number}", run_at=(log.now + timedelta(days=1)).isoformat())
    owner = _settled(log)

    def turn(_: int) -> Iterable[Input]:
        log.now += timedelta(seconds=1)
        return [ClockAdvanced()]

    return _median(log, owner, turn)


def _end_of_a_dag_run(size: int) -> float:
    """One DAG run ends, and the next one starts."""
    log = Log()
    log.define_dag(NodeSpec(node_id="a", executable="s3://tidemill/x"), max_active_epochs=1)
    for number in range(size + TURNS):
        log.request_dag(f"r-{number:06}")
    owner = _settled(log)

    def turn(number: int) -> Iterable[Input]:
        (dispatch,) = log.dispatches()[number:]
        said = started(dispatch, log.now), ended(dispatch, log.now)
        batch = EventBatch(executor_id=ExecutorId("bench.1"), events=said)
        return [ExecutorReported(batch=batch, appended_at=log.now)]

    log.written = [each for each in log.written if each.topic.startswith("runs.")]
    return _median(log, owner, turn)


def _left_behind(edits: int) -> int:
    """The number of entries in an owner's timer heap after this many edits of one job."""
    log = Log()
    for version in range(1, edits + 1):
        _edited(log, version)
    return _settled(log).state.derived.timers.entries


def _edited(log: Log, version: int) -> None:
    log.define(version, schedule=f"{version % 60} 0 1 1 *")


def _tick(size: int) -> float:
    """A tick with nothing due, while jobs catch up."""
    log = Log()
    owner = _settled(log)
    for number in range(size):
        take_slot(owner.state, f"job-{number}", log.now + timedelta(days=1))
    return _median(log, owner, lambda _: [ClockAdvanced()])


COSTS: dict[str, Callable[[int], float]] = {
    "a heartbeat, beside {} executors that hold the partition": _heartbeat,
    "an occurrence that is skipped, beside {} open runs of its job": _occurrence,
    "a DAG run ends and the next one begins, beside {} that wait": _end_of_a_dag_run,
    "a tick in which nothing is due, beside {} jobs that catch up": _tick,
}

FIGURES = (
    Figure(name="core", claim="a step of an owner's core, beside much that it must not search", measure=measure),
)
