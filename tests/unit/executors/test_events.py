"""Events of a partition: one record in flight, waiting events go with the next one, in order."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executors.clock import boot_seconds
from executors.events import LONGEST_REST_SECONDS, MAX_BATCH, EventLog, Report
from executors.in_hand import shorten
from schemas.codec import decode, encode
from schemas.event import MAX_OUTPUT_BYTES, EndCause, Ended, EventBatch, Expired, Rejected, Started
from schemas.topics import MAX_RECORD_BYTES

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


class Wire:
    """Takes records, and acknowledges them when it is told to."""

    def __init__(self):
        self.records = []

    def send(self, record):
        self.records.append(record)

    def tokens(self):
        return [[event.token for event in decode(each.value, EventBatch).events] for each in self.records]


@pytest.fixture
def wire():
    return Wire()


class Rests:
    """Begins a rest and ends it at once, or, if it is told so, later; a turn of the event loop is no rest."""

    def __init__(self):
        self.lengths, self.ends, self.are_long, self.turns = [], [], False, None

    def later(self, seconds, function):
        if seconds:
            self.lengths.append(seconds)
        if seconds and self.are_long:
            self.ends.append(function)
        elif not seconds and self.turns is not None:
            self.turns.append(function)
        else:
            function()


@pytest.fixture
def rests():
    return Rests()


@pytest.fixture
def log(wire, rests):
    return EventLog(wire, rests.later, topic="events", executor_id="x.1")


def report(token, on_ack=lambda: None):
    event = Expired(run_id=f"a@{token}", attempt=1, token=token, at=NOW)
    return Report(owner=f"owner-{token}", event=event, on_ack=on_ack)


def start(token):
    event = Started(run_id=f"a@{token}", attempt=1, token=token, at=NOW, sha256="0" * 64)
    return Report(owner=f"owner-{token}", event=event, on_ack=lambda: None)


def test_without_load_a_record_carries_one_event(log, wire):
    log.add(3, report(1))
    (record,) = wire.records
    assert (record.topic, record.partition, record.key, wire.tokens()) == ("events", 3, "owner-1", [[1]])


def test_events_waiting_for_an_acknowledgement_go_in_one_record(log, wire):
    for token in range(4):
        log.add(0, report(token))
    assert wire.tokens() == [[0]]
    wire.records[0].on_ack(0.0)
    assert wire.tokens() == [[0], [1, 2, 3]]


def test_after_an_acknowledgement_a_partition_pauses_for_one_round_trip(log, wire, rests):
    rests.are_long = True
    log.add(0, report(1))
    wire.records[0].on_ack(boot_seconds())
    log.add(0, report(2))
    log.add(0, report(3))
    assert wire.tokens() == [[1]]
    rests.ends.pop()()
    assert wire.tokens() == [[1], [2, 3]]
    wire.records[1].on_ack(boot_seconds() - 60)
    short, long = rests.lengths
    assert 0 <= short <= long == LONGEST_REST_SECONDS
    rests.ends.pop()()
    log.add(0, report(4))
    assert wire.tokens() == [[1], [2, 3], [4]]


def test_events_of_one_turn_go_in_one_record(log, wire, rests):
    rests.turns = []
    for token in range(3):
        log.add(0, start(token))
    assert wire.tokens() == []
    rests.turns.pop()()
    assert not rests.turns
    assert wire.tokens() == [[0, 1, 2]]


def test_a_start_skips_the_pause_and_takes_waiting_events_along(log, wire, rests):
    rests.are_long = True
    log.add(0, report(1))
    wire.records[0].on_ack(boot_seconds())
    log.add(0, report(2))
    log.add(0, start(3))
    assert wire.tokens() == [[1], [2, 3]]
    log.add(0, report(4))
    log.add(0, start(5))
    wire.records[1].on_ack(boot_seconds())
    assert wire.tokens() == [[1], [2, 3], [4, 5]]


def test_partitions_do_not_wait_for_each_other(log, wire):
    log.add(0, report(1))
    log.add(1, report(2))
    assert [each.partition for each in wire.records] == [0, 1]


def test_an_event_that_an_acknowledgement_leads_to_keeps_its_place(log, wire):
    log.add(0, report(1, on_ack=lambda: log.add(0, report(3))))
    log.add(0, report(2))
    wire.records[0].on_ack(0.0)
    assert wire.tokens() == [[1], [2, 3]]
    wire.records[1].on_ack(0.0)
    assert log.unacknowledged == 0


def test_a_record_has_a_largest_number_of_events(log, wire):
    for token in range(MAX_BATCH + 2):
        log.add(0, report(token))
    wire.records[0].on_ack(0.0)
    wire.records[1].on_ack(0.0)
    assert [len(tokens) for tokens in wire.tokens()] == [1, MAX_BATCH, 1]


def test_a_record_never_exceeds_the_limit_of_the_topic(log, wire):
    ended = Ended(
        run_id="a",
        attempt=1,
        token=0,
        at=NOW,
        cause=EndCause.EXITED,
        exit_code=1,
        started_at=NOW,
        output="\1" * MAX_OUTPUT_BYTES,
    )
    rejected = Rejected(run_id="a", attempt=1, token=0, at=NOW, reason="\1" * 30_000)
    for event in [ended, rejected] * MAX_BATCH:
        log.add(0, Report(owner="a", event=event, on_ack=lambda: None))
    while log.unacknowledged:
        wire.records[-1].on_ack(0.0)
    assert max(len(each.value) for each in wire.records) < MAX_RECORD_BYTES
    assert len(wire.tokens()) > 2


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_a_reason_is_brief_and_can_be_written(text):
    reason = shorten(text * 500)
    assert len(encode(Rejected(run_id="a", attempt=1, token=0, at=NOW, reason=reason))) < 15_000
    assert len(reason.encode()) <= 2_051
