"""A reader of `status` that looks for the end of a silent batch is not restarted meanwhile: it would look forever."""

from __future__ import annotations

import pytest

from connectors.metrics import reader
from connectors.sink import _STUCK
from connectors.traces import exporter
from schemas.unreadable import ANSWER_SECONDS, last_of_batch

MOST_RECORDS = 1 << 18
"""A batch has at most 16 MB (`message.max.bytes`), and no record of `status` is shorter than 64 bytes."""


def longest_search() -> float:
    """Seconds: an offset inside the batch takes a whole wait, and one outside is answered at once."""
    inside: list[int] = []

    def is_silent(offset: int) -> bool:
        if offset < MOST_RECORDS - 1:
            inside.append(offset)
            return True
        return False

    last_of_batch(is_silent, 0, 1 << 40)
    around = 4  # the first offset before and after the search, the end, and the record after the batch
    return (len(inside) + around) * ANSWER_SECONDS


@pytest.mark.parametrize("limit", [reader.LOOP_LIMIT, exporter.LOOP_LIMIT, _STUCK], ids=["metrics", "traces", "sink"])
def test_a_search_for_the_end_of_the_largest_silent_batch_is_shorter_than_the_limit_of_the_loop(limit):
    assert longest_search() < limit.total_seconds()
