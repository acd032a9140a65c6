"""The metrics that every process has."""

from __future__ import annotations

from observe.metric import gauge

INFO = gauge(
    "tidemill_process_info",
    "1; the labels say what runs here: the kind of process, its name and its version.",
    "Nothing; join it to name a process.",
    "kind", "name", "version",
)  # fmt: skip
READY = gauge(
    "tidemill_process_ready",
    "1 while the process does its work, as `/readyz` says; 0 while it starts, recovers, drains or cannot work.",
    "Ask `/readyz` of the process: it says why it is not ready.",
)
ALL = (INFO, READY)
