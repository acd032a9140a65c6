"""Turns the reason codes of runs into sentences and advice."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.reasons import ReasonCode
from schemas.words import RunKind, RunState
from tidemill.explain.nodes import causes
from tidemill.explain.telling import Fact, Local
from tidemill.explain.why_no_run import backfill_of
from tidemill.target import Row

WHY = {
    ReasonCode.OVERLAP_SKIPPED: "its overlap_policy allows no other run ({text})",
    ReasonCode.PAUSED: "it was {text}",
    ReasonCode.PAUSED_ON_FAILURE: "pause_on_failure stopped it after too many failures in a row ({text})",
    ReasonCode.MAX_RUNS: "max_runs was reached ({text})",
    ReasonCode.CATCHUP_SKIP: "it was decided too late, and its catchup_policy does not catch up ({text})",
    ReasonCode.CATCHUP_LATEST: (
        "it was decided too late, and catchup_policy latest runs only the newest late occurrence ({text})"
    ),
    ReasonCode.CATCHUP_WINDOW: "it was decided later than its catchup_window allows ({text})",
    ReasonCode.PAST: "its time was in the past when its row was written ({text})",
    ReasonCode.RESUME_LIMIT: "more occurrences were due during its pause than one resume runs ({text})",
    ReasonCode.START_DEADLINE: "it could not start within its start_deadline ({text})",
}
"""The meaning of a code; `text` is the run's reason. For other codes the reason is enough."""

BETTER = {
    ReasonCode.OVERLAP_SKIPPED: "another overlap_policy, such as buffer_all, lets it wait for the other",
    ReasonCode.CATCHUP_SKIP: (
        "catchup_policy latest or all runs late occurrences; within misfire_grace a late occurrence always runs"
    ),
    ReasonCode.CATCHUP_LATEST: "catchup_policy all runs each late occurrence",
    ReasonCode.CATCHUP_WINDOW: "a longer catchup_window allows it to run later",
    ReasonCode.START_DEADLINE: (
        "tidemill status shows whether the executors have free slots; a longer start_deadline lets it wait longer"
    ),
    ReasonCode.MAX_RUNS: "a greater max_runs allows more runs",
}
MORE = {
    ReasonCode.OUT_OF_MEMORY: "a greater memory, or an executor with more of it, lets it use more",
    ReasonCode.DISK_FULL: "a greater disk lets it write more",
    ReasonCode.TOO_MANY_PROCESSES: "a greater pids lets it start more",
}
MORE_EPOCHS = "a greater max_active_epochs allows more open DAG runs"
SAYS_HOW = frozenset(
    {
        (RunState.TIMED_OUT, ReasonCode.TIMED_OUT),
        (RunState.CANCELLED, ReasonCode.CANCELLED_BY_REQUEST),
        (RunState.CANCELLED, ReasonCode.TERMINATED_BY_REQUEST),
        (RunState.CANCELLED, ReasonCode.DELETED),
        (RunState.CANCELLED, ReasonCode.KIND_CHANGED),
    }
)
"""For these, the reason starts with how the run ended: `cancelled: a test`."""


class InTheWay(msgspec.Struct, frozen=True, kw_only=True):
    """The run for which an occurrence was skipped."""

    run: Row
    """The other run, in its current state."""
    deleted_at: datetime | None = None
    """When the other run's job was deleted; a new job has its name."""


def fact_of(other: InTheWay, local: Local) -> Fact:
    run = other.run
    of_deleted = (
        f"; it belongs to the {run['job_id']} that was deleted at {local.said(other.deleted_at)}"
        if other.deleted_at
        else ""
    )
    sentence = f"{run['run_id']}, which blocked it, was queued; now it is {run['state']}{of_deleted}."
    return Fact(name="in_the_way", at=run["queued_at"], sentence=sentence, data={"run_id": run["run_id"]})


def advice_on_open(run: Row) -> str:
    """How to end an open run that blocks another."""
    run_id = run["run_id"]
    if run["state"] == RunState.RETRY_WAIT.value:
        return f"tidemill rerun '{run_id}' starts its next attempt now, and tidemill cancel '{run_id}' ends it"
    return f"tidemill explain '{run_id}' explains that run, and tidemill cancel '{run_id}' ends it"


def why_skipped(run: Row) -> str:
    text = run["reason"] or run["state"]
    return WHY.get(run["reason_code"], "{text}").format(text=text)


def advice_on_skip(
    run: Row, asked_at: datetime | None, nodes: list[Row], in_the_way: InTheWay | None = None
) -> list[str]:
    code = run["reason_code"]
    if run["kind"] == RunKind.NODE.value:
        return [
            f"tidemill explain '{each}' explains why that node failed" for each in causes(nodes, run["node_id"])[:3]
        ]
    is_still_there = in_the_way is not None and not RunState(in_the_way.run["state"]).is_final
    advice = [advice_on_open(in_the_way.run)] if in_the_way and is_still_there else []
    advice += [BETTER[code]] if code in BETTER else []
    if code in {ReasonCode.PAUSED, ReasonCode.PAUSED_ON_FAILURE}:
        advice.append(f"tidemill {_group(run)} resume {run['job_id']} resumes it, unless it is resumed already")
    if run["kind"] == RunKind.DAG.value and code == ReasonCode.OVERLAP_SKIPPED:
        advice.append(MORE_EPOCHS)
    if (run["missed_count"] or 1) > 1:
        first, last = (asked_at, asked_at) if asked_at else (run["missed_from"], run["missed_to"])
        return [*advice, f"{backfill_of(run['job_id'], first, last)} runs it now"]
    first = run["missed_from"] or run["nominal_time"]
    is_plain = not run["missed_count"] and not run["dag_id"]
    again = f"tidemill rerun '{run['run_id']}'" if is_plain else backfill_of(run["job_id"], first, first)
    return [*advice, f"{again} runs it now"]


def advice_on_failure(run: Row, nodes: list[Row]) -> list[str]:
    run_id = run["run_id"]
    if run["kind"] == RunKind.DAG.value:
        failed = [each["run_id"] for each in nodes if each["state"] in {"failed", "dead", "timed_out", "cancelled"}]
        found = [f"tidemill explain '{each}' explains why that node failed" for each in failed[:3]]
        return [*found, f"tidemill rerun '{run_id}' runs the failed nodes and their dependents again"]
    advice = [f"tidemill logs '{run_id}' shows what it wrote"] if run["started_at"] else []
    if run["kind"] != RunKind.BACKFILL.value:
        advice.append(f"tidemill rerun '{run_id}' runs it again")
    if run["kind"] == RunKind.NODE.value:
        advice.append(f"tidemill dag mark '{run_id}' skipped lets its DAG run continue without it")
    if run["state"] == RunState.TIMED_OUT.value:
        advice.append("a longer timeout, or a later class, gives it more time")
    return advice + [MORE[code] for code in MORE if run["reason_code"] == code]


def _group(run: Row) -> str:
    return "dag" if run["dag_id"] else "job"
