"""Keyset pages: a cursor names the last row that was looked at, so page 1,000 costs as much as page 1."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta

import msgspec
import orjson

from schemas.times import EPOCH
from tidemill.target import UsageError

MICROSECOND = timedelta(microseconds=1)


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a row of a list that is sorted by time, the newest first, then by id."""

    at: datetime
    id: str


def written(cursor: Cursor) -> str:
    """The text for a URL."""
    raw = orjson.dumps([(cursor.at - EPOCH) // MICROSECOND, cursor.id])
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read(text: str) -> Cursor:
    """Raises `UsageError`."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        microseconds, key = msgspec.json.decode(raw, type=tuple[int, str])
        return Cursor(at=EPOCH + microseconds * MICROSECOND, id=key)
    except (binascii.Error, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise UsageError("the link to this page of the list is broken: go back to its first page") from error
