"""A silent broker costs no record: owners set aside only what a client received and could not read."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from aiokafka.structs import ConsumerRecord
from confluent_kafka import KafkaError, TopicPartition

from schemas.settings import Connections
from schemas.topics import REQUESTS
from schemas.unreadable import BatchUnknownError, Unreadable, extent
from streams.groups import LogUnreachableError
from streams.owner.session_calls import Read
from streams.owner_log import OwnerLog
from streams.second_client import SecondMessage, answer
from streams.skip_unreadable import _MARK, SKIPPED

END = 5
SECOND = timedelta(seconds=1) // timedelta(milliseconds=1)


def record(offset: int, headers=()) -> ConsumerRecord:
    return ConsumerRecord("requests", 0, offset, SECOND, 0, b"k", b"v", None, 1, 1, headers)


def mark(offset: int) -> ConsumerRecord:
    return record(offset, ((SKIPPED, _MARK),))


class Message:
    def __init__(self, offset: int, code: int | None = None) -> None:
        self._offset, self._code = offset, code

    def error(self):
        return None if self._code is None else KafkaError(self._code)

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def timestamp(self) -> tuple[int, int]:
        return 1, SECOND

    def headers(self) -> list:
        return []


class Reader:
    """A client that knows the end of the partition. The broker does not answer the first `silent` fetches."""

    def __init__(self, silent: int, deliver=Message) -> None:
        self.silent, self.deliver, self.at = silent, deliver, 0

    def assign(self, places) -> None:
        self.at = places[0].offset

    def unassign(self) -> None: ...

    def get_watermark_offsets(self, place, **_) -> tuple[int, int]:
        return 0, END

    def consume(self, most: int, seconds: float) -> list[Message]:
        if seconds == 0 or self.at >= END:
            return []
        found = self.poll(seconds)
        self.at += found is not None
        return [] if found is None else [found]

    def poll(self, seconds: float) -> Message | None:
        self.silent -= 1
        return None if self.silent >= 0 else self.deliver(self.at)


class Second:
    """The second client: the records that aiokafka returns, whatever the offset."""

    def __init__(self, *found: ConsumerRecord) -> None:
        self.found = list(found)

    def read(self, topic: str, start: int) -> list[SecondMessage] | Unreadable:
        return answer([each for each in self.found if each.offset >= start], topic, start)


def read(reader: Reader, second: Second):
    log = OwnerLog(Connections(), 0, "owner-0", None, None)
    log._consumer, log._second = reader, second
    return log.read(Read(topic=REQUESTS, after=-1, until=None, records=100, bytes=10**6)).records


ALWAYS = 10**6


def test_records_of_which_neither_client_receives_anything_are_read_again_later():
    with pytest.raises(LogUnreachableError, match="neither client received anything from offset 0"):
        read(Reader(silent=ALWAYS), Second())


def test_records_that_only_the_second_client_receives_are_delivered():
    found = read(Reader(silent=ALWAYS), Second(*map(record, range(END + 2))))
    assert [(each.offset, each.value, each.unreadable) for each in found] == [(n, b"v", None) for n in range(END)]


def test_a_slow_broker_costs_no_record_that_the_second_client_cannot_decode():
    found = read(Reader(silent=1), Second(mark(END - 1)))
    assert [(each.offset, each.unreadable) for each in found] == [(n, None) for n in range(END)]


def test_a_batch_that_the_second_client_received_and_cannot_decode_is_set_aside_as_far_as_its_header_says():
    (bad, *behind) = read(Reader(silent=2), Second(mark(2)))
    assert (bad.unreadable.first, bad.unreadable.last) == (0, 2)
    assert [each.offset for each in behind] == [3, 4]


def test_a_header_that_claims_more_than_the_partition_has_takes_nothing_that_comes_later():
    (bad,) = read(Reader(silent=ALWAYS), Second(mark(END + 100)))
    assert (bad.unreadable.first, bad.unreadable.last) == (0, END - 1)


def test_records_before_an_undecodable_batch_are_delivered_and_the_batch_is_judged_by_itself():
    first, second, bad = read(Reader(silent=ALWAYS), Second(record(0), record(1), mark(4)))
    assert (first.offset, second.offset) == (0, 1)
    assert (bad.unreadable.first, bad.unreadable.last) == (2, 4)


@pytest.mark.parametrize("code", [None, KafkaError._TRANSPORT], ids=["silence", "no connection"])
def test_a_fetch_without_an_answer_does_not_count_as_part_of_a_batch(code):
    reader = Reader(silent=ALWAYS) if code is None else Reader(0, lambda offset: Message(offset, code))
    with pytest.raises(BatchUnknownError):
        extent(reader, Message(0, KafkaError._BAD_MSG), partial(TopicPartition, "requests", 0))


def test_records_behind_a_batch_are_no_part_of_it():
    reader = Reader(0, lambda offset: Message(0, KafkaError._BAD_MSG) if offset < 3 else Message(offset))
    found = extent(reader, Message(0, KafkaError._BAD_MSG), partial(TopicPartition, "requests", 0))
    assert (found.first, found.last) == (0, 2)
