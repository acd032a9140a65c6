"""What processes must never do, whatever was asked for: DOUBLE, ZOMBIE, OVERLAP, a start after the end. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

from tests.chaos.judge.executions import Execution, Seen, owner_of
from tests.chaos.judge.history import Named
from tests.chaos.judge.violations import Kind, Violation, evidence

SERIAL = frozenset({"skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other"})
STOPPED_AT_A_LIMIT = frozenset({"timed_out", "promoted"})
FINAL = frozenset({"succeeded", "failed", "timed_out", "cancelled", "dead", "skipped", "missed", "upstream_failed"})


def doubles(seen: Seen) -> Iterator[Violation]:
    for executions in seen.executions.values():
        for before, after in pairwise(executions):
            if before.token == after.token:
                yield _double(before, after, "the same attempt was executed twice", None)
            elif not _may_be_followed(seen, before) and not rerun_between(seen, before, after):
                done = "had succeeded" if before.succeeded else "had not ended by its own account"
                yield _double(before, after, f"attempt {before.attempt} {done}", _explanation(seen, before))


def _may_be_followed(seen: Seen, execution: Execution) -> bool:
    """It failed, or it was stopped: a signal may end a process before it can write a line."""
    attempt = seen.attempt(execution)
    if execution.failed or execution.term is not None:
        return True
    if execution.end is not None or attempt is None or attempt.ended_as == "lost":
        return False
    return attempt.ended_as in STOPPED_AT_A_LIMIT or (attempt.exit_code or 0) > 128


def _double(before: Execution, after: Execution, why: str, explained_by: str | None) -> Violation:
    return Violation(
        kind=Kind.DOUBLE,
        run_id=after.run_id,
        sentence=f"{after.name} started, and {why}",
        evidence=evidence(*before.lines, *after.lines),
        explained_by=explained_by,
    )


def _explanation(seen: Seen, execution: Execution) -> str | None:
    """The lost lease that the read model shows and the audit names. Other ends leave a line of the process."""
    attempt = seen.attempt(execution)
    if attempt is None and _is_before_a_rerun(seen, execution):
        return "a rerun has begun the history of the run anew since"
    if attempt is None or attempt.ended_as != "lost":
        return None
    if Named(run_id=execution.run_id, token=execution.token) not in seen.history.named:
        return None
    return f"attempt {attempt.attempt} (token {attempt.token}) was lost: {attempt.reason_code}, {attempt.reason}"


def _is_before_a_rerun(seen: Seen, execution: Execution) -> bool:
    run, attempts = seen.runs.get(execution.run_id), seen.attempts.get(execution.run_id, [])
    return run is not None and run.rerun_id is not None and all(each.token > execution.token for each in attempts)


def rerun_between(seen: Seen, before: Execution, after: Execution) -> bool:
    """A rerun was asked for before the later one, and its request may have been carried out after the earlier one."""
    return any(
        each.kind == "rerun"
        and each.outcome != "refused"
        and before.run_id in (each.run_id, f"{each.run_id}/{before.run_id.rpartition('/')[2]}")
        and before.start <= each.answered
        and each.sent <= after.start
        for each in seen.asked.get(owner_of(before.run_id), [])
    )


def zombies(seen: Seen) -> Iterator[Violation]:
    bounds = seen.history.bounds
    for executions in seen.executions.values():
        for execution in executions:
            later = next((each for each in executions if each.token > execution.token), None)
            if later is not None and execution.last > later.start + bounds.instant:
                yield _zombie(execution, f"{later.name} had started", later.lines[0])
                continue
            attempt = seen.attempt(execution)
            if attempt is None or attempt.finished_at is None:
                continue
            if execution.last > attempt.finished_at + bounds.cluster_clock:
                yield _zombie(execution, f"its attempt had ended as {attempt.ended_as}", attempt)


def _zombie(execution: Execution, why: str, beside: object) -> Violation:
    return Violation(
        kind=Kind.ZOMBIE,
        run_id=execution.run_id,
        sentence=f"{execution.name} was alive at {execution.last:%H:%M:%S.%f}, and {why}",
        evidence=evidence(*execution.lines, beside),
    )


def late_starts(seen: Seen) -> Iterator[Violation]:
    """A process that started after the end of its run was final."""
    bounds = seen.history.bounds
    for run_id, executions in seen.executions.items():
        final = [each for each in seen.transitions.get(run_id, []) if each.state in FINAL]
        run = seen.runs.get(run_id)
        if not final or run is None or run.state not in FINAL:
            continue
        for execution in executions:
            if execution.start > final[-1].at + bounds.cluster_clock:
                yield Violation(
                    kind=Kind.GHOST,
                    run_id=run_id,
                    sentence=f"{execution.name} started after its run was {final[-1].state}",
                    evidence=evidence(execution.lines[0], final[-1], run),
                )


def overlaps(seen: Seen) -> Iterator[Violation]:
    """Only occurrences keep to the policy: a request runs at once, and so does a rerun."""
    for owner, executions in _by_job(seen).items():
        busy: Execution | None = None
        for execution in sorted(executions, key=lambda each: each.start):
            if busy is not None and _is_overlap(seen, owner, busy, execution):
                yield Violation(
                    kind=Kind.OVERLAP,
                    run_id=execution.run_id,
                    sentence=f"{execution.name} started while {busy.name} was alive",
                    evidence=evidence(execution.lines[0], *busy.lines),
                )
            busy = execution if busy is None or execution.last > busy.last else busy


def _by_job(seen: Seen) -> dict[str, list[Execution]]:
    found: dict[str, list[Execution]] = defaultdict(list)
    for run_id, executions in seen.executions.items():
        if "/" not in run_id:
            found[owner_of(run_id)] += executions
    return found


def _is_overlap(seen: Seen, owner: str, busy: Execution, execution: Execution) -> bool:
    bounds = seen.history.bounds
    if busy.run_id == execution.run_id or busy.last <= execution.start + bounds.instant:
        return False
    if _runs_at_once(seen, execution) or not is_serial(seen, owner, execution.start):
        return False
    # Of a request, the occurrence knows only if it was open at the occurrence's own time.
    return not _runs_at_once(seen, busy) or busy.start + bounds.clocks < execution.nominal


def _runs_at_once(seen: Seen, execution: Execution) -> bool:
    run = seen.runs.get(execution.run_id)
    return "#" in execution.run_id or (run is not None and run.rerun_id is not None)


def is_serial(seen: Seen, owner: str, at: datetime) -> bool:
    """Whether all definitions that may have been in force allow one run at a time."""
    specs = seen.specs_at(owner, at)
    return bool(specs) and all(spec is not None and spec.overlap_policy in SERIAL for spec in specs)
