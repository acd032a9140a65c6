"""What brokers do wrong: clocks that jump, markers that are never written, a topic that is made anew."""

from __future__ import annotations

from schemas.partition import partition_of
from schemas.topics import REQUESTS
from tests.simulation.plan import Arguments, Dice, Kind
from tests.simulation.things.database import RequestRow
from tests.simulation.things.deployment import Deployment, Size
from tests.simulation.users import produce


def jump(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """The clock of one broker is wrong for some time."""
    broker = arguments["broker"]
    deployment.world.note(f"broker {broker}", f"has a clock that is {arguments['by']:.0f} s ahead")
    deployment.brokers.skews[broker] = arguments["by"]
    deployment.had_wrong_clock = True
    deployment.world.after(arguments["seconds"], correct, deployment, broker)


def correct(deployment: Deployment, broker: int) -> None:
    deployment.world.note(f"broker {broker}", "has the right time again")
    deployment.brokers.skews[broker] = 0.0


def fail_over(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """A broker dies between a commit and its markers, and the next leader never writes them (protocol O9).

    All workers die soon after. An owner that lives makes the records visible with its next commit to the partition.
    """
    deployment.brokers.lose_markers += 1
    deployment.world.note("the brokers", "will lose the markers of the next commit")
    deployment.world.after(arguments["after"], end_fail_over, deployment, arguments["back_after"])


def end_fail_over(deployment: Deployment, back_after: float) -> None:
    deployment.brokers.lose_markers = 0
    for worker in list(deployment.workers.values()):
        deployment.restart_seconds[worker.name] = back_after
        worker.die()


def make_topic_anew(deployment: Deployment, dice: Dice, arguments: Arguments) -> None:
    """While no worker runs, somebody deletes `requests` and makes it again; later producers write to it."""
    for worker in list(deployment.workers.values()):
        deployment.restart_seconds[worker.name] = 8.0
        worker.die()
    deployment.recreated_at.append(deployment.world.time())
    deployment.world.note("somebody", "deletes the topic requests and makes it anew")
    deployment.brokers.recreate(REQUESTS, deployment.partitions)
    for number, name in enumerate(("alpha", "beta")):
        deployment.world.after(dice.uniform(30, 90), ask, deployment, name, f"{arguments['request']}{number}")


def ask(deployment: Deployment, name: str, request_id: str) -> None:
    if name in deployment.database.current:
        fields = {"request_id": request_id, "job_id": name}
        known = RequestRow(owner=name, request_id=request_id, at=deployment.world.time(), fields=fields, door="topic")
        deployment.world.note("a producer", f"asks for a run of {name}: {request_id}")
        produce(deployment, known, partition_of(name, deployment.partitions), {"how": "once"})


def a_clock(dice: Dice, size: Size) -> Arguments:
    by = dice.choice((-3000.0, -60.0, -5.0, 5.0, 60.0, 600.0, 3000.0))
    return {"broker": dice.randrange(size.brokers), "by": by, "seconds": dice.choice((2.0, 6.0, 30.0, 120.0))}


def a_failover(dice: Dice, _: Size) -> Arguments:
    return {"after": dice.uniform(0.0, 40.0), "back_after": dice.choice((1.0, 10.0, 60.0))}


def a_request(dice: Dice, _: Size) -> Arguments:
    return {"request": f"again{dice.randrange(10_000)}"}


KINDS = {
    "a broker's clock jumps": Kind(3, a_clock, jump),
    "a broker fails over and loses markers": Kind(2, a_failover, fail_over),
    "the topic requests is made anew": Kind(0.7, a_request, make_topic_anew),
}
