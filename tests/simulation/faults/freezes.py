"""Processes stand still and wake up: zombies of workers, executors, whole hosts and sinks."""

from __future__ import annotations

from tests.simulation.plan import Arguments, Dice, Kind
from tests.simulation.things.deployment import Deployment, Size
from tests.simulation.things.partition import CallFault
from tests.simulation.things.worker import Worker


def freeze_worker(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    worker = deployment.workers[arguments["worker"]]
    if worker.is_alive:
        worker.freeze(arguments["seconds"])
        silent(deployment, worker, arguments["seconds"], dice)


def silent(deployment: Deployment, worker: Worker, seconds: float, dice: Dice) -> None:
    """The coordinator misses the worker, which notices that some time after it is back."""
    deployment.stream_group.suspect(worker)
    worker.after(seconds + dice.uniform(0.1, 4), worker.check_membership)


def freeze_at_call(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    worker = deployment.workers[arguments["worker"]]
    worker.arm(arguments["call"], arguments["number"], CallFault(delay=arguments["seconds"]))
    deployment.frozen_at_calls[worker.name] = dice.uniform(0.1, 4)


def freeze_executor(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    executor = deployment.executors[arguments["executor"]]
    if not executor.is_alive:
        return
    if arguments["what"] == "host":
        executor.freeze_host(arguments["seconds"])
    elif arguments["what"] == "executor":
        executor.freeze(arguments["seconds"])
    else:
        executor.supervisor.freeze(min(arguments["seconds"], 5.0))
    for group in deployment.executor_groups.values():
        group.suspect(executor)


def freeze_at_claim(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    deployment.executors[arguments["executor"]].freezes_at_claim = arguments["seconds"]


def freeze_sink(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """Between its reading and its writing: it wakes up with a batch that another sink has written meanwhile."""
    deployment.sinks.running[-1].freezes_at_write = arguments["seconds"]


def seconds(dice: Dice) -> float:
    return dice.choice((3.0, 8.0, 15.0, 30.0, 50.0, 90.0, 200.0))


def a_worker(dice: Dice, size: Size) -> Arguments:
    return {"worker": f"stream-{dice.randrange(size.workers)}", "seconds": seconds(dice)}


def a_call(dice: Dice, size: Size) -> Arguments:
    call = dice.choice(("CheckAssignment", "Fence", "Commit", "Commit", "ReadState", "Read", "Forward"))
    return {**a_worker(dice, size), "call": call, "number": dice.choice((1, 1, 2, 4))}


def an_executor(dice: Dice, size: Size) -> Arguments:
    what = dice.choices(("executor", "host", "supervisor"), (5, 3, 1))[0]
    return {"executor": f"executor-{dice.randrange(size.executors)}", "seconds": seconds(dice), "what": what}


def a_claim(dice: Dice, size: Size) -> Arguments:
    seconds = dice.choice((5.0, 15.0, 30.0, 30.0, 60.0))
    return {"executor": f"executor-{dice.randrange(size.executors)}", "seconds": seconds}


def a_time(dice: Dice, _: Size) -> Arguments:
    return {"seconds": seconds(dice)}


KINDS = {
    "a worker is frozen": Kind(3, a_worker, freeze_worker),
    "a worker is frozen at a call": Kind(2, a_call, freeze_at_call),
    "an executor is frozen": Kind(4, an_executor, freeze_executor),
    "an executor is frozen after a claim": Kind(2, a_claim, freeze_at_claim),
    "the sink is frozen, and another one starts": Kind(1, a_time, freeze_sink),
}
