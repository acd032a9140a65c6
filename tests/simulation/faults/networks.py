"""Messages are lost or late: cut-off processes, brokers that are away, answers that never come."""

from __future__ import annotations

from tests.simulation.faults.freezes import silent
from tests.simulation.plan import Arguments, Dice, Kind
from tests.simulation.things.deployment import Deployment, Size
from tests.simulation.things.partition import CallFault


def cut_off_worker(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    worker = deployment.workers[arguments["worker"]]
    worker.cut_off(arguments["seconds"])
    silent(deployment, worker, arguments["seconds"], dice)


def cut_off_executor(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    deployment.executors[arguments["executor"]].lose_brokers(arguments["seconds"])


def brokers_away(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    deployment.world.note("the brokers", f"are away for {arguments['seconds']:.0f} s")
    deployment.brokers.down_until = deployment.world.now + arguments["seconds"]


def lose_answer(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """Of a call of a session: whether it was carried out, the session cannot know."""
    worker = deployment.workers[arguments["worker"]]
    worker.arm(arguments["call"], arguments["number"], CallFault(fails=True, is_done=arguments["is_done"]))


def lose_claim(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    executor = deployment.executors[arguments["executor"]]
    executor.commit_fault = "unknown" if arguments["is_done"] else "lost"
    deployment.world.note(executor.name, f"will get no answer to its next claim ({executor.commit_fault})")


def late_acknowledgements(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    """What an executor sends arrives at once and is acknowledged late. It may be the last that it hears for long."""
    executor = deployment.executors[arguments["executor"]]
    outbox = executor.outbox
    outbox.lateness = arguments["late_by"]
    outbox.acknowledges_late_until = deployment.world.now + arguments["seconds"]
    outbox.is_cut_off_after_late = dice.random() < 0.7
    note = f"gets acknowledgements {arguments['late_by']:.0f} s late for {arguments['seconds']:.0f} s"
    deployment.world.note(executor.name, note)


def twice(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    executor = deployment.executors[arguments["executor"]]
    executor.outbox.sends_twice_until = deployment.world.now + 300.0


def a_worker(dice: Dice, size: Size) -> Arguments:
    return {"worker": f"stream-{dice.randrange(size.workers)}", "seconds": dice.choice((4.0, 10.0, 40.0, 100.0))}


def an_executor(dice: Dice, size: Size) -> Arguments:
    seconds = dice.choice((5.0, 20.0, 40.0, 60.0, 150.0))
    return {"executor": f"executor-{dice.randrange(size.executors)}", "seconds": seconds}


def a_time(dice: Dice, _: Size) -> Arguments:
    return {"seconds": dice.choice((3.0, 15.0, 40.0, 70.0))}


def an_answer(dice: Dice, size: Size) -> Arguments:
    call = dice.choices(("Commit", "Settle", "Fence", "Forward", "Read", "ReadClaims"), (8, 1, 1, 1, 1, 1))[0]
    rest = {"number": dice.choice((1, 2, 3)), "is_done": dice.random() < 0.6}
    return {"worker": f"stream-{dice.randrange(size.workers)}", "call": call, **rest}


def a_claim(dice: Dice, size: Size) -> Arguments:
    return {"executor": f"executor-{dice.randrange(size.executors)}", "is_done": dice.random() < 0.6}


def lateness(dice: Dice, size: Size) -> Arguments:
    late_by = dice.choice((5.0, 20.0, 30.0))
    return {**a_claim(dice, size), "late_by": late_by, "seconds": dice.choice((30.0, 60.0))}


KINDS = {
    "a worker is cut off": Kind(2, a_worker, cut_off_worker),
    "an executor is cut off": Kind(2, an_executor, cut_off_executor),
    "the brokers are away": Kind(1.5, a_time, brokers_away),
    "an answer to a worker is lost": Kind(4, an_answer, lose_answer),
    "an answer to a claim is lost": Kind(2, a_claim, lose_claim),
    "acknowledgements are late": Kind(2, lateness, late_acknowledgements),
    "records arrive twice": Kind(1, a_claim, twice),
}
