"""The metrics of the connector's supervisor."""

from __future__ import annotations

from observe.metric import counter, gauge

RUNNING = gauge(
    "tidemill_connector_running",
    "1 if Connect says that the connector and its task run.",
    "See `connector_seen` in the supervisor's log, and `tidemill doctor`.",
)
ACTIONS = counter(
    "tidemill_connector_actions_total",
    "What the supervisor did to the connector: create, update, restart, drop a lost slot.",
    "One at a time is normal. Many: see its log.",
    "action",
    values={"action": ("create", "update", "restart_connector", "restart_task", "drop_lost_slot")},
)
SLOT_LAG = gauge(
    "tidemill_slot_lag_bytes",
    "WAL that Debezium has not confirmed yet.",
    "If it grows while rows are written, the connector does not read: see tidemill_connector_running.",
)
SLOT_KEPT = gauge(
    "tidemill_slot_kept_bytes",
    "WAL that Postgres keeps for the replication slot.",
    "Before it reaches `max_slot_wal_keep_size` or the disk, mend the connector, or drop the slot.",
)
SLOT_LOST = gauge(
    "tidemill_slot_lost",
    "1 if Postgres has removed WAL that the slot needs: the connector takes a new snapshot.",
    "Raise `max_slot_wal_keep_size`.",
)
ALL = (RUNNING, ACTIONS, SLOT_LAG, SLOT_KEPT, SLOT_LOST)
