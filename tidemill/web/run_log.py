"""The log of an attempt: from its row, or the chunks in S3 from a given one on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from connectors.objects import ObjectsError
from schemas.log_chunks import is_chunk
from tidemill.logs import chunks_uri, has_chunks, why_gone
from tidemill.target import Row
from tidemill.web.backend import Backend

MOST_CHUNKS = 20
"""The most chunks in one answer; the whole log has a link."""
MOST_BYTES = 256 * 1024


class Log(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    last_chunk: str = ""
    """From here the reader continues."""
    is_cut: bool = False
    """The beginning is left out."""
    gone: str | None = None
    """Why the log is not complete."""


def read_log(backend: Backend, run_id: str, attempt: Row, after: str = "") -> Log:
    """What the attempt wrote, from the chunk after `after` on."""
    try:
        names = _names(backend, run_id, attempt, after)
        chunks = names[-MOST_CHUNKS:]
        written = b"".join(backend.objects.read(each) for each in chunks)
    except ObjectsError as error:
        return Log(text=attempt["output"] or "", gone=f"S3 does not answer: {error}")
    if not names and not after and attempt["ended_as"] is not None:
        return Log(text=attempt["output"] or "", gone=why_gone(attempt))
    is_cut = len(names) > len(chunks) or len(written) > MOST_BYTES
    text = written[-MOST_BYTES:].decode("utf-8", "replace")
    return Log(text=text, last_chunk=chunks[-1] if chunks else after, is_cut=is_cut)


def whole(backend: Backend, run_id: str, attempt: Row) -> Iterator[bytes]:
    """All bytes that are kept, one chunk after the other. Raises `ObjectsError` before the first one."""
    names = _names(backend, run_id, attempt, "")
    if not names:
        return iter([(attempt["output"] or "").encode()])
    return (backend.objects.read(each) for each in names)


def _names(backend: Backend, run_id: str, attempt: Row, after: str) -> list[str]:
    if not has_chunks(attempt):
        return []
    prefix = chunks_uri(backend.target, run_id, attempt)
    begin = after if after.startswith(prefix) else ""
    return list(islice(filter(is_chunk, backend.objects.below(prefix, begin)), 100_000))
