"""The reasons that runs carry, as sentences for people, and what can be done about each."""

from __future__ import annotations

from datetime import datetime

import msgspec

from schemas.reasons import ReasonCode
from schemas.words import RunKind, RunState
from tidemill.explain.nodes import causes
from tidemill.explain.telling import Fact, Local
from tidemill.explain.why_not import backfill_of
from tidemill.place import Row

WHY = {
    ReasonCode.OVERLAP_SKIPPED: "its overlap_policy lets no more in ({text})",
    ReasonCode.PAUSED: "it was {text}",
    ReasonCode.PAUSED_ON_FAILURE: "it had failed so often in a row that pause_on_failure stopped it ({text})",
    ReasonCode.MAX_RUNS: "all runs that max_runs allows were made ({text})",
    ReasonCode.CATCHUP_SKIP: "it was decided too late, and its catchup_policy does not catch up ({text})",
    ReasonCode.CATCHUP_LATEST: (
        "it was decided too late, and of several late ones only the newest runs (catchup_policy latest; {text})"
    ),
    ReasonCode.CATCHUP_WINDOW: "it was decided too late: longer ago than catchup_window ({text})",
    ReasonCode.PAST: "its time was over when its row was written ({text})",
    ReasonCode.RESUME_LIMIT: "more was due during its pause than one resumption runs ({text})",
    ReasonCode.START_DEADLINE: "it could not start within its start_deadline ({text})",
}
"""What a code means to one who asks; `text` is the sentence beside it. Of other codes that says it all."""

BETTER = {
    ReasonCode.OVERLAP_SKIPPED: (
        "another overlap_policy (buffer_one, buffer_all, allow_all) lets it wait, or run beside the other"
    ),
    ReasonCode.CATCHUP_SKIP: ("catchup_policy latest or all catches up; misfire_grace says how late is merely late"),
    ReasonCode.CATCHUP_LATEST: "catchup_policy all would have run each of them",
    ReasonCode.CATCHUP_WINDOW: "a longer catchup_window would have had it run",
    ReasonCode.START_DEADLINE: (
        "tidemill status shows whether the executors have free slots; start_deadline may be longer"
    ),
    ReasonCode.MAX_RUNS: "a greater max_runs lets it go on",
}
MORE_EPOCHS = "a greater max_active_epochs lets more DAG runs be open at once"
SAYS_HOW = frozenset(
    {
        (RunState.TIMED_OUT, ReasonCode.TIMED_OUT),
        (RunState.CANCELLED, ReasonCode.CANCELLED_BY_REQUEST),
        (RunState.CANCELLED, ReasonCode.TERMINATED_BY_REQUEST),
        (RunState.CANCELLED, ReasonCode.DELETED),
        (RunState.CANCELLED, ReasonCode.KIND_CHANGED),
    }
)
"""The sentence begins with how the run ended: `cancelled: a test`."""


class InTheWay(msgspec.Struct, frozen=True, kw_only=True):
    """The run for which an occurrence was skipped."""

    run: Row
    """As it is now."""
    deleted_at: datetime | None = None
    """It is a run of the job of this name that was deleted then."""


def fact_of(other: InTheWay, local: Local) -> Fact:
    run = other.run
    of_deleted = (
        f"; it is of the {run['job_id']} that was deleted at {local.said(other.deleted_at)}" if other.deleted_at else ""
    )
    sentence = f"{run['run_id']}, which was in its way, was queued; now it is {run['state']}{of_deleted}."
    return Fact(name="in_the_way", at=run["queued_at"], sentence=sentence, data={"run_id": run["run_id"]})


def advice_on_open(run: Row) -> str:
    """How to get a run out of the way."""
    run_id = run["run_id"]
    if run["state"] == RunState.RETRY_WAIT.value:
        return f"tidemill rerun '{run_id}' has it attempted now, and tidemill cancel '{run_id}' ends it"
    return f"tidemill explain '{run_id}' says what that one does, and tidemill cancel '{run_id}' ends it"


def why_skipped(run: Row) -> str:
    text = run["reason"] or run["state"]
    return WHY.get(run["reason_code"], "{text}").format(text=text)


def advice_on_skip(
    run: Row, asked_at: datetime | None, nodes: list[Row], in_the_way: InTheWay | None = None
) -> list[str]:
    code = run["reason_code"]
    if run["kind"] == RunKind.NODE.value:
        return [f"tidemill explain '{each}' says why that one failed" for each in causes(nodes, run["node_id"])[:3]]
    is_still_there = in_the_way is not None and not RunState(in_the_way.run["state"]).is_final
    advice = [advice_on_open(in_the_way.run)] if in_the_way and is_still_there else []
    advice += [BETTER[code]] if code in BETTER else []
    if code in {ReasonCode.PAUSED, ReasonCode.PAUSED_ON_FAILURE}:
        advice.append(f"tidemill {_group(run)} resume {run['job_id']} lets it go on, if it has not since")
    if run["kind"] == RunKind.DAG.value and code == ReasonCode.OVERLAP_SKIPPED:
        advice.append(MORE_EPOCHS)
    if (run["missed_count"] or 1) > 1:
        first, last = (asked_at, asked_at) if asked_at else (run["missed_from"], run["missed_to"])
        return [*advice, f"{backfill_of(run['job_id'], first, last)} runs it all the same"]
    first = run["missed_from"] or run["nominal_time"]
    is_plain = not run["missed_count"] and not run["dag_id"]
    again = f"tidemill rerun '{run['run_id']}'" if is_plain else backfill_of(run["job_id"], first, first)
    return [*advice, f"{again} runs it all the same"]


def advice_on_failure(run: Row, nodes: list[Row]) -> list[str]:
    run_id = run["run_id"]
    if run["kind"] == RunKind.DAG.value:
        failed = [each["run_id"] for each in nodes if each["state"] in {"failed", "dead", "timed_out", "cancelled"}]
        found = [f"tidemill explain '{each}' says why that node failed" for each in failed[:3]]
        return [*found, f"tidemill rerun '{run_id}' runs again what failed, and what depends on it"]
    advice = [f"tidemill logs '{run_id}' shows what it wrote"] if run["started_at"] else []
    if run["kind"] != RunKind.BACKFILL.value:
        advice.append(f"tidemill rerun '{run_id}' runs it again")
    if run["kind"] == RunKind.NODE.value:
        advice.append(f"tidemill dag mark '{run_id}' skipped lets its DAG run go on without it")
    if run["state"] == RunState.TIMED_OUT.value:
        advice.append("a longer timeout, or a later class, gives it more time")
    return advice


def _group(run: Row) -> str:
    return "dag" if run["dag_id"] else "job"
