"""The metrics of the web page."""

from __future__ import annotations

from observe.metric import histogram

PAGE_SECONDS = histogram(
    "tidemill_page_seconds",
    "How long the server took for a page, by route and status class.",
    "See Postgres, or read from a replica: `TIDEMILL_POSTGRES_READ_DSN`.",
    "route", "status",
)  # fmt: skip
ALL = (PAGE_SECONDS,)
