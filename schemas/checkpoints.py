"""The S3 keys of checkpoints: one object for each attempt that left one, named by its token (protocol D6)."""

from __future__ import annotations

import re

from schemas.ids import RunId
from schemas.run_names import Shortened, name_of_run, run_of_name

CHECKPOINTS = "checkpoints/"
"""The prefix of all checkpoints."""
_KEY = re.compile(r"(?:^|/)checkpoints/([^/]+)/(\d+)\.tar$")


def checkpoint_key(run_id: RunId, token: int) -> str:
    """The key, without the bucket. Each attempt has its own, so a late attempt overwrites nothing."""
    return f"{CHECKPOINTS}{name_of_run(run_id)}/{token}.tar"


def checkpoint_of(uri: str) -> tuple[RunId | Shortened, int] | None:
    """The run and the token of a key or URI; None: it is not a checkpoint, or its upload is not complete."""
    found = _KEY.search(uri)
    return (run_of_name(found[1]), int(found[2])) if found else None
