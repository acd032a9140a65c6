"""The metrics of the sink."""

from __future__ import annotations

from observe.metric import COUNTS, counter, gauge, histogram
from schemas.reasons import ProblemCode, ProblemKind

LAG_RECORDS = gauge(
    "tidemill_sink_lag_records",
    "Records that the sink has not read yet, about once a second; transaction markers before a record count too.",
    "If it grows, Postgres is slower than the status topic: see tidemill_sink_transaction_seconds.",
    "topic", values={"topic": ("status", "deadletter")},
)  # fmt: skip
LAG_SECONDS = gauge(
    "tidemill_sink_lag_seconds",
    "How old the oldest record is that waits for Postgres, at most: while Postgres or Kafka is away, since then; 0 if"
    " nothing waits.",
    "As for tidemill_sink_lag_records; commands show what happened that long ago.",
)
TRANSACTION_SECONDS = histogram(
    "tidemill_sink_transaction_seconds", "How long one write takes: its queries, and its transaction.", "See Postgres."
)
BATCH_RECORDS = histogram(
    "tidemill_sink_batch_records", "How many records one transaction writes.", "Nothing.", buckets=COUNTS
)
INTERRUPTIONS = counter(
    "tidemill_sink_interruptions_total",
    "Times that the sink began again: Postgres or Kafka was unreachable, or another sink was ahead.",
    "See `sink_interrupted` in its log.",
)
PROBLEMS = counter(
    "tidemill_problems_total",
    "Inputs that were set aside, and alerts, by code (docs/reasons.md); counted when they are written to Postgres.",
    "`tidemill problems` shows them with what to do.",
    "kind", "code",
    values={"kind": (each.value for each in ProblemKind), "code": (each.value for each in ProblemCode)},
)  # fmt: skip
DEFINITIONS_DIFFERING = gauge(
    "tidemill_definitions_differing",
    "Jobs and DAGs whose version in Postgres differs from the one that the streams hold, when the sink last looked.",
    "A sink heals them after a minute. If they stay, see `tidemill doctor`.",
)
DEFINITIONS_HEALED = counter(
    "tidemill_definitions_healed_total",
    "Jobs and DAGs that this sink appended again, because the streams had missed a change or a deletion.",
    "Find out what lost them: the replication slot, the topic `cdc`, or its retention.",
    "what",
    values={"what": ("written", "deleted")},
)
ALL = (
    LAG_RECORDS, LAG_SECONDS, TRANSACTION_SECONDS, BATCH_RECORDS, INTERRUPTIONS, PROBLEMS,
    DEFINITIONS_DIFFERING, DEFINITIONS_HEALED,
)  # fmt: skip
