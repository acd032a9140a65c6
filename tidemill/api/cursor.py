"""The place of a page in a list of runs: it holds only for the filters that it was made with."""

from __future__ import annotations

import hashlib

import msgspec

from tidemill.api.problem import problem
from tidemill.target import UsageError
from tidemill.web import paging
from tidemill.web.run_filter import RunFilter

SEPARATOR = "."
HASH_CHARACTERS = 8


def written(cursor: paging.Cursor, asked: RunFilter) -> str:
    return f"{paging.written(cursor)}{SEPARATOR}{_hash(asked)}"


def read(text: str, asked: RunFilter) -> paging.Cursor:
    """Raises `ProblemError` (400) for a cursor that is broken, or was made with other filters."""
    place, _, made_with = text.partition(SEPARATOR)
    try:
        found = paging.read(place)
    except UsageError as error:
        raise problem("malformed", "the cursor is broken: use `next` of the page before, as it is") from error
    if made_with != _hash(asked):
        raise problem("malformed", "the cursor was made with other filters: begin again without it")
    return found


def _hash(asked: RunFilter) -> str:
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:HASH_CHARACTERS]
