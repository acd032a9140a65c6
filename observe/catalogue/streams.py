"""The metrics of a stream worker. A series with a partition exists only where its owner is."""

from __future__ import annotations

from observe.metric import BYTES, COUNTS, counter, gauge, histogram

WATERMARK_LAG = gauge(
    "tidemill_watermark_lag_seconds",
    "How far the watermark of an owner is behind the cluster time: occurrences in between are not decided yet.",
    "Above 30 s nothing becomes due in this partition: see the worker's log, and whether Kafka accepts commits.",
    "partition",
)
APPLIED_LAG = gauge(
    "tidemill_applied_lag_records",
    "The offsets of an input topic that the owner has not applied yet; transaction markers count too.",
    "If it grows, the owner is slower than its input: see tidemill_transaction_seconds, or add workers.",
    "partition", "topic",
)  # fmt: skip
READY_RUNS = gauge(
    "tidemill_ready_runs",
    "Runs that could start now and wait for an executor with a free slot.",
    "Add executors of the class, or more slots.",
    "partition", "class",
)  # fmt: skip
READY_OLDEST = gauge(
    "tidemill_ready_oldest_seconds",
    "For how long the oldest of these runs has waited; 0 if none waits.",
    "As for tidemill_ready_runs; `tidemill explain` of that run says what it waits for.",
    "partition", "class",
)  # fmt: skip
HELD_RUNS = gauge(
    "tidemill_held_runs",
    "Runs that wait for other runs of their job or DAG to end.",
    "See `overlap_policy` and `max_active_epochs` of the jobs.",
    "partition",
)
JOBS = gauge("tidemill_jobs", "Jobs and DAGs that the owner has.", "Nothing.", "partition")
QUARANTINED = gauge(
    "tidemill_quarantined_jobs",
    "Jobs and DAGs that the owner ignores, because the core failed on them.",
    "`tidemill problems` names them; change their definition, and report the bug.",
    "partition",
)
OWNED = gauge(
    "tidemill_partition_owned",
    "1 if this worker decides for the partition; during a takeover the sum over all workers may be 0 or 2.",
    "If the sum stays 0, no worker owns the partition: start one, and see the logs of the others.",
    "partition",
)
TRANSACTION_SECONDS = histogram(
    "tidemill_transaction_seconds",
    "How long the commit of one transaction of an owner takes.",
    "If it is slow, Kafka is slow: see the brokers.",
)
TRANSACTION_RECORDS = histogram(
    "tidemill_transaction_records", "How many records one transaction writes.", "Nothing.", buckets=COUNTS
)
TRANSACTION_BYTES = histogram(
    "tidemill_transaction_bytes", "How many bytes one transaction writes.", "Nothing.", buckets=BYTES
)
RECOVERY_SECONDS = histogram(
    "tidemill_recovery_seconds",
    "How long a takeover lasts: from the fence to the first decision.",
    "It grows with the number of jobs and open runs of a partition; more partitions make it shorter.",
)
OWNER_FAILURES = counter(
    "tidemill_owner_failures_total",
    "Times an owner discarded its memory and started again, because Kafka or the core failed.",
    "See `owner_failed` in the worker's log.",
)
CDC_LAG = histogram(
    "tidemill_cdc_lag_seconds",
    "From the time at which a row was written to Postgres until its owner has applied it.",
    "See tidemill_connector_running and tidemill_slot_lag_bytes.",
)
CLOCK_STEADY = gauge(
    "tidemill_clock_steady",
    "1 if the worker knows the cluster time; 0 if too few brokers agree, and then it decides nothing new.",
    "See docs/clocks.md.",
)
ALL = (
    WATERMARK_LAG, APPLIED_LAG, READY_RUNS, READY_OLDEST, HELD_RUNS, JOBS, QUARANTINED, OWNED, TRANSACTION_SECONDS,
    TRANSACTION_RECORDS, TRANSACTION_BYTES, RECOVERY_SECONDS, OWNER_FAILURES, CDC_LAG, CLOCK_STEADY,
)  # fmt: skip
