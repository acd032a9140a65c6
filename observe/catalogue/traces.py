"""The metrics of the exporter of traces, `python -m connectors.traces`."""

from __future__ import annotations

from observe.metric import counter, gauge

TRACES = counter(
    "tidemill_traces_total",
    "Runs whose trace was sent, was left out by sampling, or was refused by the collector.",
    "`refused`: see its log.",
    "outcome", values={"outcome": ("sent", "sampled_out", "refused")},
)  # fmt: skip
READ_LAG = gauge(
    "tidemill_traces_lag_records", "Records of the topic `status` that the exporter has not read yet.",
    "If it grows, the collector does not answer or is too slow.",
)  # fmt: skip
ALL = (TRACES, READ_LAG)
