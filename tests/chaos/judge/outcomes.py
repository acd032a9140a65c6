"""Whether an end is one that may be: completed, or with a reason that holds. Shared by all that was asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from tests.chaos.judge.executions import Execution, Seen
from tests.chaos.judge.history import Run, Spec
from tests.chaos.judge.processes import FINAL, is_serial
from tests.chaos.judge.reasons import OF_INFRASTRUCTURE, holds
from tests.chaos.judge.violations import Kind, Tally, Violation, evidence
from tests.chaos.judge.windows import Interval, Windows


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one run: its row, and the executions of its processes, or of its nodes' processes."""

    run_id: str
    run: Run | None
    executions: tuple[Execution, ...]

    @property
    def start(self) -> datetime | None:
        return min((each.start for each in self.executions), default=None)

    @property
    def is_final(self) -> bool:
        return self.run is not None and self.run.state in FINAL

    @property
    def is_completed(self) -> bool:
        return self.is_final and bool(self.executions)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One run that was asked for, and from when until when it may start."""

    what: str
    at: datetime
    deadline: datetime
    specs: tuple[Spec | None, ...]


def known(seen: Seen, run_id: str, nodes: dict[str, list[str]]) -> Known:
    """`nodes`: the run ids of the nodes of each DAG run."""
    of_nodes = [each for node in nodes.get(run_id, ()) for each in seen.executions.get(node, ())]
    return Known(
        run_id=run_id,
        run=seen.runs.get(run_id),
        executions=(*seen.executions.get(run_id, ()), *of_nodes),
    )


def nodes_of(seen: Seen) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for run_id in {**seen.runs, **seen.executions}:
        whole, slash, _ = run_id.partition("/")
        if slash:
            found.setdefault(whole, []).append(run_id)
    return found


def check_end(seen: Seen, wanted: Wanted, it: Known, faults: Windows, tally: Tally) -> Iterator[Violation]:
    """The end of a run that has a row."""
    run = it.run
    assert run is not None
    if not it.is_final:
        yield lost(wanted, it, f"it is still {run.state}")
    elif not it.executions:
        if run.state != "succeeded" and holds(seen, run, wanted.at, wanted.specs, faults):
            tally.reasons[run.reason_code or ""] += 1
        elif run.state != "succeeded":  # otherwise it is a lie of the read model, and is found there
            yield lost(wanted, it, f"it is {run.state}, and its reason does not hold: {run.reason_code}, {run.reason}")
    elif not _end_holds(seen, run, wanted, it.executions, faults):
        yield lost(wanted, it, f"it ended as {run.state}, and that does not hold: {run.reason_code}, {run.reason}")


def _end_holds(seen: Seen, run: Run, wanted: Wanted, executions: Sequence[Execution], faults: Windows) -> bool:
    if run.state in ("succeeded", "timed_out"):
        return True
    if run.state in ("failed", "dead"):
        if run.reason_code in ("exit_code", "nodes_failed"):
            return any(each.failed for each in executions)
        return run.reason_code in {*OF_INFRASTRUCTURE, "signal"} and faults.excuses(
            wanted.at, run.finished_at or seen.history.until
        )
    return holds(seen, run, wanted.at, wanted.specs, faults)


def check_start(seen: Seen, wanted: Wanted, it: Known) -> Iterator[Violation]:
    start = it.start
    if start is None:
        return
    lines = [each.lines[0] for each in it.executions if each.start == start]
    if start < wanted.at - seen.history.bounds.cluster_clock:
        sentence = f"{it.run_id} started at {start:%H:%M:%S.%f}, and its time is {wanted.at:%H:%M:%S.%f}"
        yield Violation(kind=Kind.EARLY, run_id=it.run_id, sentence=sentence, evidence=evidence(*lines, it.run))
    elif start > wanted.deadline:
        sentence = f"{it.run_id} started at {start:%H:%M:%S}, and had to start by {wanted.deadline:%H:%M:%S}"
        yield Violation(kind=Kind.LATE, run_id=it.run_id, sentence=sentence, evidence=evidence(*lines, it.run))


def lost(wanted: Wanted, it: Known, why: str) -> Violation:
    lines = [line for each in it.executions for line in each.lines]
    sentence = f"{wanted.what}: {why}"
    return Violation(kind=Kind.LOST, run_id=it.run_id, sentence=sentence, evidence=evidence(it.run, *lines))


def busy(seen: Seen, owner: str, nodes: dict[str, list[str]]) -> list[Interval]:
    """Times in which a run of a job with a serial policy was open: other runs of it may have waited then."""
    found: list[Interval] = []
    runs = {run_id.partition("/")[0] for run_id in seen.executions if run_id.startswith((f"{owner}@", f"{owner}#"))}
    for run_id in runs:
        it = known(seen, run_id, nodes)
        start = it.start
        if start is not None and is_serial(seen, owner, start):
            found.append((start, max(each.last for each in it.executions)))
    return found
