"""Checks the result of a demo: pure functions over rows of jobs, runs and attempts; each returns a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise, product

from schemas.times import rfc3339
from schemas.words import AttemptEnd, RunKind, RunState
from streams.core.schedule.occurrences import DstRules, occurrences, parse_schedule
from tidemill.output import seconds
from tidemill.target import Row

TICK = timedelta(microseconds=1)
ALL = 1_000_000
LONGEST_GAP = timedelta(seconds=60)
"""The limit after two processes were killed: a session ends, a lease expires, and other processes take over."""
NODE = RunKind.NODE.value
NOT_JUDGED = {AttemptEnd.LOST.value, AttemptEnd.EXPIRED.value}
"""Attempts that a kill ended; they are no result of the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    holds: bool
    sentence: str


def due(job: Row) -> list[datetime]:
    """Compute from the job's row when it had to run: starts_at <= nominal time < ends_at."""
    first, last = job["starts_at"] - TICK, job["ends_at"] - TICK
    schedule = parse_schedule(job["schedule"])
    return occurrences(schedule, job["timezone"], DstRules(), first, last, ALL, job["starts_at"])


def check_all(
    jobs: Sequence[Row], nodes: Sequence[Row], runs: Sequence[Row], attempts: Sequence[Row]
) -> Iterator[Check]:
    """`jobs` includes DAGs, and `nodes` are the DAGs' nodes."""
    for job in jobs:
        yield check_counts(job, [run for run in runs if run["job_id"] == job["job_id"] and run["kind"] != NODE])
    yield check_order(nodes, runs)
    yield check_ended(runs)
    yield check_never_early(runs)
    yield check_promoted([run for run in runs if run["job_id"] == "slow"], attempts)
    yield check_retried([run for run in runs if run["job_id"] == "flaky"], attempts)


def check_counts(job: Row, runs: Sequence[Row]) -> Check:
    """Check that every due occurrence ran exactly once, and that no other did."""
    expected = due(job)
    found = Counter(run["nominal_time"] for run in runs)
    wrong = {
        "missing": [each for each in expected if each not in found],
        "found more than once": [each for each, count in found.items() if count > 1],
        "not due": sorted(set(found) - set(expected)),
    }
    faults = [f"{what}: {', '.join(map(rfc3339, times))}" for what, times in wrong.items() if times]
    said = f"{job['job_id']}: {_count(expected, 'occurrence')} due, {len(runs)} in runs"
    return Check(holds=not faults, sentence=f"{said}; {'; '.join(faults) or 'each exactly once'}.")


def check_order(nodes: Sequence[Row], runs: Sequence[Row]) -> Check:
    """Check that every DAG run has each node once, and that no node started before its dependencies ended."""
    epochs = [run for run in runs if run["kind"] == RunKind.DAG.value]
    found = {run["run_id"]: run for run in runs if run["kind"] == NODE}
    wrong = [] if len(found) == len(epochs) * len(nodes) else [f"{len(found)} node runs were found"]
    for epoch, node in product(epochs, nodes):
        name = f"{epoch['run_id']}/{node['node_id']}"
        if name not in found:
            wrong.append(f"{name} is missing")
            continue
        needed = (found.get(f"{epoch['run_id']}/{each}") for each in node["depends_on"])
        if any(each is None or each["finished_at"] > found[name]["queued_at"] for each in needed):
            wrong.append(f"{name} did not wait")
    said = f"DAGs: {_count(epochs, 'DAG run')} of {_count(nodes, 'node')}"
    if wrong:
        return Check(holds=False, sentence=f"{said}; {', '.join(wrong)}.")
    return Check(holds=bool(epochs), sentence=f"{said}, each node once, and after its dependencies.")


def check_ended(runs: Sequence[Row]) -> Check:
    others = [f"{run['run_id']} is {run['state']}" for run in runs if run["state"] != RunState.SUCCEEDED.value]
    if others:
        return Check(holds=False, sentence=f"Not every run succeeded: {', '.join(others)}.")
    return Check(holds=bool(runs), sentence=f"No run is stuck: all {_count(runs, 'run')} succeeded.")


def check_never_early(runs: Sequence[Row]) -> Check:
    early = [run["run_id"] for run in runs if run["latency"] is not None and run["latency"] < timedelta(0)]
    return Check(
        holds=not early,
        sentence=f"Started before they were due: {', '.join(early)}." if early else "No run started before it was due.",
    )


def check_promoted(runs: Sequence[Row], attempts: Sequence[Row]) -> Check:
    wrong = [run["run_id"] for run in runs if not _was_promoted(run, _ends(run, attempts))]
    if wrong:
        return Check(holds=False, sentence=f"slow: not promoted from 10s and done in 1m: {', '.join(wrong)}.")
    return Check(
        holds=bool(runs), sentence=f"slow: {_count(runs, 'run')} exceeded 10s, and succeeded in 1m after its promotion."
    )


def check_retried(runs: Sequence[Row], attempts: Sequence[Row]) -> Check:
    wrong = [run["run_id"] for run in runs if not _was_retried(run, attempts)]
    if wrong:
        return Check(holds=False, sentence=f"flaky: did not succeed at attempt 3: {', '.join(wrong)}.")
    return Check(holds=bool(runs), sentence=f"flaky: {_count(runs, 'run')} failed twice, and succeeded at attempt 3.")


def check_gap(starts: Iterable[datetime], killed_at: datetime) -> Check:
    """Check the longest time without a start, before and after the kill."""
    before, after = timedelta(0), timedelta(0)
    for first, second in pairwise(sorted(starts)):
        if second <= killed_at:
            before = max(before, second - first)
        else:
            after = max(after, second - first)
    return Check(
        holds=timedelta(0) < after <= LONGEST_GAP,
        sentence=f"The longest time without a start: {seconds(before)} before the kill, {seconds(after)} after it.",
    )


def _was_promoted(run: Row, ends: list[str]) -> bool:
    succeeded = (run["state"], run["timeout_class"]) == (RunState.SUCCEEDED.value, "1m")
    return succeeded and ends == [AttemptEnd.PROMOTED.value, AttemptEnd.SUCCEEDED.value]


def _was_retried(run: Row, attempts: Sequence[Row]) -> bool:
    """The script fails by the number of its attempt, and a lost attempt has used a number up."""
    all_ends = [each["ended_as"] for each in attempts if each["run_id"] == run["run_id"]]
    lost = sum(each in NOT_JUDGED for each in all_ends)
    failed = sum(each == AttemptEnd.FAILED.value for each in all_ends)
    succeeded = run["state"] == RunState.SUCCEEDED.value and all_ends[-1:] == [AttemptEnd.SUCCEEDED.value]
    return succeeded and (failed == 2 if not lost else failed <= 2) and run["attempt"] >= 3


def _ends(run: Row, attempts: Sequence[Row]) -> list[str]:
    ends = [each["ended_as"] for each in attempts if each["run_id"] == run["run_id"]]
    return [each for each in ends if each not in NOT_JUDGED]


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
