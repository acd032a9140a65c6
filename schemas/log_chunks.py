"""The S3 keys of an attempt's log: chunk objects, numbered from 0, below one prefix."""

from __future__ import annotations

import re

from schemas.ids import RunId
from schemas.run_names import name_of_run

_CHUNK = re.compile(r"/\d{6,}\.log$")


def log_prefix(run_id: RunId, attempt: int) -> str:
    """The prefix of the keys, without the bucket; ends with a slash."""
    return f"logs/{name_of_run(run_id)}/{attempt}/"


def chunk_key(run_id: RunId, attempt: int, chunk: int) -> str:
    return f"{log_prefix(run_id, attempt)}{chunk:06d}.log"


def is_chunk(key: str) -> bool:
    """Whether a key below a log's prefix is a chunk: some servers also list an object that is still being written,
    under a temporary name (S3Proxy's files, 000001.log-<uuid>).
    """
    return _CHUNK.search(key) is not None
