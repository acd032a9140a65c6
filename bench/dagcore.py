"""Measures a large DAG in an owner's core, without a log: it is compiled and opened, and its nodes run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial

import msgspec

from bench import partitions
from bench.figure import Bench, Figure, Line, NotMeasuredError, percentile
from schemas.dag import NodeSpec
from schemas.dispatch import Dispatch
from schemas.event import Event, EventBatch
from schemas.ids import ExecutorId
from streams.core.effects import Effect, PutRun, SendDispatch
from streams.core.inputs import ExecutorReported, HeartbeatHeard
from streams.core.runs.run import Run
from streams.core.step import step
from tests.support.simulated.driven_session import DrivenSession
from tests.support.simulated.log import Log, ended, started

NODES = 10_000
WIDTH = 100
NEEDED = 3
"""Each node depends on this many nodes of the layer before."""
EVENTS_OF_A_RECORD = 100
EPOCHS = 5
MUST_SECONDS, MUST_A_SECOND = 2.0, 100_000
REPLACED = 100_000


def measure(bench: Bench) -> Iterator[Line]:
    """Measures CPU seconds, which other load on the machine does not change."""
    size = bench.pick(NODES, 1_000)
    found, raw = [], 0.0
    for _ in range(bench.pick(EPOCHS, 1)):
        log = _log(size)
        began = time.process_time()
        owner = _opened(log)
        opened = time.process_time() - began
        found.append((opened, *_through(owner, log, size)))
        raw = max(raw, _replaced(log))
    baseline = f"a run's value replaced, and nothing else: {raw:.0f}/s"
    opened, seconds, transitions = (percentile(each, 0.5) for each in zip(*found, strict=True))
    yield Line(
        what=f"{size} nodes, {NEEDED * (size - WIDTH)} edges: JSON → compiled, open, roots dispatched",
        value=opened,
        unit="CPU s",
        at_most=MUST_SECONDS,
    )
    yield Line(
        what="queued, running, succeeded: core alone",
        value=transitions / seconds,
        unit="transitions per CPU second",
        at_least=MUST_A_SECOND,
        baseline=baseline,
    )
    yield Line(what="a node, from its dependencies' end to its own", value=seconds / size * 1e6, unit="µs of CPU")


def _nodes(size: int) -> Iterator[NodeSpec]:
    for number in range(size):
        layer, place = divmod(number, WIDTH)
        before = [f"node-{(layer - 1) * WIDTH + (place + step) % WIDTH}" for step in range(NEEDED)]
        yield NodeSpec(
            node_id=f"node-{number}",
            executable="s3://tidemill/x",
            depends_on=tuple(before) if layer else (),
            sha256="0" * 64,
        )


def _log(size: int) -> Log:
    log = Log()
    log.define_dag(*_nodes(size))
    log.request_dag("r")
    return log


def _opened(log: Log) -> DrivenSession:
    """Recover from the records, and dispatch the roots."""
    owner = log.recover()
    heartbeat = partitions.heartbeat(1, log.now)
    owner.learn(HeartbeatHeard(heartbeat=heartbeat, appended_at=log.now))
    log.turn(owner)
    if len(log.dispatches()) != WIDTH:
        raise NotMeasuredError(f"{len(log.dispatches())} nodes were dispatched first, not {WIDTH}")
    return owner


def _through(owner: DrivenSession, log: Log, size: int) -> tuple[float, int]:
    """The core's CPU seconds, and its number of transitions, counted in the nodes' final statuses."""
    say = partial(_report, log)
    waiting, seconds, transitions, dispatched = log.dispatches(), 0.0, 0, WIDTH
    while waiting:
        taken, waiting = waiting[:EVENTS_OF_A_RECORD], waiting[EVENTS_OF_A_RECORD:]
        inputs = (say([started(each, log.now) for each in taken]), say([ended(each, log.now) for each in taken]))
        owner.state.begin_transaction()
        began = time.process_time()
        effects: list[Effect] = []
        for each in inputs:
            effects += step(owner.state, each, log.now)
        seconds += time.process_time() - began
        made = _dispatches(effects)
        waiting, dispatched = waiting + made, dispatched + len(made)
        transitions += sum(len(run.status.transitions) for run in _ended_nodes(effects))
    if dispatched != size or owner.state.durable.runs:
        raise NotMeasuredError(
            f"{dispatched} of {size} nodes were dispatched, {len(owner.state.durable.runs)} runs are open"
        )
    return seconds, transitions - WIDTH  # the roots were queued before


def _report(log: Log, events: Iterable[Event]) -> ExecutorReported:
    batch = EventBatch(executor_id=ExecutorId("bench.1"), events=tuple(events))
    return ExecutorReported(batch=batch, appended_at=log.now)


def _dispatches(effects: list[Effect]) -> list[Dispatch]:
    return [each.dispatch for each in effects if isinstance(each, SendDispatch)]


def _ended_nodes(effects: list[Effect]) -> list[Run]:
    put = [each.run for each in effects if isinstance(each, PutRun)]
    return [run for run in put if run.status.node_id is not None and run.state.is_final]


def _replaced(log: Log) -> float:
    """Replacements per second: the least cost of a transition of an immutable value."""
    status = log.history()[-1]
    began = time.process_time()
    for number in range(REPLACED):
        status = msgspec.structs.replace(status, version=number, state=status.state, reason=None, finished_at=None)
    return REPLACED / (time.process_time() - began)


FIGURES = (Figure(name="dagcore", claim="a DAG of 10,000 nodes, in an owner's memory", measure=measure),)
