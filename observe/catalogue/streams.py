"""The metrics of a stream worker. A series with a partition exists only where its owner is."""

from __future__ import annotations

from observe.metric import BYTES, COUNTS, counter, gauge, histogram

WATERMARK_LAG = gauge(
    "tidemill_watermark_lag_seconds",
    "How far the watermark of an owner is behind the cluster time: occurrences in between are not decided yet; up to"
    " 3 s are normal. While the owner cannot work, the lag counts from its last watermark.",
    "Above 30 s nothing becomes due in this partition: see the worker's log, and whether Kafka accepts commits.",
    "partition",
)
APPLIED_LAG = gauge(
    "tidemill_applied_lag_records",
    "The offsets of an input topic after the last one that the owner has applied, as the watchdog saw them in its last"
    " check, every 5 s; transaction markers count too, so it may stay above 0.",
    "If it grows, the owner is slower than its input: see tidemill_transaction_seconds, or add workers.",
    "partition", "topic",
)  # fmt: skip
READY_RUNS = gauge(
    "tidemill_ready_runs",
    "Runs that are due and wait for an executor with a free slot: they are not dispatched, or no executor has reported"
    " their dispatch yet, as it does within seconds.",
    "Add executors of the class, or more slots.",
    "partition", "class",
)  # fmt: skip
READY_OLDEST = gauge(
    "tidemill_ready_oldest_seconds",
    "How long ago the oldest of these runs became due: its scheduled time, or the end of its pause before a retry;"
    " 0 if there is none.",
    "As for tidemill_ready_runs; `tidemill explain` of that run says what it waits for.",
    "partition", "class",
)  # fmt: skip
UNMET_RUNS = gauge(
    "tidemill_unmet_runs",
    "Runs that are due and ask for more than their executor can give: a sandbox, a limit or a path. They are not among"
    " tidemill_ready_runs.",
    "`tidemill runs --reason no_capable_executor` names them; start an executor that can, or let them ask for less.",
    "partition", "class",
)  # fmt: skip
HELD_RUNS = gauge(
    "tidemill_held_runs",
    "Runs that wait for other runs of their job or DAG to end; those of backfills do not count.",
    "See `overlap_policy` and `max_active_epochs` of the jobs.",
    "partition",
)
JOBS = gauge("tidemill_jobs", "Jobs and DAGs that the owner has, without deleted ones.", "Nothing.", "partition")
QUARANTINED = gauge(
    "tidemill_quarantined_jobs",
    "Jobs and DAGs that the owner ignores, because the core failed on them.",
    "`tidemill problems` names them; change their definition, and report the bug.",
    "partition",
)
UNSCHEDULED = gauge(
    "tidemill_unscheduled_jobs",
    "Jobs and DAGs whose schedule the owner does not follow: it is invalid here, or the core failed on it in a tick.",
    "`tidemill problems` names them; change their schedule.",
    "partition",
)
OWNED = gauge(
    "tidemill_partition_owned",
    "1 if this worker decides for the partition, 0 if it takes it over; the sum over all workers is normally 1, and"
    " during a takeover it may be 0 or 2.",
    "If the sum stays 0, no worker owns the partition: start one, and see the logs of the others.",
    "partition",
)
TRANSACTION_SECONDS = histogram(
    "tidemill_transaction_seconds",
    "How long one transaction of an owner takes, from its begin to the end of its commit.",
    "If it is slow, Kafka is slow: see the brokers.",
)
TRANSACTION_RECORDS = histogram(
    "tidemill_transaction_records", "How many records one transaction writes.", "Nothing.", buckets=COUNTS
)
TRANSACTION_BYTES = histogram(
    "tidemill_transaction_bytes",
    "How many bytes the values of the records of one transaction have, before compression.",
    "Nothing.",
    buckets=BYTES,
)
RECOVERY_SECONDS = histogram(
    "tidemill_recovery_seconds",
    "How long a takeover lasts: from the fence until the owner has read its state and `cdc`, and may decide.",
    "It grows with the number of jobs and open runs of a partition; more partitions make it shorter.",
)
OWNER_FAILURES = counter(
    "tidemill_owner_failures_total",
    "Times an owner discarded its memory and started again: Kafka failed, the core failed on a record or job, or a"
    " quarantined job is to be tried again. A planned handover does not count.",
    "`kafka`: see `owner_failed` in the worker's log; `core`: see `core_failed`, and report the bug.",
    "cause", values={"cause": ("kafka", "core", "retry")},
)  # fmt: skip
CDC_LAG = histogram(
    "tidemill_cdc_lag_seconds",
    "From the commit of a row in Postgres, by its clock, to the commit of the owner's transaction that applies it, by"
    " the cluster time. One value for each such transaction: that of its first row. Rows of a snapshot do not count.",
    "See tidemill_connector_running and tidemill_slot_lag_bytes.",
)
CLOCK_STEADY = gauge(
    "tidemill_clock_steady",
    "1 if the worker knows the cluster time; 0 if too few brokers agree, and then it decides nothing new.",
    "See docs/clocks.md.",
)
ALL = (
    WATERMARK_LAG, APPLIED_LAG, READY_RUNS, READY_OLDEST, UNMET_RUNS, HELD_RUNS, JOBS, QUARANTINED, UNSCHEDULED, OWNED,
    TRANSACTION_SECONDS, TRANSACTION_RECORDS, TRANSACTION_BYTES, RECOVERY_SECONDS, OWNER_FAILURES, CDC_LAG,
    CLOCK_STEADY,
)  # fmt: skip
