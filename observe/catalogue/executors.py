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
    "From the append of a dispatch until its claim, the commit of its offset, is acknowledged.",
    "If it is slow, executors have no free slot, or Kafka's group coordinator is slow.",
    "class",
)
FETCH_SECONDS = histogram(
    "tidemill_fetch_seconds",
    "How long an attempt fetches its executable, checkpoint or results of other nodes; nothing if all is here already.",
    "See S3, and the size of the executables.",
)
STARTED_SECONDS = histogram(
    "tidemill_started_ack_seconds",
    "From STARTED until Kafka has acknowledged it; the process starts after that.",
    "If it is slow, Kafka is slow: see the brokers.",
)
SPAWN_SECONDS = histogram(
    "tidemill_spawn_seconds",
    "From the order to the process supervisor to start a process until the executor knows that it runs.",
    "If it is slow, the machine is overloaded: give the executor fewer slots.",
)
CACHE = counter(
    "tidemill_cache_requests_total",
    "Attempts whose executable was in the cache (hit), and attempts that had to fetch it (miss).",
    "If most are misses, raise `TIDEMILL_CACHE_MAX_BYTES`; a job with `sha256` does not ask S3 for what it has.",
    "result", values={"result": ("hit", "miss")},
)  # fmt: skip
ENDS = counter(
    "tidemill_executor_ends_total",
    "Attempts that ended here, by cause: why the process ended, or why none started.",
    "`lease`, `void`: heartbeats or claims reach Kafka too late; `expired`: no slot was free in time; `rejected`:"
    " the attempt's reason says what is missing.",
    "cause", values={"cause": (*(each.value for each in EndCause), "rejected", "expired", "void")},
)  # fmt: skip
OUTPUT_BYTES = counter("tidemill_output_bytes_total", "Bytes that processes wrote to their output.", "Nothing.")
OUTPUT_DROPPED = counter(
    "tidemill_output_dropped_bytes_total",
    "Bytes of output that were not kept: beyond `TIDEMILL_LOG_MAX_BYTES` (limit), or S3 did not take them (storage).",
    "`limit`: raise that setting, or let the jobs write less; `storage`: see S3.",
    "cause", values={"cause": ("limit", "storage")},
)  # fmt: skip
HEARTBEAT_AGE = gauge(
    "tidemill_heartbeat_age_seconds",
    "The age of the last heartbeat that Kafka has acknowledged, which renewed the leases; infinite before the first.",
    "Above 3 times `TIDEMILL_HEARTBEAT_INTERVAL` the executor claims nothing: see Kafka.",
)
ALL = (
    SLOTS, CLAIM_SECONDS, FETCH_SECONDS, STARTED_SECONDS, SPAWN_SECONDS, CACHE, ENDS, OUTPUT_BYTES, OUTPUT_DROPPED,
    HEARTBEAT_AGE,
)  # fmt: skip
