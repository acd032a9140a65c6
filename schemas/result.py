"""What a run hands on: the JSON that its process wrote to `$TIDEMILL_RESULT`, in the record or in S3 (docs/jobs.md)."""

from __future__ import annotations

from urllib.parse import quote, unquote

import msgspec

from schemas.ids import RunId
from schemas.raw import Json, keep_json

MAX_RESULT_BYTES = 16 * 1024 * 1024
"""Of a result: an executor reads it whole, to know that it is JSON."""
MAX_INLINE_BYTES = 256 * 1024
"""A result up to this size travels in the event and in the status; a larger one is in S3 alone."""
MAX_PASSED_BYTES = 1024
"""A node's result up to this size travels in the dispatches of those that depend on it, and is kept by the owner; of a
larger one they have the address. So those of 9,999 nodes fit one record, and an owner's memory.
"""
MAX_GIVEN_BYTES = 64 * 1024 * 1024
"""Of all results that one node gets on its standard input."""
NEXT = "tidemill_next"
"""The key of a node's result that lists which of the nodes that depend on it are followed."""
MAX_NEXT_BYTES = 1024 * 1024
"""Of that list."""
RESULTS = "results/"
"""The prefix of all of them in S3."""


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    bytes: int
    """Of the JSON, as the process wrote it."""
    value: Json = None
    """The JSON itself, where it is not left out because of its size."""
    uri: str | None = None
    """Where the JSON lies in S3, if it does."""
    sha256: str | None = None
    """Of what lies there."""

    def __post_init__(self) -> None:
        keep_json(self, "value")


def result_key(run_id: RunId, token: int) -> str:
    """A key without its bucket. No two attempts share one, so a late attempt replaces nothing."""
    return f"{RESULTS}{quote(run_id, safe='')}/{token}.json"


def run_of_result(uri: str) -> RunId | None:
    """The run that a URI names; None: it is no result."""
    _, found, rest = uri.partition(f"/{RESULTS}")
    run_id, is_whole, _ = rest.rpartition("/")
    return RunId(unquote(run_id)) if found and is_whole else None
