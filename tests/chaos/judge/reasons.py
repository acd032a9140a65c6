"""Whether a stated reason holds: a reason that nobody can check is no reason. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.chaos.judge.executions import Seen
from tests.chaos.judge.history import Run, Spec
from tests.chaos.judge.windows import Windows

MISFIRE_GRACE = timedelta(seconds=60)
"""The default of `misfire_grace`, which the load does not change."""
LATE = frozenset({"catchup_latest", "catchup_skip"})
OF_INFRASTRUCTURE = frozenset(
    {"lease_expired", "not_started", "executor_stopped", "killed_by_other", "result_lost", "rejected", "expired"}
)


def holds(seen: Seen, run: Run, at: datetime, specs: Sequence[Spec | None], faults: Windows) -> bool:
    """`at`: the occurrence, or when the request was sent. `specs`: the definitions that may have decided."""
    known = [each for each in specs if each is not None]
    policies = {each.overlap_policy for each in known}
    match run.reason_code:
        case "overlap_skipped":
            return bool(policies & {"skip", "buffer_one"}) and (_was_open(seen, run, at) or _one_waited(seen, run, at))
        case "overlap_replaced":
            return bool(policies & {"cancel_other", "terminate_other"})
        case "paused":
            return any(each.paused for each in known)
        case "cancelled_by_request" | "terminated_by_request":
            return stop_was_asked(seen, run)
        case "deleted":
            return _may_be_deleted(seen, run)
        case code:
            until = at + MISFIRE_GRACE if code in LATE else run.finished_at or seen.history.until
            return code in LATE | OF_INFRASTRUCTURE and faults.excuses(at, until)


def stop_was_asked(seen: Seen, run: Run) -> bool:
    return any(
        each.kind in ("cancel", "terminate")
        and each.outcome != "refused"
        and each.run_id in (None, run.run_id, run.run_id.partition("/")[0])
        for each in seen.asked.get(run.job_id, [])
    )


def _was_open(seen: Seen, run: Run, at: datetime) -> bool:
    """The run that it names was open then."""
    blocker = seen.runs.get(run.blocked_by or "")
    if blocker is None or blocker.job_id != run.job_id:
        return False
    slack = seen.history.bounds.clocks
    return blocker.finished_at is None or blocker.finished_at + slack >= at


def _one_waited(seen: Seen, run: Run, at: datetime) -> bool:
    """It names no run, and an earlier occurrence of the job had not started yet (`buffer_one`)."""
    if run.blocked_by is not None:
        return False
    slack = seen.history.bounds.clocks
    for each in seen.runs.values():
        if (
            each.job_id == run.job_id
            and each.kind == "scheduled"
            and each.nominal_time < at
            and each.missed_from is None
        ):
            started = [execution.start for execution in seen.executions.get(each.run_id, [])]
            waited_until = min(started, default=each.finished_at or seen.history.until)
            if each.state != "skipped" and waited_until + slack >= at:
                return True
    return False


def _may_be_deleted(seen: Seen, run: Run) -> bool:
    """An open run may be stopped by the deletion of its job if the definition before said so."""
    before: Spec | None = None
    for each in seen.definitions.get(run.job_id, []):
        if each.spec is None and before is not None and before.on_delete == "cancel":
            return True
        before = each.spec
    return False
