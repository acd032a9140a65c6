"""The metrics that `python -m connectors.metrics` counts from the topic `status` alone.

The label `class` is a timeout class of the deployment, `none` (DAG runs, backfills, occurrences that were not queued),
or `other` (a class that is not configured any more). The fold is in `connectors/metrics/fold.py`.
"""

from __future__ import annotations

from observe.metric import counter, gauge, histogram
from schemas.reasons import OF_ATTEMPTS, ReasonCode
from schemas.words import NEVER_RAN, OPEN_STATES, AttemptEnd, RunKind, RunState

_STATES = tuple(each.value for each in RunState)
_OPEN = tuple(each.value for each in RunState if each in OPEN_STATES)
_NEVER = tuple(each.value for each in RunState if each in NEVER_RAN)
_KINDS = tuple(each.value for each in RunKind)
_FINAL = tuple(each.value for each in RunState if each.is_final)

NO_CLASS = "none"
OTHER = "other"
"""The value of `class`, `tenant` or `job_id` for what has no value of its own."""
LATE_KINDS = (RunKind.SCHEDULED.value, RunKind.REQUESTED.value, RunKind.DAG.value)
QUEUE_KINDS = tuple(each.value for each in RunKind if each not in {RunKind.DAG, RunKind.BACKFILL})
UNREADABLE_WHAT = ("record", "batch")

RUNS = counter(
    "tidemill_runs_total",
    "Transitions of runs into a state; for a final state, the runs that ended so.",
    "`dead` and `failed`: `tidemill runs --state dead` names the runs.",
    "state", "kind", "class",
    values={"state": _STATES, "kind": _KINDS},
)  # fmt: skip
TENANT_RUNS = counter(
    "tidemill_tenant_runs_total",
    "Runs that ended, by tenant, without nodes and backfills (their runs count); tenants beyond the first"
    " `TIDEMILL_METRICS_TENANTS` are `other`.",
    "As for tidemill_runs_total.",
    "tenant", "state", values={"state": _FINAL},
)  # fmt: skip
JOB_RUNS = counter(
    "tidemill_job_runs_total",
    "Runs that ended, by job or DAG, without nodes and backfills (their runs count); jobs beyond the first"
    " `TIDEMILL_METRICS_JOBS` are `other`.",
    "As for tidemill_runs_total.",
    "job_id", "state", values={"state": _FINAL},
)  # fmt: skip
OPEN_RUNS = gauge(
    "tidemill_open_runs",
    "Runs that have not ended, by state.",
    "If `queued` grows, see tidemill_ready_runs and tidemill_held_runs.",
    "state", "kind", "class",
    values={"state": _OPEN, "kind": _KINDS},
)  # fmt: skip
TENANT_OPEN = gauge(
    "tidemill_tenant_open_runs",
    "Runs that have not ended, by tenant, without nodes and backfills.",
    "As for tidemill_open_runs.",
    "tenant", "state", values={"state": _OPEN},
)  # fmt: skip
JOB_OPEN = gauge(
    "tidemill_job_open_runs",
    "Runs that have not ended, by job or DAG, without nodes and backfills.",
    "As for tidemill_open_runs.",
    "job_id", "state", values={"state": _OPEN},
)  # fmt: skip
NOT_RUN = counter(
    "tidemill_occurrences_not_run_total",
    "Occurrences and nodes that did not run, by reason code; a range of missed occurrences counts each.",
    "docs/reasons.md says what each code means, and what to do.",
    "state", "reason",
    values={"state": _NEVER, "reason": (each.value for each in ReasonCode)},
)  # fmt: skip
ATTEMPTS = counter(
    "tidemill_attempts_total",
    "Attempts that ended: `lost` are losses, `promoted` are promotions to the next class.",
    "`lost`: see the executors; `rejected`: executables or secrets are missing; `expired`: no slot was free.",
    "ended_as", "class", values={"ended_as": (each.value for each in AttemptEnd)},
)  # fmt: skip
ATTEMPT_REASONS = counter(
    "tidemill_attempt_reasons_total",
    "Attempts that ended, by reason code.",
    "docs/reasons.md says what each code means, and what to do.",
    "reason", values={"reason": sorted(each.value for each in OF_ATTEMPTS)},
)  # fmt: skip
RETRIES = counter(
    "tidemill_retries_total",
    "Processes that started after a failed, timed out, lost or rejected attempt of their run; a rerun begins anew.",
    "See tidemill_attempt_reasons_total.",
    "class",
)
LATENESS = histogram(
    "tidemill_run_lateness_seconds",
    "From the scheduled time of a run (its nominal time plus jitter; of a requested run the time that was asked for) to"
    " the start of its first process, of a scheduled DAG run to its opening; without backfills, reruns, nodes, and runs"
    " that waited for other runs of their job or DAG. It is the objective: 99.9 % below 5 s.",
    "See where the time goes: tidemill_run_queue_seconds and tidemill_hop_seconds.",
    "kind", "class", values={"kind": LATE_KINDS},
)  # fmt: skip
QUEUE_SECONDS = histogram(
    "tidemill_run_queue_seconds",
    "From the time at which a run was queued, or queued again, and was due, to the start of its process. A dispatch"
    " that expired does not begin a new wait.",
    "Add executors or slots of the class.",
    "kind", "class", values={"kind": QUEUE_KINDS},
)  # fmt: skip
ATTEMPT_SECONDS = histogram(
    "tidemill_attempt_seconds",
    "From the start of a process to its end, where both are known.",
    "Compare it with the limit of the class.",
    "class",
)
DAG_RUN_SECONDS = histogram("tidemill_dag_run_seconds", "From the start of a DAG run to its end.", "Nothing.")
LAST_SUCCESS = gauge(
    "tidemill_job_last_success_timestamp_seconds",
    "When a run of the job, or of the DAG, last succeeded, for the first 2,000 jobs. Off, unless"
    " `TIDEMILL_METRICS_LAST_SUCCESS` is true.",
    "If it is too long ago: `tidemill explain JOB`.",
    "job_id",
)
READ_LAG = gauge(
    "tidemill_status_lag_records",
    "Records of the topic `status` that are not counted here yet.",
    "If it grows, this process is too slow or not running.",
)
UNREADABLE = counter(
    "tidemill_status_unreadable_total",
    "Records of the topic `status` that could not be decoded, and batches that no client can read; they are skipped.",
    "`tidemill problems` names them; repair their producer.",
    "what", values={"what": UNREADABLE_WHAT},
)  # fmt: skip
FOLDED = (
    RUNS, TENANT_RUNS, JOB_RUNS, OPEN_RUNS, TENANT_OPEN, JOB_OPEN, NOT_RUN, ATTEMPTS, ATTEMPT_REASONS, RETRIES,
    LATENESS, QUEUE_SECONDS, ATTEMPT_SECONDS, DAG_RUN_SECONDS, UNREADABLE,
)  # fmt: skip
"""The metrics that the fold counts; LAST_SUCCESS is kept beside them."""
ALL = (*FOLDED, LAST_SUCCESS, READ_LAG)
