"""Where the checkpoint of an attempt lies in S3: an object for each that left one, named by its token (protocol D6)."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from schemas.ids import RunId

CHECKPOINTS = "checkpoints/"
"""The prefix of all of them."""
_KEY = re.compile(r"(?:^|/)checkpoints/([^/]+)/(\d+)\.tar$")


def checkpoint_key(run_id: RunId, token: int) -> str:
    """A key without its bucket. No two attempts share one, so a late attempt replaces nothing."""
    return f"{CHECKPOINTS}{quote(run_id, safe='')}/{token}.tar"


def checkpoint_of(uri: str) -> tuple[RunId, int] | None:
    """The run and the token that a key or URI names; None: it is no checkpoint, or not written to its end yet."""
    found = _KEY.search(uri)
    return (RunId(unquote(found[1])), int(found[2])) if found else None
