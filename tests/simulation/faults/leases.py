"""What happens around one long process: an executor whose last word is heard late, or a lease that becomes shorter."""

from __future__ import annotations

from datetime import timedelta

from schemas.job import JobSpec
from tests.simulation.faults.rolling import set_in_cluster
from tests.simulation.plan import Arguments, Dice, Kind
from tests.simulation.things.deployment import Deployment, Size
from tests.simulation.things.executor import Executor

STEADY = "steady"
"""A job whose processes run for 90 s or longer, without a schedule."""
PATIENCE_SECONDS = 40
SILENT_SECONDS = 150.0


def ask_for_long_run(deployment: Deployment, name: str, request: str) -> None:
    spec = JobSpec(
        job_id=name,
        executable="s3://tidemill/x",
        args=("longest",),
        timeout_class="2m",
        cancel_grace=timedelta(seconds=5),
    )
    if name not in deployment.database.current:
        deployment.database.define(spec)
    deployment.database.request(name, request)


def holder(deployment: Deployment, name: str) -> Executor | None:
    """The executor that runs a process of this job now."""
    for executor in deployment.executors.values():
        if executor.is_alive and any(
            each.execution.dispatch.job_id == name for each in executor.supervisor.processes.values()
        ):
            return executor
    return None


def last_word_late(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """A heartbeat arrives at once and is acknowledged late; it is the last thing it hears (protocol L1)."""
    ask_for_long_run(deployment, STEADY, arguments["request"])
    deployment.world.after(1.0, _delay_its_word, deployment, arguments, PATIENCE_SECONDS)


def _delay_its_word(deployment: Deployment, arguments: Arguments, patience: int) -> None:
    executor = holder(deployment, STEADY)
    if executor is None:
        if patience and not deployment.is_quiet:
            deployment.world.after(1.0, _delay_its_word, deployment, arguments, patience - 1)
        return
    executor.outbox.lateness = arguments["late_by"]
    executor.outbox.acknowledges_late_until = deployment.world.now + 60.0
    executor.outbox.is_cut_off_after_late = True
    deployment.world.note(executor.name, f"will hear its next acknowledgement {arguments['late_by']:.0f} s late")


def shorten_lease(deployment: Deployment, _: Dice, arguments: Arguments) -> None:
    """While an executor with a long process is silent, the lease becomes shorter (protocol L8), and workers restart."""
    ask_for_long_run(deployment, STEADY, arguments["request"])
    deployment.world.after(1.0, _silence_it, deployment, PATIENCE_SECONDS)


def _silence_it(deployment: Deployment, patience: int) -> None:
    executor = holder(deployment, STEADY)
    if executor is None:
        if patience and not deployment.is_quiet:
            deployment.world.after(1.0, _silence_it, deployment, patience - 1)
        return
    executor.lose_brokers(SILENT_SECONDS)
    set_in_cluster(deployment, "lease", 40.0)
    for worker in list(deployment.workers.values()):
        deployment.restart_seconds[worker.name] = 1.0
        worker.die()


def a_lateness(dice: Dice, _: Size) -> Arguments:
    return {"request": f"w{dice.randrange(10_000)}", "late_by": dice.choice((30.0, 36.0))}


def a_request(dice: Dice, _: Size) -> Arguments:
    return {"request": f"l{dice.randrange(10_000)}"}


KINDS = {
    "an executor's last acknowledgement is late": Kind(1.5, a_lateness, last_word_late),
    "the lease is shortened while an executor is silent": Kind(1.5, a_request, shorten_lease),
}
