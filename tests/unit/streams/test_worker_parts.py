"""A worker's assignments, its inboxes, and the detection of stalled partitions; without threads."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from streams import partition_thread
from streams.core.inputs import WasAway
from streams.owner.assignments import Assignments
from streams.owner.session_calls import Resync, Take
from streams.owner.stall_detector import Observation, Probe, StallDetector, Stalled
from streams.partition_thread import Inbox
from tests.support.simulated.log import Log

LIMIT = timedelta(seconds=60)
WHERE = ("cdc", 0)


def added(assignments: Assignments, *partitions: int) -> list[int]:
    return list(assignments.assign(partitions).added)


def test_an_assignment_adds_keeps_and_loses_partitions() -> None:
    assignments = Assignments()
    assert assignments.assign([1, 2]).added == {0: 1, 1: 2}
    after = assignments.assign([2, 3])
    assert (after.added, after.kept, after.lost) == ({2: 3}, (1,), (0,))


def test_a_late_call_of_a_stopped_thread_does_not_change_its_successor() -> None:
    """Otherwise the watchdog would end the worker of a healthy partition."""
    assignments = Assignments()
    (first,) = added(assignments, 1)
    assignments.assign([])
    (second,) = added(assignments, 1)
    assignments.note_recovered(1, second)
    assignments.note_failed(1, first)
    assignments.note_applied(1, first, {"cdc": 7})
    assert assignments.unrecovered() == {}
    assert assignments.applied() == {}
    assert assignments.release(1, first)
    assert assignments.id_of(1) == second


def test_a_thread_that_asked_before_its_partition_was_assigned_again_may_not_release_it() -> None:
    """Otherwise the thread would end, and the new assignment would be lost."""
    assignments = Assignments()
    (only,) = added(assignments, 1)
    assignments.note_check(1, only)
    assert assignments.assign([1]).kept == (only,)
    assert not assignments.release(1, only)
    assignments.note_check(1, only)
    assert assignments.release(1, only)
    assert added(assignments, 1) == [only + 1]


def test_applied_offsets_are_known_while_the_partition_is_assigned() -> None:
    assignments = Assignments()
    (only,) = added(assignments, 1)
    assignments.note_applied(1, only, {"cdc": 7, "events": 3})
    assignments.note_applied(1, only, {"cdc": 8, "events": 3})
    assert assignments.applied() == {("cdc", 1): 8, ("events", 1): 3}
    assignments.assign([])
    assert assignments.applied() == {}


def check(stalls: StallDetector, now: float, applied: int, end: int, *, is_readable: bool = True) -> Stalled | None:
    """One partition of one topic; `is_readable`: what the broker answers."""
    return answered(
        stalls, Observation(boot_seconds=now, applied={WHERE: applied}, ends={WHERE: end}, recovering={}), is_readable
    )


def answered(stalls: StallDetector, seen: Observation, is_readable: bool) -> Stalled | None:  # noqa: FBT001
    checking = stalls.check(seen)
    try:
        assert next(checking).where == WHERE
        checking.send(is_readable)
    except StopIteration as over:
        return over.value
    raise AssertionError("it probes one partition twice")


@pytest.mark.parametrize("unread", [1, 2, 10])
def test_a_partition_without_progress_is_stalled_even_before_a_single_unread_record(unread) -> None:
    stalls = StallDetector(LIMIT)
    assert check(stalls, 0, 10, 11 + unread) is None
    assert check(stalls, 59, 10, 11 + unread) is None
    stalled = check(stalls, 60, 10, 11 + unread)
    assert stalled == Stalled(what="cdc", partition=0, seconds=60)


def test_a_partition_with_progress_is_not_stalled_however_much_is_unread() -> None:
    stalls = StallDetector(LIMIT)
    for step in range(10):
        assert check(stalls, 50 * step, step, 1_000) is None


def test_a_partition_with_nothing_to_read_is_never_stalled() -> None:
    stalls = StallDetector(LIMIT)
    assert [check(stalls, now, 10, 11) for now in range(0, 1_000, 100)] == [None] * 10


def test_a_partition_whose_end_was_aborted_is_not_stalled_until_something_can_be_read() -> None:
    stalls = StallDetector(LIMIT)
    check(stalls, 0, 10, 1_000)
    assert check(stalls, 60, 10, 1_000, is_readable=False) is None
    assert check(stalls, 500, 10, 1_000) is None, "aborted records are probed once"
    check(stalls, 510, 10, 1_001)
    assert check(stalls, 570, 10, 1_001) == Stalled(what="cdc", partition=0, seconds=60)


def test_a_probe_starts_after_the_offsets_that_an_earlier_probe_found_empty() -> None:
    stalls = StallDetector(LIMIT)
    check(stalls, 0, 10, 1_000)
    check(stalls, 60, 10, 1_000, is_readable=False)
    check(stalls, 70, 10, 1_005)
    seen = Observation(boot_seconds=130, applied={WHERE: 10}, ends={WHERE: 1_005}, recovering={})
    assert next(stalls.check(seen)) == Probe(where=WHERE, after=999)


def recovering(stalls: StallDetector, now: float, progress: int) -> Stalled | None:
    seen = Observation(boot_seconds=now, applied={}, ends={}, recovering={3: progress})
    return answered(stalls, seen, is_readable=True)


def test_a_recovery_may_take_as_long_as_it_makes_progress() -> None:
    stalls = StallDetector(LIMIT)
    assert [recovering(stalls, 50 * step, step) for step in range(20)] == [None] * 20
    assert recovering(stalls, 1_009, 19) is None
    assert recovering(stalls, 1_010, 19) == Stalled(what="recovery", partition=3, seconds=60)


def test_an_outage_of_the_brokers_is_not_a_stall() -> None:
    stalls = StallDetector(LIMIT)
    check(stalls, 0, 10, 100)
    stalls.reset()
    assert check(stalls, 100, 10, 100) is None
    assert check(stalls, 160, 10, 100) is not None


def test_while_a_partition_has_no_owner_only_its_recovery_is_observed() -> None:
    """The failed owner's applied offsets do not change while its successor recovers."""
    assignments = Assignments()
    (only,) = added(assignments, 1)
    assignments.note_recovered(1, only)
    assignments.note_applied(1, only, {"cdc": 7})
    assignments.note_failed(1, only)
    assert assignments.applied() == {}
    assert assignments.unrecovered() == {1: only}


def take(inbox: Inbox, limit: int) -> list[object]:
    return list(
        inbox.take(Take(patience=timedelta(0), gather_until_boot_seconds=0, limit=limit), threading.Event()).items
    )


def test_an_inbox_that_is_full_drops_records_and_asks_once_to_read_them(monkeypatch) -> None:
    monkeypatch.setattr(partition_thread, "MAX_WAITING", 3)
    log, inbox = Log(), Inbox()
    records = [log.request(f"r{number}") for number in range(6)]
    for record in records:
        inbox.put(record)
    assert take(inbox, 100) == [*records[:3], Resync()]
    inbox.put(records[5])
    assert take(inbox, 100) == [Resync(), records[5]], "what was dropped last may be behind an earlier pull"


def test_a_heartbeat_does_not_hide_records_that_a_full_inbox_dropped(monkeypatch) -> None:
    """Else a heartbeat that comes between the last record and the first dropped one would swallow the order."""
    monkeypatch.setattr(partition_thread, "MAX_WAITING", 2)
    log, inbox = Log(), Inbox()
    records, fact = [log.request(f"r{number}") for number in range(4)], WasAway(since=None)
    for item in (records[0], records[1], fact, records[2], fact):
        inbox.put(item)
    assert take(inbox, 100) == [records[0], records[1], fact, Resync(), fact]
    inbox.put(fact)
    inbox.put(records[3])
    assert take(inbox, 100) == [fact, Resync(), records[3]]


def test_a_delivery_tells_whether_it_was_complete() -> None:
    log, inbox = Log(), Inbox()
    for number in range(3):
        inbox.put(log.request(f"r{number}"))
    call = Take(patience=timedelta(0), gather_until_boot_seconds=0, limit=2)
    assert [inbox.take(call, threading.Event()).is_all for _ in range(2)] == [False, True]
