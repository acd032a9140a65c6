"""Which objects are chunks of a log."""

from __future__ import annotations

from schemas.ids import RunId
from schemas.log_chunks import chunk_key, is_chunk, log_prefix

RUN = RunId("job-1@2026-11-21T03:00:00Z")


def test_a_chunk_has_the_prefix_of_its_attempt():
    assert chunk_key(RUN, 2, 7).startswith(log_prefix(RUN, 2))
    assert is_chunk(chunk_key(RUN, 2, 7))


def test_an_object_that_is_still_being_written_is_no_chunk():
    assert not is_chunk(chunk_key(RUN, 1, 1) + "-133d1001-7d56-4b21-9e5d-8c515a44870a")
