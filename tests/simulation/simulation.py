"""Runs one seed: makes its plan, plays it, heals everything, waits, and checks all invariants."""

from __future__ import annotations

import gc
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import msgspec

from executors import attempt, in_hand
from schemas.topics import EXECUTORS, Cleanup, all_topics, runs_topic
from schemas.words import RunState
from streams.core import tick
from streams.owner import phases, session
from streams.owner.phases import Phase, next_phase
from tests.simulation import users
from tests.simulation.faults import brokers, crashes, defects, delivery, finale, freezes, leases, networks, rolling
from tests.simulation.history import History
from tests.simulation.invariants import clocks, memory, occurrences, owners, processes, read_model, runs
from tests.simulation.plan import END, PAUSE_ALL, QUIET, Act, Kind, Plan, draw_acts
from tests.simulation.things.boot_clock import simulated_boot_clock
from tests.simulation.things.deployment import ABLE, Deployment, Size
from tests.simulation.things.world import World

FAULTS = {
    name: kind
    for module in (crashes, freezes, networks, delivery, brokers, defects, rolling, leases)
    for name, kind in module.KINDS.items()
}
KINDS: dict[str, Kind] = {**users.KINDS, **FAULTS, **finale.KINDS}
HOUSEKEEPING_SECONDS = 240.0

INVARIANTS: dict[str, Callable[[History], list[str]]] = {
    "nothing crashes": owners.check_crashes,
    "no step and no transaction above its room": owners.check_bounds,
    "everything open has something that will end it": memory.check_endless,
    "memory is bounded by open work": memory.check_kept,
    "a process is executed once": processes.check_executed_once,
    "one process of a run at a time": processes.check_one_at_a_time,
    "no process after the end of its run": processes.check_not_after_end,
    "no process of an expired dispatch": processes.check_not_expired,
    "no status lies": processes.check_truth,
    "each occurrence is decided once": occurrences.check,
    "each run is made once and moves legally": runs.check_histories,
    "tokens grow": runs.check_tokens,
    "each request is carried out once": runs.check_requests,
    "everything open ends": runs.check_ends,
    "a stop ends what it stops": runs.check_stops,
    "run ids can be told apart": runs.check_ids,
    "no process without what its job asks for": processes.check_confined,
    "no owner is fenced by another than its successor": owners.check_fences,
    "owners hold the newest definitions": owners.check_definitions,
    "dispatches stay within windows": owners.check_windows,
    "no defect without a defect": owners.check_defects,
    "nothing is early": clocks.check_not_early,
    "nothing is late while all is well": clocks.check_in_time,
    "the read model equals a replay": read_model.check,
}


class Outcome(msgspec.Struct, kw_only=True):
    plan: Plan
    violations: dict[str, list[str]]
    """By invariant; only those that are violated."""
    coverage: Counter[tuple[str, str]]
    trace: list[tuple[float, str, str]]
    history: History


def plan_of(seed: int) -> Plan:
    dice = random.Random(f"plan {seed}")
    size = Size(
        partitions=dice.choice((1, 1, 2)),
        workers=dice.choice((1, 2, 2)),
        executors=dice.choice((1, 2, 2)),
        brokers=dice.choice((1, 1, 3)),
        slots=dice.choice((1, 2, 4)),
        has_small_bounds=dice.random() < 0.4,
        lease=dice.choice((45.0, 45.0, 75.0)),
        capable=dice.choice((0, 1, 1, 2)),
    )
    wanted = [
        Act(at=1.0 + n, kind="a user defines anew", number=n, arguments={"owner": name})
        for n, name in enumerate(
            dice.sample(users.JOBS, dice.randint(1, 3)) + (list(users.DAGS) if dice.random() < 0.4 else [])
        )
    ]
    acts = [*wanted]
    acts += draw_acts(dice, size, users.KINDS, dice.randint(3, 12), 100)
    acts += draw_acts(dice, size, FAULTS, dice.randint(1, 10), 200)
    acts += finale.draw(dice, size)
    return Plan(seed=seed, size=size, acts=tuple(sorted(acts, key=lambda each: each.at)))


def simulate(plan: Plan, *, with_trace: bool = False) -> Outcome:
    world = World(plan.seed)
    world.trace = [] if with_trace else None
    deployment = Deployment(world, plan.seed, plan.size)
    with _patched(deployment), deployment.gauge.measuring(), _without_collector():
        deployment.start()
        for act in plan.acts:
            world.after(act.at, _apply, deployment, act)
        world.after(HOUSEKEEPING_SECONDS, _housekeep, deployment)
        world.after(memory.LOOK_SECONDS, memory.look, deployment)
        world.heals_at = QUIET
        world.after(QUIET, _heal, deployment)
        world.after(PAUSE_ALL, _pause_all, deployment)
        world.run(END)
        history = History(deployment)
        violations = {name: found for name, check in INVARIANTS.items() if (found := check(history))}
    return Outcome(plan=plan, violations=violations, coverage=world.coverage, trace=world.trace or [], history=history)


def _apply(deployment: Deployment, act: Act) -> None:
    deployment.world.coverage["act", act.kind] += 1
    dice = random.Random(f"{deployment.seed}/{act.number}")
    deployment.world.note("---", str(act)[11:])
    KINDS[act.kind].apply(deployment, dice, act.arguments)


def _housekeep(deployment: Deployment) -> None:
    """Compaction and retention."""
    for topic in all_topics(()):
        if topic.cleanup is not Cleanup.DELETE:
            deployment.brokers.compact(topic.name, timedelta(seconds=60))
    for topic in (EXECUTORS, *map(runs_topic, deployment.slots)):
        deployment.brokers.delete_old(topic, timedelta(minutes=15))
    deployment.world.after(HOUSEKEEPING_SECONDS, _housekeep, deployment)


def _heal(deployment: Deployment) -> None:
    """All faults end; what is dead comes back by itself."""
    deployment.world.note("---", "everything is healed")
    now, deployment.is_quiet = deployment.world.now, True
    deployment.brokers.down_until = 0.0
    deployment.brokers.skews = [0.0] * len(deployment.brokers.skews)
    deployment.restart_seconds.clear()
    for worker in deployment.workers.values():
        worker.call_faults.clear()
        worker.cut_off_until = worker.skips_until = worker.delays_until = 0.0
        deployment.stream_group.suspect(worker)
        worker.after(1.0, worker.check_membership)
    able = {name: each for name, each in deployment.given.items() if each == ABLE}
    deployment.given = dict.fromkeys(deployment.executors, ABLE)
    for each in deployment.executors.values():
        each.cut_off_until = 0.0
        each.commit_fault = None
        each.outbox.is_cut_off_after_late = False
        if each.name not in able and each.is_alive:
            rolling.restart_executor(deployment, each.name)
    deployment.connector.cut_off_until = 0.0
    for sink in deployment.sinks.running[:-1]:
        sink.kill()
    deployment.start_what_is_dead()
    deployment.healed_at = now + CALM_AFTER


CALM_AFTER = 59.0


def _pause_all(deployment: Deployment) -> None:
    for owner in list(deployment.database.current):
        deployment.database.edit(owner, paused=True)
    for row in list(deployment.sinks.postgres.runs.values()):
        if row["kind"] == "backfill" and not RunState(row["state"]).is_final:
            deployment.database.request(
                row["job_id"], f"last-{row['run_id']}".replace("#", "-"), kind="cancel", run_id=row["run_id"]
            )


@contextmanager
def _patched(deployment: Deployment) -> Iterator[None]:
    """The executor's clock is the simulated one, and the core fails on the landmine."""
    original, world = tick.decide, deployment.world

    def decide(job: Any, *rest: Any, **more: Any) -> Any:
        if job.job_id == defects.LANDMINE:
            raise ZeroDivisionError("the landmine")
        deployment.gauge.note_decision()
        return original(job, *rest, **more)

    def note_phase(phase: Phase, outcome: phases.Outcome) -> Phase:
        world.coverage["session", f"{phase.value}: {outcome.value}"] += 1
        return next_phase(phase, outcome)

    def note_fact(phase: attempt.Phase, fact: attempt.Fact) -> Any:
        world.coverage["attempt", f"{phase.value}: {fact.value}"] += 1
        return attempt.advance(phase, fact)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(session, "next_phase", note_phase))
        stack.enter_context(mock.patch.object(in_hand, "advance", note_fact))
        stack.enter_context(simulated_boot_clock(world))
        stack.enter_context(mock.patch.object(tick, "decide", decide))
        yield


@contextmanager
def _without_collector() -> Iterator[None]:
    """A simulation is over before a collection would pay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
