"""Why a run, an attempt or a problem is as it is, as a word for programs; the sentence beside it is for people."""

from __future__ import annotations

from enum import StrEnum


class ReasonCode(StrEnum):
    """Of a transition, an attempt and a run. Each line: what it means, and what to do about it. docs/reasons.md."""

    OVERLAP_SKIPPED = "overlap_skipped"
    """`overlap_policy` skips it: others of its job were open. Another policy lets it wait."""
    OVERLAP_WAITING = "overlap_waiting"
    """`overlap_policy` makes it wait until others of its job have ended."""
    OVERLAP_REPLACED = "overlap_replaced"
    """`overlap_policy` stops it: a newer occurrence takes its place."""
    MAX_ACTIVE_EPOCHS = "max_active_epochs"
    """The DAG run waits until fewer epochs of its DAG are open. Raise `max_active_epochs`."""
    PAUSED = "paused"
    """The job or DAG was paused. Resume it; a backfill runs what was skipped."""
    PAUSED_ON_FAILURE = "paused_on_failure"
    """`pause_on_failure` runs in a row ended badly. Repair the job, then resume it."""
    MAX_RUNS = "max_runs"
    """All runs that `max_runs` allows are made. Raise it, or leave the job finished."""
    CATCHUP_SKIP = "catchup_skip"
    """It was later than `misfire_grace`, and `catchup_policy` does not catch up. A backfill runs it."""
    CATCHUP_LATEST = "catchup_latest"
    """Of several late occurrences only the newest runs. `catchup_policy = all` runs each."""
    CATCHUP_WINDOW = "catchup_window"
    """It was later than `catchup_window`. A backfill runs it."""
    START_DEADLINE = "start_deadline"
    """It did not start within `start_deadline`. See whether executors have free slots."""
    RESUME_LIMIT = "resume_limit"
    """More was due than one change has run at once. A backfill runs the rest."""
    PAST = "past"
    """Its `@at` was over when its row was written. Ask for a run."""
    CLASS_LEARNED = "class_learned"
    """It begins in a longer timeout class, because the latest runs of its job needed one. Nothing to do."""
    CLASS_REMOVED = "class_removed"
    """Its timeout class was removed from the settings; it goes on in another. Set `timeout_class` of the job."""
    EXIT_CODE = "exit_code"
    """Its process ended with an exit code other than 0. Read its log."""
    SIGNAL = "signal"
    """A signal ended its process. Read its log; somebody else may have killed it."""
    OUT_OF_MEMORY = "out_of_memory"
    """Its process was killed for lack of memory, as far as is known. Give the executor more, or the job less."""
    TIMED_OUT = "timed_out"
    """Its process was still there at its limit. Give it a longer `timeout` or a later class."""
    PROMOTED = "promoted"
    """It outlived the limit of its class and goes on in the next. Nothing to do; `timeout_class` saves the attempt."""
    INVALID_RESULT = "invalid_result"
    """What it wrote to `$TIDEMILL_RESULT` is wrong. Repair the job."""
    RESULTS_TOO_LARGE = "results_too_large"
    """The results of its dependencies do not fit its dispatch. Hand on addresses instead of values."""
    CHECKPOINT_PROBLEM = "checkpoint_problem"
    """It ended well, but its checkpoint was not kept or not used. Look at the storage."""
    LEASE_EXPIRED = "lease_expired"
    """Its executor was silent for a lease, or its supervisor was. See whether the executor and Kafka are there."""
    NOT_STARTED = "not_started"
    """An executor took it and did not start it in time. Look at that executor, and at the size of the binary."""
    EXECUTOR_STOPPED = "executor_stopped"
    """Its executor was stopped while it ran. Nothing to do: it is tried elsewhere."""
    KILLED_BY_OTHER = "killed_by_other"
    """It was killed, but not by its owner. Nothing to do: it is tried again."""
    RESULT_LOST = "result_lost"
    """Its result could not be stored. Look at S3."""
    REJECTED = "rejected"
    """Its executor could not run it: no such binary, a wrong checksum, no such secret. Repair that."""
    EXPIRED = "expired"
    """No executor took its dispatch in time. See whether executors of its class have free slots."""
    UPSTREAM_FAILED = "upstream_failed"
    """Its trigger rule cannot hold, because nodes that it depends on failed. Repair and rerun those."""
    TRIGGER_RULE = "trigger_rule"
    """Its trigger rule does not hold, although no node failed. Nothing to do."""
    SHORT_CIRCUIT = "short_circuit"
    """The node said by its exit code that nothing that depends on it is followed. Nothing to do."""
    NOT_FOLLOWED = "not_followed"
    """A node that it depends on chose others. Nothing to do."""
    NODES_FAILED = "nodes_failed"
    """Nodes of the DAG run failed. Rerun the DAG run: what failed runs again, and what depends on it."""
    DAG_TIMEOUT = "dag_timeout"
    """The DAG run was open for longer than `dag_timeout`, and was stopped."""
    CANCELLED_BY_REQUEST = "cancelled_by_request"
    """A request, or somebody's word about a DAG run or backfill that it is part of, cancelled it."""
    TERMINATED_BY_REQUEST = "terminated_by_request"
    """A request stopped it without a grace."""
    RERUN_BY_REQUEST = "rerun_by_request"
    """A request has it run again."""
    RETRIED_BY_REQUEST = "retried_by_request"
    """It waited for its next attempt, and a request has it attempted now."""
    MARKED = "marked"
    """A request says what the node counts as."""
    DELETED = "deleted"
    """Its job was deleted, and `on_delete` stops its runs."""
    KIND_CHANGED = "kind_changed"
    """Its job has become a DAG, or its DAG a job."""
    BACKFILL = "backfill"
    """A backfill has it run; of a backfill itself: how far it is."""
    BACKFILL_REFUSED = "backfill_refused"
    """The backfill cannot be carried out. Ask for another one."""
    BACKFILL_FAILED = "backfill_failed"
    """Runs of the backfill did not succeed. Repair the job, and ask for a backfill of what failed."""
    DRY_RUN = "dry_run"
    """The backfill only says what it would have run."""
    INVALID_SCHEDULE = "invalid_schedule"
    """The schedule was changed to one that cannot be followed. Repair it."""
    OTHER = "other"
    """A newer release has a word for it. Read the sentence."""

    @classmethod
    def _missing_(cls, value: object) -> ReasonCode:  # noqa: ARG003 - the signature is that of Enum
        """A release reads what the next one writes, while it is rolled out or back."""
        return cls.OTHER


OF_ATTEMPTS = frozenset(
    {
        ReasonCode.EXIT_CODE,
        ReasonCode.SIGNAL,
        ReasonCode.OUT_OF_MEMORY,
        ReasonCode.TIMED_OUT,
        ReasonCode.PROMOTED,
        ReasonCode.INVALID_RESULT,
        ReasonCode.CHECKPOINT_PROBLEM,
        ReasonCode.LEASE_EXPIRED,
        ReasonCode.NOT_STARTED,
        ReasonCode.EXECUTOR_STOPPED,
        ReasonCode.KILLED_BY_OTHER,
        ReasonCode.RESULT_LOST,
        ReasonCode.REJECTED,
        ReasonCode.EXPIRED,
        ReasonCode.SHORT_CIRCUIT,
    }
)
"""How attempts end: a run whose attempt ended so carries the same code."""
HOLDING = frozenset({ReasonCode.OVERLAP_WAITING, ReasonCode.MAX_ACTIVE_EPOCHS})
"""The run waits for others of its job or DAG to end."""


class ProblemKind(StrEnum):
    DEAD_LETTER = "dead_letter"
    """An input that was set aside: it had no effect, and lies where the problem says."""
    ALERT = "alert"
    """What people have to know of a job, a DAG, a run or the database; no input is to blame."""


class ProblemCode(StrEnum):
    """What is wrong, and what to do about it. docs/reasons.md."""

    RECORD_REFUSED = "record_refused"
    """A record is not what its topic is for, or lies in the wrong partition. Repair who wrote it."""
    RECORD_FAILED = "record_failed"
    """The core failed on a record, again and again. Report the bug."""
    BATCH_UNREADABLE = "batch_unreadable"
    """No client can read a stretch of a topic. Repair who wrote it; write again what it said."""
    INPUT_LOST = "input_lost"
    """Records were deleted before they were applied. Let `retention.ms` of the topic be longer."""
    REQUEST_REFUSED = "request_refused"
    """A request cannot be carried out. Ask again, as the sentence says."""
    DEFINITION_REFUSED = "definition_refused"
    """A definition is older than what is known. `tidemill restored`, or any change of its row, lets it count."""
    STATUS_REFUSED = "status_refused"
    """The sink cannot read a record of `status`, or Postgres refuses its row. Read the sentence."""
    RUN_DEAD = "run_dead"
    """A run was given up after its retries. Repair its job, and rerun it."""
    PAUSED_ON_FAILURE = "paused_on_failure"
    """So many runs of a job ended badly that its occurrences are skipped. Repair and resume it."""
    QUARANTINED = "quarantined"
    """The core failed on a job, which is left alone. Change its definition, and report the bug."""
    INVALID_SCHEDULE = "invalid_schedule"
    """The schedule of a job cannot be followed. Repair it."""
    CLASS_UNKNOWN = "class_unknown"
    """The timeout class of a job is not configured; it counts as unset. Configure it, or name another."""
    DATABASE_RESTORED = "database_restored"
    """The database was restored from a backup, and its changes are not used. `tidemill restored` heals it."""
    OTHER = "other"
    """A newer release has a word for it, or a stranger wrote it. Read the sentence."""
