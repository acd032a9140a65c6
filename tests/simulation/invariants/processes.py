"""At most one process of a run is alive; none starts twice, too late, or after its run's end; no status lies."""

from __future__ import annotations

from collections import defaultdict

from schemas.confinement import Capabilities, Confinement, Limit, Network
from schemas.status import RunStatus
from schemas.words import AttemptEnd
from tests.simulation.history import History
from tests.simulation.things.witness import Execution
from tests.simulation.things.world import NEVER

MOMENT = 0.05
"""A supervisor that wakes up with its host kills its processes within this time."""
LATE_SECONDS = 3.0
"""How much later than D and the claim grace a process may start, by clocks that agree within 2 s."""


def check_one_at_a_time(history: History) -> list[str]:
    by_run: dict[str, list[Execution]] = defaultdict(list)
    for execution in history.deployment.witness.executions:
        by_run[execution.run_id].append(execution)
    problems: list[str] = []
    for run_id, executions in by_run.items():
        for index, one in enumerate(executions):
            problems += [
                f"token {other.token} of {run_id} began at {other.began:.1f} s on {other.executor}, "
                f"while token {one.token} was alive on {one.executor}, until {one.ended and round(one.ended, 1)} s"
                for other in executions[index + 1 :]
                if other.began < _lived_until(one, other.began)
            ]
    return problems


def _lived_until(execution: Execution, at: float) -> float:
    """Its end; if its host stood still at `at` and it ended when the host woke up, it did nothing at `at`."""
    ended = NEVER if execution.ended is None else execution.ended
    for begin, end in execution.frozen:
        if begin <= at <= end and ended <= end + MOMENT:
            return begin
    return ended


def check_executed_once(history: History) -> list[str]:
    seen: set[tuple[str, int]] = set()
    problems: list[str] = []
    for execution in history.deployment.witness.executions:
        key = execution.run_id, execution.token
        if key in seen:
            problems.append(f"token {execution.token} of {execution.run_id} was executed twice")
        seen.add(key)
    return problems


def check_not_after_end(history: History) -> list[str]:
    """No process is alive after the end of its run was published; a rerun is another life, with later tokens."""
    ends: dict[tuple[str, int], tuple[float, RunStatus]] = {}
    for partition in history.by_partition:
        for at, status in partition:
            if status.state.is_final:
                for attempt in status.attempts:
                    ends.setdefault((status.run_id, attempt.token), (at, status))
    problems: list[str] = []
    for execution in history.deployment.witness.executions:
        ended, life = ends.get((execution.run_id, execution.token), (NEVER, None))
        if life is not None and _lived_until(execution, ended) > ended + LATE_SECONDS:
            problems.append(
                f"token {execution.token} of {execution.run_id} was alive until {execution.ended}, "
                f"but its run was {life.state.value} at {ended:.1f} s"
            )
    return problems


def check_not_expired(history: History) -> list[str]:
    """A dispatch is valid for D, and a claim for the claim grace (protocol D2, D4)."""
    sent = {(dispatch.run_id, dispatch.token): at for partition in history.dispatches for at, dispatch in partition}
    return [
        f"token {each.token} of {each.run_id} began {each.began - at:.0f} s after its dispatch"
        for each in history.deployment.witness.executions
        if (at := sent.get((each.run_id, each.token))) is not None
        and not history.deployment.had_wrong_clock
        and not each.was_fetched
        and each.began > at + (each.dispatch.valid_for + each.dispatch.claim_grace).total_seconds() + LATE_SECONDS
    ]


def check_confined(history: History) -> list[str]:
    """A process runs only where its executor gives what its job asks for (protocol D7)."""
    return [
        f"token {each.token} of {each.run_id} ran on {each.executor}, but {why}"
        for each in history.deployment.witness.executions
        if (asked := each.dispatch.confinement) is not None and (why := _missing(asked, each.given))
    ]


def _missing(asked: Confinement, given: Capabilities) -> str | None:
    """Jobs of the simulation ask for one thing at most."""
    is_unmet = asked.network is Network.NONE and Limit.NETWORK not in given.limits
    return "it cannot take the network away" if is_unmet else None


def check_truth(history: History) -> list[str]:
    """What succeeded had a process that exited with 0 by itself (protocol L7)."""
    known = {(each.run_id, each.token): each for each in history.deployment.witness.executions}
    problems: list[str] = []
    for status in history.last.values():
        for attempt in status.attempts:
            if attempt.end is not AttemptEnd.SUCCEEDED:
                continue
            execution = known.get((status.run_id, attempt.token))
            if execution is None:
                problems.append(f"token {attempt.token} of {status.run_id} succeeded, but was never executed")
            elif execution.code != 0 or execution.got_term:
                why = "got TERM" if execution.got_term else f"exited with {execution.code}"
                problems.append(f"token {attempt.token} of {status.run_id} succeeded, but its process {why}")
    return problems
