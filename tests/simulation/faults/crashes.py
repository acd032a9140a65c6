"""Processes die: at any moment, or right before or after a given call of a session; or they stop as planned."""

from __future__ import annotations

from schemas.job import JobSpec
from tests.simulation import users
from tests.simulation.plan import Arguments, Dice, Kind
from tests.simulation.things.deployment import Deployment, Size
from tests.simulation.things.partition import CallFault
from tests.simulation.users import JOBS

CALLS = (
    "Commit",
    "Commit",
    "Commit",
    "CheckAssignment",
    "Fence",
    "Settle",
    "ReadState",
    "ReadUnclaimed",
    "Read",
    "Take",
    "Forward",
    "ReadClaims",
    "ReadExecutorEnds",
)


def kill_worker(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    worker = deployment.workers[arguments["worker"]]
    deployment.restart_seconds[worker.name] = arguments["back_after"]
    worker.die()


def kill_all_workers(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    for worker in list(deployment.workers.values()):
        deployment.restart_seconds[worker.name] = arguments["back_after"]
        worker.die()


def change_meanwhile(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    """While no worker runs, users change several jobs, and then pause one: the next owners find that in `cdc`."""
    kill_all_workers(deployment, dice, arguments)
    for delay in (5.0, 6.0):
        deployment.world.after(delay, change_all, deployment)
    pause = {"owner": dice.choice(JOBS), "seconds": 700.0, "policy": "skip"}
    deployment.world.after(8.0, users.pause, deployment, dice, pause)


def change_all(deployment: Deployment) -> None:
    for owner, spec in list(deployment.database.current.items()):
        if isinstance(spec, JobSpec):
            deployment.database.edit(owner, env={"CHANGED": str(deployment.world.now)})


def kill_at_call(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    worker = deployment.workers[arguments["worker"]]
    deployment.restart_seconds[worker.name] = arguments["back_after"]
    fault = CallFault(dies=True, is_done=arguments["is_done"])
    worker.arm(arguments["call"], arguments["number"], fault)


def stop_worker(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    worker = deployment.workers[arguments["worker"]]
    if worker.is_alive and not worker.is_frozen:
        deployment.restart_seconds[worker.name] = arguments["back_after"]
        worker.leave()


def kill_executor(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    executor = deployment.executors[arguments["executor"]]
    deployment.restart_seconds[executor.name] = arguments["back_after"]
    if arguments["with_supervisor"]:
        executor.die_with_supervisor()
    else:
        executor.die()


def drain_executor(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    executor = deployment.executors[arguments["executor"]]
    if executor.is_alive and not executor.is_frozen:
        executor.drain()


def kill_sink(deployment: Deployment, _: Dice, __: Arguments) -> None:
    deployment.sinks.running[-1].kill()
    deployment.sinks.start_another()


def a_worker(dice: Dice, size: Size) -> Arguments:
    return {"worker": f"stream-{dice.randrange(size.workers)}", "back_after": dice.choice((0.5, 2.0, 5.0, 30.0, 200.0))}


def all_workers(dice: Dice, _: Size) -> Arguments:
    return {"back_after": dice.uniform(20, 500)}


def a_long_time(dice: Dice, _: Size) -> Arguments:
    return {"back_after": dice.uniform(200, 500)}


def a_call(dice: Dice, size: Size) -> Arguments:
    call, number = dice.choice(CALLS), dice.choice((1, 1, 2, 3, 6))
    return {**a_worker(dice, size), "call": call, "number": number, "is_done": dice.random() < 0.5}


def an_executor(dice: Dice, size: Size) -> Arguments:
    return {
        "executor": f"executor-{dice.randrange(size.executors)}",
        "back_after": dice.choice((1.0, 5.0, 60.0, 200.0)),
        "with_supervisor": dice.random() < 0.3,
    }


KINDS = {
    "a worker is killed": Kind(2, a_worker, kill_worker),
    "all workers are killed": Kind(1, all_workers, kill_all_workers),
    "users change jobs while no worker runs": Kind(1.5, a_long_time, change_meanwhile),
    "a worker is killed at a call": Kind(4, a_call, kill_at_call),
    "a worker is stopped as planned": Kind(1, a_worker, stop_worker),
    "an executor is killed": Kind(3, an_executor, kill_executor),
    "an executor drains": Kind(1, an_executor, drain_executor),
    "the sink is killed": Kind(0.5, lambda *_: {}, kill_sink),
}
