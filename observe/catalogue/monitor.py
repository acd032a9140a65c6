"""The metrics of the monitor, `python -m tidemill.monitor`: it judges the deployment from outside its processes."""

from __future__ import annotations

from observe.metric import counter, gauge, histogram

OVERDUE_JOBS = gauge(
    "tidemill_overdue_jobs",
    "Jobs and DAGs with an occurrence that was due more than TIDEMILL_OVERDUE_AFTER ago, and that has neither a run nor"
    " a reason why not; computed from Postgres, as far as the sink has written.",
    "`tidemill doctor`, then `tidemill explain` of a job that `tidemill overdue` lists.",
)
OVERDUE_OLDEST = gauge(
    "tidemill_overdue_oldest_seconds", "How long ago the oldest of these occurrences was due; 0 if there is none.",
    "As for tidemill_overdue_jobs.",
)  # fmt: skip
JUDGED_JOBS = gauge(
    "tidemill_judged_jobs",
    "Jobs and DAGs with a schedule whose newest occurrence the monitor has judged.",
    "Nothing; it is absent if the monitor does not reach Postgres.",
)
UNJUDGED_JOBS = gauge(
    "tidemill_unjudged_jobs",
    "Jobs and DAGs that are due to be judged and wait for a later round: a round takes at most 1 % of the time.",
    "Nothing, if it falls again; while it does not, an overdue job is found later.",
)
CLASS_EXECUTORS = gauge(
    "tidemill_executors",
    "Executors that send heartbeats and claim, by class.",
    "If it is 0, runs of the class wait: start an executor that serves it.",
    "class",
)
CLASS_SLOTS = gauge(
    "tidemill_slots", "The slots of all executors, busy and free.", "If none is free for long, add executors or slots.",
    "class", "state", values={"state": ("busy", "free")},
)  # fmt: skip
WAITING = gauge(
    "tidemill_waiting_records",
    "Records that wait for a reader: the streams, the sink, the executors of each class.",
    "If it grows, that reader is too slow or not running.",
    "reader",
)
WAITING_OLDEST = gauge(
    "tidemill_waiting_oldest_seconds", "How long the oldest of these records has waited; 0 if none waits.",
    "As for tidemill_waiting_records.", "reader",
)  # fmt: skip
UNOWNED = gauge(
    "tidemill_unowned_partitions",
    "Partitions that no stream worker has in its assignment; it does not change while the group rebalances.",
    "Start a stream worker.",
)
HOP_SECONDS = histogram(
    "tidemill_hop_seconds",
    "How long the canary run took for each hop of the path from a row to a process and back to a row, by the brokers'"
    " clock: capture (to cdc), decide (to runs), claim (to the start), run, judge (to status), show (to the table).",
    "The slow hop names the part to look at; `tidemill doctor` says what to do.",
    "hop",
    values={"hop": ("capture", "decide", "claim", "run", "judge", "show")},
)
CANARY_SECONDS = histogram(
    "tidemill_canary_seconds", "How long the canary run took from its row to its end in the read model.",
    "See tidemill_hop_seconds.",
)  # fmt: skip
CANARY_RUNS = counter(
    "tidemill_canary_runs_total",
    "Canary runs, one each TIDEMILL_CANARY_INTERVAL. While a lost run may still come, no other one is requested, and it"
    " counts again.",
    "If it stands, the monitor cannot request one: see `canary_not_followed` in its log.",
)
CANARY_LOST = counter(
    "tidemill_canary_lost_total",
    "Canary runs of which a hop took more than 15 s. While a lost run may still come, it counts again.",
    "`tidemill doctor` names the hop that is broken.",
)
PART_UP = gauge(
    "tidemill_part_up",
    "1 if the part answers the monitor.",
    "`tidemill doctor` says what is wrong with it.",
    "part", values={"part": ("postgres", "kafka", "connect", "s3")},
)  # fmt: skip
CLOCK_DIFFERENCE = gauge(
    "tidemill_clock_difference_seconds",
    "How far the clock of Postgres is from that of the brokers, at least; 0 if they may agree.",
    "See docs/clocks.md.",
)
ALL = (
    OVERDUE_JOBS, OVERDUE_OLDEST, JUDGED_JOBS, UNJUDGED_JOBS, CLASS_EXECUTORS, CLASS_SLOTS, WAITING, WAITING_OLDEST,
    UNOWNED, HOP_SECONDS, CANARY_SECONDS, CANARY_RUNS, CANARY_LOST, PART_UP, CLOCK_DIFFERENCE,
)  # fmt: skip
