"""STATUS_LIE: the read model says one thing of a run, and its processes say another. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.judge.executions import Execution, Seen
from tests.chaos.judge.history import Attempt, Run
from tests.chaos.judge.violations import Kind, Violation, evidence

NO_PROCESS = frozenset({"dag", "backfill"})
STOPPED = frozenset({"cancelled", "timed_out", "promoted", "lost"})
"""The ends of an attempt that its owner or its executor decided: the process may have come to its own end just then."""


def lies(seen: Seen) -> Iterator[Violation]:
    for run_id, executions in seen.executions.items():
        run = seen.runs.get(run_id)
        if run is None:
            sentence = f"{executions[0].name} ran, and the read model does not know its run"
            yield _lie(run_id, sentence, *executions[0].lines)
            continue
        for execution in executions:
            yield from _of_execution(seen, run, execution)
    for run in seen.runs.values():
        if run.kind not in NO_PROCESS:
            yield from _of_run(seen, run)


def _of_execution(seen: Seen, run: Run, execution: Execution) -> Iterator[Violation]:
    attempt, known = seen.attempt(execution), seen.attempts.get(run.run_id, [])
    if attempt is None:
        if known and execution.token > known[0].token:  # earlier ones may be cut off, or are of before a rerun
            yield _lie(
                run.run_id, f"{execution.name} ran, and the read model has no such attempt", *execution.lines, run
            )
        return
    if execution.end is None or execution.term is not None or attempt.ended_as is None:
        return
    code, expected = execution.end.written.code, "succeeded" if execution.succeeded else "failed"
    if attempt.ended_as in STOPPED:
        yield from _stopped(seen, execution, attempt)
    elif attempt.ended_as != expected or attempt.exit_code != code:
        says = f"the read model says {attempt.ended_as} with exit code {attempt.exit_code}"
        yield _lie(run.run_id, f"{execution.name} ended with exit code {code}, and {says}", execution.end, attempt)


def _stopped(seen: Seen, execution: Execution, attempt: Attempt) -> Iterator[Violation]:
    """Its end was not believed. That is right only if the stop came at the same time, or if the report was lost."""
    assert execution.end is not None
    if attempt.ended_as == "lost" or attempt.finished_at is None:
        return
    if attempt.finished_at - execution.end.at > seen.history.bounds.stop:
        says = f"the read model says {attempt.ended_as} at {attempt.finished_at:%H:%M:%S.%f}"
        sentence = f"{execution.name} had ended with exit code {execution.end.written.code}, and {says}"
        yield _lie(execution.run_id, sentence, execution.end, attempt)


def _of_run(seen: Seen, run: Run) -> Iterator[Violation]:
    executions = seen.executions.get(run.run_id, [])
    for attempt in seen.attempts.get(run.run_id, []):
        ended_by_itself = attempt.ended_as in ("succeeded", "failed") and (attempt.exit_code or 0) <= 128
        mine = [each for each in executions if each.token == attempt.token]
        if ended_by_itself and attempt.started_at is not None and not any(each.end for each in mine):
            says = f"attempt {attempt.attempt} {attempt.ended_as} with exit code {attempt.exit_code}"
            sentence = f"the read model says that {says}, and no process of {run.run_id} wrote that end"
            yield _lie(run.run_id, sentence, attempt, *(line for each in mine for line in each.lines))
    if run.state == "succeeded" and not (executions and executions[-1].succeeded) and run.reason_code != "marked":
        sentence = f"the read model says that {run.run_id} succeeded, and its last process did not write such an end"
        yield _lie(run.run_id, sentence, run, *(line for each in executions for line in each.lines))
    if run.state in ("failed", "dead") and executions and executions[-1].succeeded:
        yield from _failed_in_spite_of_success(seen, run, executions[-1])


def _failed_in_spite_of_success(seen: Seen, run: Run, execution: Execution) -> Iterator[Violation]:
    attempt = seen.attempt(execution)
    if attempt is None or attempt.ended_as != "lost":
        sentence = f"the read model says that {run.run_id} is {run.state}, and its last process succeeded"
        yield _lie(run.run_id, sentence, run, attempt, *execution.lines)


def _lie(run_id: str, sentence: str, *values: object) -> Violation:
    return Violation(kind=Kind.STATUS_LIE, run_id=run_id, sentence=sentence, evidence=evidence(*values))
