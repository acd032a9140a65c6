"""A run's result: the JSON that its process wrote to `$TIDEMILL_RESULT`, in the record or in S3 (docs/jobs.md)."""

from __future__ import annotations

import msgspec

from schemas.ids import RunId
from schemas.raw import Json, keep_json
from schemas.run_names import Shortened, name_of_run, run_of_name

MAX_RESULT_BYTES = 16 * 1024 * 1024
"""The largest result: an executor reads it into memory to check that it is JSON."""
MAX_INLINE_BYTES = 256 * 1024
"""A result up to this size is in the event and in the status; a larger one is only in S3."""
MAX_PASSED_BYTES = 1024
"""A node's result up to this size is in the owner's memory and in the dispatches of its dependent nodes; of a larger
result only the address is. So the results of 9,999 nodes fit one record.
"""
MAX_GIVEN_BYTES = 64 * 1024 * 1024
"""The largest total of the results that one node reads on its standard input."""
NEXT = "tidemill_next"
"""The key of a node's result that lists the dependent nodes to follow."""
MAX_NEXT_BYTES = 1024 * 1024
"""The largest such list as JSON."""
RESULTS = "results/"
"""The prefix of all results in S3."""


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    bytes: int
    """The size of the JSON in bytes, as the process wrote it."""
    value: Json = None
    """The JSON; None: it is too large for this record."""
    uri: str | None = None
    """The URI of the JSON in S3, if it is there."""
    sha256: str | None = None
    """The checksum of the object at `uri`."""

    def __post_init__(self) -> None:
        keep_json(self, "value")


def result_key(run_id: RunId, token: int) -> str:
    """The key, without the bucket. Each attempt has its own, so a late attempt overwrites nothing."""
    return f"{RESULTS}{name_of_run(run_id)}/{token}.json"


def run_of_result(uri: str) -> RunId | Shortened | None:
    """The run that a URI names; None: it is not a result."""
    _, found, rest = uri.partition(f"/{RESULTS}")
    name, is_whole, _ = rest.rpartition("/")
    return run_of_name(name) if found and is_whole else None
