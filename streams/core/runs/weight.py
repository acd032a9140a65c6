"""The estimated size of a write of a run, for the limits of its transaction."""

from __future__ import annotations

from schemas.raw import size_of
from streams.core.runs.run import Run

BYTES_OF_A_RUN = 3_500
"""Bytes of a status and a stored run without payload, result and output."""


def bytes_of(run: Run) -> int:
    """The approximate bytes of a write of `run`: once as status, once in `state`."""
    status = run.status
    size = BYTES_OF_A_RUN + size_of(run.payload)
    if status.result is not None:
        size += 2 * size_of(status.result.value)
    return size + 2 * sum(len(each.output) for each in status.attempts if each.output)
