"""Delivery goes wrong: skipped, late, again; the groups move partitions; the connector starts anew."""

from __future__ import annotations

from schemas.job import JobSpec
from tests.simulation.plan import Arguments, Dice, Kind
from tests.simulation.things.deployment import Deployment, Size

OFFSETS_GONE_SECONDS = 80.0
"""Longer than a dispatch is valid: what ran less than D before its offset was lost would run again (protocol D2)."""


def skip_deliveries(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    deployment.workers[arguments["worker"]].skips_until = deployment.world.now + arguments["seconds"]


def delay_deliveries(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    deployment.workers[arguments["worker"]].delays_until = deployment.world.now + arguments["seconds"]


def rebalance_workers(deployment: Deployment, _: Dice, __: Arguments) -> None:
    deployment.stream_group.rebalance()


def shuffle_executors(deployment: Deployment, _: Dice, __: Arguments) -> None:
    for group in deployment.executor_groups.values():
        group.shuffle()


def lose_group_offsets(deployment: Deployment, _: Dice, __: Arguments) -> None:
    """And all executors start anew, so that they read from the first record.

    A broker whose clock was ahead has dated dispatches into the future: they stay valid for longer.
    """
    if deployment.had_wrong_clock:
        return
    deployment.world.note("executors' groups", "lose their committed offsets")
    for executor in list(deployment.executors.values()):
        deployment.restart_seconds[executor.name] = OFFSETS_GONE_SECONDS
        executor.die()
    deployment.world.after(OFFSETS_GONE_SECONDS - 5, forget_offsets, deployment)


def forget_offsets(deployment: Deployment) -> None:
    for group in deployment.executor_groups.values():
        group.forget_offsets()


def restart_connector(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    deployment.connector.go_back(arguments["rows"])


def lose_slot(deployment: Deployment, _: Dice, __: Arguments) -> None:
    deployment.connector.snapshot()


def stop_connector(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """If it is away for longer than request ids are remembered, users ask for runs at its beginning (protocol I5)."""
    deployment.connector.cut_off(arguments["seconds"])
    if arguments["seconds"] > deployment.core.request_ttl.total_seconds():
        for owner, spec in list(deployment.database.current.items()):
            if isinstance(spec, JobSpec):
                deployment.database.request(owner, f"early{int(deployment.world.now)}")


def a_worker(dice: Dice, size: Size) -> Arguments:
    return {"worker": f"stream-{dice.randrange(size.workers)}", "seconds": dice.uniform(20, 200)}


def some_rows(dice: Dice, _: Size) -> Arguments:
    return {"rows": dice.randint(1, 8)}


def a_time(dice: Dice, _: Size) -> Arguments:
    return {"seconds": dice.choice((10.0, 60.0, 300.0, 900.0, 1500.0))}


def nothing(*_: object) -> Arguments:
    return {}


KINDS = {
    "deliveries are skipped": Kind(1, a_worker, skip_deliveries),
    "deliveries are late": Kind(1, a_worker, delay_deliveries),
    "the workers' group rebalances": Kind(1, nothing, rebalance_workers),
    "the executors' groups move partitions": Kind(3, nothing, shuffle_executors),
    "the executors' offsets are lost": Kind(0.7, nothing, lose_group_offsets),
    "the connector sends rows again": Kind(1, some_rows, restart_connector),
    "the slot is lost": Kind(1, nothing, lose_slot),
    "the connector is away": Kind(1, a_time, stop_connector),
}
