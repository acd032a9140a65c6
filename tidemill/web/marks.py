"""The sign and the color of each state: color never says anything alone."""

from __future__ import annotations

from collections.abc import Mapping

import htpy as h

SHAPES: Mapping[str, str] = {
    "succeeded": "M2.5 6.5 5 9l4.5-6",
    "failed": "M3 3l6 6M9 3 3 9",
    "dead": "M6 1.2 10.8 6 6 10.8 1.2 6ZM4.3 4.3l3.4 3.4M7.7 4.3 4.3 7.7",
    "timed_out": "M6 1.5a4.5 4.5 0 1 0 .01 0ZM6 3.5V6l2 1.3",
    "cancelled": "M3 3h6v6H3Z",
    "cancelling": "M3 3h6v6H3ZM3 9l6-6",
    "running": "M4 2.5v7L9.5 6Z",
    "queued": "M6 2.2a3.8 3.8 0 1 0 .01 0Z",
    "retry_wait": "M9.6 6a3.6 3.6 0 1 1-1.2-2.7M9 1v2.6H6.4",
    "skipped": "M2.5 3l3 3-3 3M6.5 3l3 3-3 3",
    "missed": "M2.5 6h7",
    "upstream_failed": "M6 10.5V4M3.2 6.2 6 3.4l2.8 2.8M2.5 1.5h7",
    "paused": "M4 2.5v7M8 2.5v7",
    "waiting": "M6 5.2v1.6M2.5 5.2v1.6M9.5 5.2v1.6",
    "not_kept": "M3 6h.01M6 6h.01M9 6h.01",
    "ok": "M2.5 6.5 5 9l4.5-6",
    "warn": "M6 1.5 11 10.3H1ZM6 4.8v2.4M6 8.4v.5",
    "bad": "M3 3l6 6M9 3 3 9",
    "unknown": "M4 4.2a2 2 0 1 1 2.6 1.9c-.4.2-.6.5-.6 1.1M6 9v.6",
}
"""Paths in a box of 12 by 12, drawn with a stroke of the state's color."""
ENDS_OF_ATTEMPTS = {"lost": "failed", "rejected": "failed", "expired": "missed", "promoted": "retry_wait"}
"""Ends of attempts that no run has, with the state whose sign they use."""


def mark(state: str) -> h.Element:
    """The sign of a state, for the eye only: a word stands beside it."""
    name = ENDS_OF_ATTEMPTS.get(state, state)
    shape = SHAPES.get(name, SHAPES["unknown"])
    return h.svg(class_=f"mark s-{name}", viewBox="0 0 12 12", width="12", height="12", aria_hidden="true")[
        h.path(d=shape)
    ]


def state(word: str) -> h.Element:
    """A state as sign and word."""
    return h.span(class_="state")[mark(word), word.replace("_", " ")]
