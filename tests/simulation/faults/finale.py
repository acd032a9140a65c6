"""What happens after everything is healed, so that an invariant may say how long it may take."""

from __future__ import annotations

from datetime import timedelta

from schemas.ids import request_run_id
from schemas.partition import partition_of
from tests.simulation.faults.leases import ask_for_long_run
from tests.simulation.plan import QUIET, Act, Arguments, Dice, Kind, is_due
from tests.simulation.things.deployment import Deployment, Size

AT = QUIET + 30.0
STOPPED, STOPPED_AFTER = "stopped", 36.0
"""A job of which one run is stopped."""
BEFORE_THE_MINUTE = QUIET + 59.5
"""A minute begins half a second later: most schedules are due then."""
SHARE = 0.4


def stop_with_missed_order(deployment: Deployment, _: Dice, __: Arguments) -> None:
    """A user stops a long run, and its executor misses the first order: the owner says it again (protocol L4)."""
    ask_for_long_run(deployment, STOPPED, "one")
    deployment.world.after(STOPPED_AFTER, _stop, deployment)


def _stop(deployment: Deployment) -> None:
    for executor in deployment.executors.values():
        executor.misses_orders = 1
    deployment.database.request(STOPPED, "stop", kind="cancel", run_id=request_run_id(STOPPED, "one"))


def stop_worker(deployment: Deployment, _: Dice, __: Arguments) -> None:
    """The worker that decides for a job is stopped as planned, right before an occurrence of it (protocol O5)."""
    members = deployment.stream_group.members
    due = deployment.world.time() + timedelta(seconds=1)
    for name, spec in deployment.database.current.items():
        holder = members.get(deployment.stream_group.assigned.get(partition_of(name, deployment.partitions), ""))
        if len(members) > 1 and holder is not None and not spec.paused and is_due(spec.schedule, due):
            deployment.planned_stops.append(deployment.world.now)
            holder.leave()
            return


def draw(dice: Dice, size: Size) -> list[Act]:
    if dice.random() > SHARE:
        return []
    name = dice.choice(sorted(KINDS))
    at = BEFORE_THE_MINUTE if KINDS[name].apply is stop_worker else AT
    return [Act(at=at, kind=name, number=300, arguments=KINDS[name].draw(dice, size))]


KINDS = {
    "all is well, and an order to stop is missed": Kind(1, lambda *_: {}, stop_with_missed_order),
    "all is well, and a worker is stopped as planned": Kind(1, lambda *_: {}, stop_worker),
}
