"""The codes that tell programs why a run, an attempt or a problem is in its state; a sentence tells users."""

from __future__ import annotations

from enum import StrEnum


class ReasonCode(StrEnum):
    """The codes of transitions, attempts and runs: what each means, and what to do. docs/reasons.md shows them."""

    OVERLAP_SKIPPED = "overlap_skipped"
    """`overlap_policy` skips it, because another run of its job was open. Other policies let it wait."""
    OVERLAP_WAITING = "overlap_waiting"
    """`overlap_policy` makes it wait until other runs of its job have ended."""
    OVERLAP_REPLACED = "overlap_replaced"
    """`overlap_policy` stops it, because a newer occurrence replaces it."""
    MAX_ACTIVE_EPOCHS = "max_active_epochs"
    """The DAG run waits until fewer runs of its DAG are open. Raise `max_active_epochs`."""
    PAUSED = "paused"
    """The job or DAG was paused. Resume it; a backfill runs what was skipped."""
    PAUSED_ON_FAILURE = "paused_on_failure"
    """The number of consecutive failed runs reached `pause_on_failure`. Repair the job, then resume it."""
    MAX_RUNS = "max_runs"
    """The job has had as many runs as `max_runs` allows. Raise it, or leave the job finished."""
    CATCHUP_SKIP = "catchup_skip"
    """It was later than `misfire_grace`, and `catchup_policy` is `skip`. A backfill can run it."""
    CATCHUP_LATEST = "catchup_latest"
    """Of several late occurrences only the newest runs. `catchup_policy = all` runs each."""
    CATCHUP_WINDOW = "catchup_window"
    """It was later than `catchup_window`. A backfill can run it."""
    START_DEADLINE = "start_deadline"
    """It did not start within `start_deadline`. Check whether executors have free slots."""
    RESUME_LIMIT = "resume_limit"
    """More occurrences were due than one resumption runs. A backfill can run the rest."""
    PAST = "past"
    """Its `@at` was in the past when its row was written. Request a run."""
    CLASS_LEARNED = "class_learned"
    """It starts in a longer timeout class, because the latest runs of its job needed one. Nothing to do."""
    CLASS_REMOVED = "class_removed"
    """Its timeout class was removed from the settings, so it continues in another. Set `timeout_class` of the job."""
    EXIT_CODE = "exit_code"
    """Its process ended with an exit code other than 0. Read its log."""
    SIGNAL = "signal"
    """A signal ended its process. Read its log; another program may have killed it."""
    OUT_OF_MEMORY = "out_of_memory"
    """Its process was probably killed for lack of memory. Raise its `memory` or its executor's, or use less."""
    DISK_FULL = "disk_full"
    """It wrote as much as its `disk` allows. Raise `disk`, or let the job write less."""
    TOO_MANY_PROCESSES = "too_many_processes"
    """It failed after it was refused a process, because it had `pids` of them. Raise `pids`, or start fewer."""
    TIMED_OUT = "timed_out"
    """Its process still ran at its limit. Set a longer `timeout` or a longer class."""
    PROMOTED = "promoted"
    """It reached the limit of its class and runs again in the next. `timeout_class` can save this attempt."""
    INVALID_RESULT = "invalid_result"
    """It wrote an invalid result to `$TIDEMILL_RESULT`. Repair the job."""
    RESULTS_TOO_LARGE = "results_too_large"
    """The results of its dependencies do not fit its dispatch. Let them return addresses instead of values."""
    CHECKPOINT_PROBLEM = "checkpoint_problem"
    """It succeeded, but its checkpoint was not kept or not used. Check S3."""
    LEASE_EXPIRED = "lease_expired"
    """Its executor or its supervisor sent nothing for the time of the lease. Check the executor and Kafka."""
    NOT_STARTED = "not_started"
    """An executor claimed it and did not start it in time. Check that executor, and the size of the executable."""
    EXECUTOR_STOPPED = "executor_stopped"
    """Its executor was stopped while it ran. Nothing to do: another attempt follows."""
    KILLED_BY_OTHER = "killed_by_other"
    """It was killed, but not by its owner. Nothing to do: another attempt follows."""
    RESULT_LOST = "result_lost"
    """Its result could not be stored. Check S3. A run that succeeded has no result then."""
    REJECTED = "rejected"
    """Its executor could not run it: no such executable, a wrong checksum, no secret for its tenant. Repair that."""
    EXPIRED = "expired"
    """No executor claimed its dispatch in time. Check whether executors of its class have free slots."""
    NO_CAPABLE_EXECUTOR = "no_capable_executor"
    """It waits for an executor that can give what its job asks for. Start one, or let the job ask for less."""
    UPSTREAM_FAILED = "upstream_failed"
    """Its trigger rule cannot hold, because nodes that it depends on failed. Repair and rerun these nodes."""
    TRIGGER_RULE = "trigger_rule"
    """Its trigger rule does not hold, although no node failed. Nothing to do."""
    SHORT_CIRCUIT = "short_circuit"
    """The node's exit code is one of its `skip_exit_codes`, so dependent nodes are skipped. Nothing to do."""
    NOT_FOLLOWED = "not_followed"
    """A node that it depends on chose other nodes. Nothing to do."""
    NODES_FAILED = "nodes_failed"
    """Nodes of the DAG run failed. Rerun the DAG run: the failed nodes and their dependent nodes run again."""
    DAG_TIMEOUT = "dag_timeout"
    """The DAG run was open for longer than `dag_timeout`, so it was stopped. Raise `dag_timeout`."""
    CANCELLED_BY_REQUEST = "cancelled_by_request"
    """A request cancelled it, or the DAG run or backfill that it belongs to."""
    TERMINATED_BY_REQUEST = "terminated_by_request"
    """A request stopped it without a grace period."""
    RERUN_BY_REQUEST = "rerun_by_request"
    """A request runs it again."""
    RETRIED_BY_REQUEST = "retried_by_request"
    """It waited for its next attempt, and a request starts that attempt now."""
    MARKED = "marked"
    """A request decides what the node counts as."""
    DELETED = "deleted"
    """Its job was deleted, and `on_delete` stops its runs."""
    KIND_CHANGED = "kind_changed"
    """Its job became a DAG, or its DAG a job."""
    BACKFILL = "backfill"
    """A backfill runs it; for a backfill: its progress."""
    BACKFILL_REFUSED = "backfill_refused"
    """The backfill is not possible. Read the sentence, and request another one."""
    BACKFILL_FAILED = "backfill_failed"
    """Runs of the backfill did not succeed. Repair the job, and backfill what failed."""
    DRY_RUN = "dry_run"
    """The backfill only reports what it would run."""
    INVALID_SCHEDULE = "invalid_schedule"
    """The schedule was changed to an invalid one. Repair it."""
    OTHER = "other"
    """A newer release has a code for it. Read the sentence."""

    @classmethod
    def _missing_(cls, value: object) -> ReasonCode:  # noqa: ARG003 - Enum's signature
        """During an upgrade a release reads codes that only the next release knows."""
        return cls.OTHER


OF_ATTEMPTS = frozenset(
    {
        ReasonCode.EXIT_CODE,
        ReasonCode.SIGNAL,
        ReasonCode.OUT_OF_MEMORY,
        ReasonCode.DISK_FULL,
        ReasonCode.TOO_MANY_PROCESSES,
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
        ReasonCode.NO_CAPABLE_EXECUTOR,
        ReasonCode.SHORT_CIRCUIT,
    }
)
"""The codes of ended attempts; the run gets the code of its last attempt."""
HOLDING = frozenset({ReasonCode.OVERLAP_WAITING, ReasonCode.MAX_ACTIVE_EPOCHS})
"""The codes of runs that wait for other runs of their job or DAG to end."""


class ProblemKind(StrEnum):
    DEAD_LETTER = "dead_letter"
    """An input that was set aside without an effect; the problem names its offset."""
    ALERT = "alert"
    """A problem of a job, a DAG, a run or the database, without a wrong input."""


class ProblemCode(StrEnum):
    """The codes of problems: what is wrong, and what to do. docs/reasons.md shows them."""

    RECORD_REFUSED = "record_refused"
    """A record is not valid for its topic, or is in the wrong partition. Repair its producer."""
    RECORD_FAILED = "record_failed"
    """The core fails on a record each time. Report the bug."""
    BATCH_UNREADABLE = "batch_unreadable"
    """No client can read a range of a topic. Repair its producer, and write the records again."""
    INPUT_LOST = "input_lost"
    """Records were deleted before they were applied. Raise `retention.ms` of the topic."""
    REQUEST_REFUSED = "request_refused"
    """A request is not possible. Read the sentence, and send a correct one."""
    DEFINITION_REFUSED = "definition_refused"
    """A definition is older than the known one. Run `tidemill restored`, or change its row."""
    STATUS_REFUSED = "status_refused"
    """The sink cannot read a record of `status`, or Postgres refuses its row. Read the sentence."""
    RUN_DEAD = "run_dead"
    """A run is dead after its retries. Repair its job, and rerun it."""
    PROCESSES_LEFT = "processes_left"
    """Processes of an attempt that ended cannot be killed and may still run. Read the sentence; see its host."""
    PAUSED_ON_FAILURE = "paused_on_failure"
    """A job's consecutive failed runs reached `pause_on_failure`. Repair and resume it."""
    QUARANTINED = "quarantined"
    """The core failed on a job and ignores it now. Change its definition, and report the bug."""
    INVALID_SCHEDULE = "invalid_schedule"
    """The schedule of a job is invalid. Repair it."""
    CLASS_UNKNOWN = "class_unknown"
    """The timeout class of a job is not configured, so it counts as null. Configure it, or set another."""
    DATABASE_RESTORED = "database_restored"
    """The database was restored from a backup, so its changes have no effect. Run `tidemill restored`."""
    DEFINITIONS_HEALED = "definitions_healed"
    """The streams had missed changes of jobs or DAGs, so a sink appended them again. Find out what lost them."""
    DEFINITIONS_DIFFER = "definitions_differ"
    """Jobs or DAGs differ between the database and the streams, and no sink heals them. Read the sentence."""
    OTHER = "other"
    """A newer release has a code for it, or another program wrote it. Read the sentence."""
