"""A batch that no client can read: its end is found with few fetches, and the owner continues after it."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.times import EPOCH
from schemas.topics import DEADLETTER, REQUESTS
from schemas.unreadable import Unreadable, last_of_batch
from streams.owner.records import InRecord
from tests.support.simulated.log import Log

MOST_FETCHES = 50


@given(first=st.integers(0, 10**6), size=st.integers(1, 10**5), behind=st.integers(0, 10**6))
def test_the_end_of_a_batch_is_found_with_few_fetches(first: int, size: int, behind: int) -> None:
    asked: list[int] = []

    def is_in_batch(offset: int) -> bool:
        asked.append(offset)
        return first <= offset < first + size

    assert last_of_batch(is_in_batch, first, first + size + behind) == first + size - 1
    assert len(asked) < MOST_FETCHES
    assert all(first < offset < first + size + behind for offset in asked)


def unreadable(log: Log, records: int) -> InRecord:
    """So many records in `requests`, as the log hands them over."""
    last = [log.request_by_topic(f"lost-{number}") for number in range(records)][-1]
    range_ = Unreadable(first=last.offset - records + 1, last=last.offset, reason="it is no lz4")
    return msgspec.structs.replace(last, key=None, value=None, appended_at=EPOCH, unreadable=range_)


def test_an_unreadable_batch_is_one_problem_and_its_neighbors_are_applied() -> None:
    log = Log()
    log.define(overlap_policy="allow_all")
    owner = log.recover()
    log.turn(owner)
    records = [log.request_by_topic("before"), unreadable(log, 3), log.request_by_topic("behind")]
    for record in records:
        owner.offer(record)
    log.turn(owner)
    assert [dispatch.run_id for dispatch in log.dispatches()] == ["job#before", "job#behind"]
    (letter,) = [record for record in log.written if record.topic == DEADLETTER]
    headers = {name: value.decode() for name, value in letter.headers}
    first, last = records[1].offset - 2, records[1].offset
    assert (headers["source_topic"], headers["source_offset"]) == (REQUESTS, str(first))
    sentence = f"records {first} to {last} of topic requests cannot be read, and had no effect: it is no lz4"
    assert (headers["reason"], letter.key, letter.value) == (sentence, REQUESTS, b"")
    assert owner.state.durable.applied[REQUESTS].offset == records[-1].offset


def test_a_takeover_inside_an_unreadable_batch_sets_aside_the_rest_once() -> None:
    log = Log()
    log.define()
    owner = log.recover()
    log.turn(owner)
    record = unreadable(log, 3)
    owner.offer(record)
    log.turn(owner)
    owner = log.recover()
    owner.offer(record)
    log.turn(owner)
    assert len([each for each in log.written if each.topic == DEADLETTER]) == 1
