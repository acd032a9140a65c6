"""A run's part of an S3 key: its id, percent-encoded; of a long id the beginning and a checksum."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote, unquote, unquote_to_bytes

import msgspec

from schemas.ids import RunId

MAX_NAME_BYTES = 240
"""S3 takes keys of 1,024 bytes; servers that keep objects as files take 255 between two slashes."""
_BEGINNING_BYTES = 160
_SHORTENED = re.compile(r"([^!]*)!([0-9a-f]{64})")
"""No encoded id contains the exclamation mark."""
_CUT_CODE = re.compile(r"%[0-9A-F]?\Z")


class Shortened(msgspec.Struct, frozen=True):
    """What the name of a long id tells."""

    beginning: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.beginning}!{self.sha256}"


def name_of_run(run_id: RunId) -> str:
    """At most `MAX_NAME_BYTES` ASCII characters, none of them a slash."""
    encoded = quote(run_id, safe="")
    if len(encoded) <= MAX_NAME_BYTES:
        return encoded
    beginning = _CUT_CODE.sub("", encoded[:_BEGINNING_BYTES])
    return f"{beginning}!{hashlib.sha256(run_id.encode()).hexdigest()}"


def run_of_name(name: str) -> RunId | Shortened:
    found = _SHORTENED.fullmatch(name)
    if found is None:
        return RunId(unquote(name))
    return Shortened(unquote_to_bytes(found[1]).decode("utf-8", "ignore"), found[2])
