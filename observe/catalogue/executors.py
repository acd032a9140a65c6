"""The metrics of an executor."""

from __future__ import annotations

from observe.metric import counter, gauge, histogram
from schemas.event import EndCause

SLOTS = gauge(
    "tidemill_executor_slots",
    "The slots of the executor, busy and free; an attempt takes one from its claim to its end.",
    "If none is free for long, add executors or slots.",
    "class", "state", values={"state": ("busy", "free")},
)  # fmt: skip
CLAIM_SECONDS = histogram(
    "tidemill_claim_seconds",
    "From the append of a dispatch to its claim, the commit of its offset.",
    "If it is slow, executors have no free slot, or Kafka's group coordinator is slow.",
    "class",
)
FETCH_SECONDS = histogram(
    "tidemill_fetch_seconds",
    "How long an attempt waits for its executable, checkpoint and results of other nodes.",
    "See S3, and the size of the executables; a job with `sha256` asks S3 only once.",
)
STARTED_SECONDS = histogram(
    "tidemill_started_ack_seconds",
    "From sending STARTED until Kafka has it; the process starts after that.",
    "If it is slow, Kafka is slow: see the brokers.",
)
SPAWN_SECONDS = histogram(
    "tidemill_spawn_seconds",
    "From the order to start a process until it runs.",
    "If it is slow, the machine is overloaded: give the executor fewer slots.",
)
CACHE = counter(
    "tidemill_cache_requests_total",
    "Executables that were in the cache (hit), and that had to be fetched (miss).",
    "If most are misses, raise `TIDEMILL_CACHE_MAX_BYTES`.",
    "result", values={"result": ("hit", "miss")},
)  # fmt: skip
ENDS = counter(
    "tidemill_executor_ends_total",
    "Attempts that ended here, by cause: as the process ended, or why it never started.",
    "`lease` means that heartbeats do not reach Kafka; `rejected` is explained in the attempt's reason.",
    "cause", values={"cause": (*(each.value for each in EndCause), "rejected", "expired", "void")},
)  # fmt: skip
OUTPUT_BYTES = counter("tidemill_output_bytes_total", "Bytes that processes wrote to their output.", "Nothing.")
OUTPUT_DROPPED = counter(
    "tidemill_output_dropped_bytes_total",
    "Bytes of output that were not kept, because the output of an attempt exceeded `TIDEMILL_LOG_MAX_BYTES`.",
    "Raise that setting, or let the jobs write less.",
)
HEARTBEAT_AGE = gauge(
    "tidemill_heartbeat_age_seconds",
    "The age of the last heartbeat that Kafka has acknowledged; leases are renewed from it.",
    "Above 9 s the executor claims nothing: see Kafka.",
)
ALL = (
    SLOTS, CLAIM_SECONDS, FETCH_SECONDS, STARTED_SECONDS, SPAWN_SECONDS, CACHE, ENDS, OUTPUT_BYTES, OUTPUT_DROPPED,
    HEARTBEAT_AGE,
)  # fmt: skip
