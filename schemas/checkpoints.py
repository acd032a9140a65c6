"""The S3 keys of checkpoints: one object for each attempt that left one, named by its token (protocol D6)."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from schemas.ids import RunId

CHECKPOINTS = "checkpoints/"
"""The prefix of all checkpoints."""
_KEY = re.compile(r"(?:^|/)checkpoints/([^/]+)/(\d+)\.tar$")


def checkpoint_key(run_id: RunId, token: int) -> str:
    """The key, without the bucket. Each attempt has its own, so a late attempt overwrites nothing."""
    return f"{CHECKPOINTS}{quote(run_id, safe='')}/{token}.tar"


def checkpoint_of(uri: str) -> tuple[RunId, int] | None:
    """The run and the token of a key or URI; None: it is not a checkpoint, or its upload is not complete."""
    found = _KEY.search(uri)
    return (RunId(unquote(found[1])), int(found[2])) if found else None
