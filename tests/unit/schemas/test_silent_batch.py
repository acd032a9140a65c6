"""A batch that a client silently drops is told apart from a silent broker."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from schemas.silent import SILENCE_SECONDS, Silence, silent_extent
from schemas.unreadable import BatchUnknownError, Unreadable

PLACE = ("t", 0)
_PARTITION_EOF = SimpleNamespace(code=lambda: -191, str=lambda: "the end")


def message(offset, error=None):
    return SimpleNamespace(
        topic=lambda: PLACE[0], partition=lambda: PLACE[1], offset=lambda: offset, error=lambda: error
    )


class Broker:
    """A partition up to `end`; the broker does not answer for some of the offsets."""

    def __init__(self, end, is_silent):
        self.end, self.is_silent, self.fetches = end, is_silent, []

    def assign(self, partitions):
        (self.at,) = partitions

    def poll(self, _seconds):
        self.fetches.append(self.at.offset)
        if self.is_silent(self.at.offset, len(self.fetches)):
            return None
        return message(self.at.offset, _PARTITION_EOF if self.at.offset >= self.end else None)

    def get_watermark_offsets(self, _place, *, timeout):
        assert timeout > 0
        return 0, self.end


def look(broker, first=10):
    return silent_extent(broker, first, lambda offset: SimpleNamespace(offset=offset))


@pytest.mark.parametrize("end", [15, 16, 1_000])
def test_a_silent_batch_between_readable_ones_is_found_to_its_end(end):
    found = look(Broker(end, lambda offset, _: 10 <= offset < 15))
    assert isinstance(found, Unreadable)
    assert (found.first, found.last) == (10, 14)


def test_silent_brokers_prove_no_silent_batch():
    broker = Broker(100_000, lambda *_: True)
    with pytest.raises(BatchUnknownError):
        look(broker)
    assert broker.fetches == [10, 100_000], "two fetches wait in vain, however long the backlog is"


def test_a_late_batch_is_not_a_silent_one():
    assert look(Broker(100, lambda *_: False)) is None
    broker = Broker(100, lambda offset, fetch: offset == 10 and fetch < 3)
    assert look(broker) is None
    assert broker.fetches[-1] == 10, "it is asked again, after what stands behind it has answered"


def test_a_partition_at_its_end_or_with_progress_is_not_suspected():
    silence = Silence({PLACE: 5}, 0.0)
    assert silence.suspects(lambda _: 9, SILENCE_SECONDS) == []
    assert silence.suspects(lambda _: 5, SILENCE_SECONDS + 1) == []
    silence.note([message(7)], 2 * SILENCE_SECONDS)
    assert silence.suspects(lambda _: 9, 3 * SILENCE_SECONDS) == []
    silence.note([message(9, _PARTITION_EOF)], 3 * SILENCE_SECONDS)
    assert silence.suspects(lambda _: 9, 5 * SILENCE_SECONDS) == []


def test_a_partition_with_unread_records_is_suspected_repeatedly():
    silence = Silence({PLACE: 5}, 0.0)
    assert silence.suspects(lambda _: 9, SILENCE_SECONDS + 1) == [(PLACE, 5)]
    assert silence.suspects(lambda _: 9, SILENCE_SECONDS + 2) == []
    assert silence.suspects(lambda _: 9, 3 * SILENCE_SECONDS) == [(PLACE, 5)]
