"""What a worker remembers of its holders, of heartbeats, and of partitions that stand still; without threads."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from streams import holder
from streams.core.inputs import WasAway
from streams.holder import Inbox
from streams.owner.calls import Resync, Take
from streams.owner.holdings import Holdings
from streams.owner.watch import Probe, Sight, Stalled, Stalls
from tests.support.simulated.log import Log

LIMIT = timedelta(seconds=60)
WHERE = ("cdc", 0)


def begun(holdings: Holdings, *partitions: int) -> list[int]:
    return list(holdings.assign(partitions).begun)


def test_an_assignment_begins_keeps_and_hands_over() -> None:
    holdings = Holdings()
    assert holdings.assign([1, 2]).begun == {0: 1, 1: 2}
    after = holdings.assign([2, 3])
    assert (after.begun, after.kept, after.lost) == ({2: 3}, (1,), (0,))


def test_the_late_word_of_a_stopped_holder_says_nothing_about_its_successor() -> None:
    """Else the watchdog would end the worker of a partition that is well."""
    holdings = Holdings()
    (first,) = begun(holdings, 1)
    holdings.assign([])
    (second,) = begun(holdings, 1)
    holdings.recover(1, second)
    holdings.fail(1, first)
    holdings.apply(1, first, {"cdc": 7})
    assert holdings.unrecovered() == {}
    assert holdings.applied() == {}
    assert holdings.leave(1, first)
    assert holdings.holder_of(1) == second


def test_a_holder_that_asked_before_its_partition_was_assigned_again_may_not_leave() -> None:
    """Else it would be gone, and the news of the assignment with it."""
    holdings = Holdings()
    (only,) = begun(holdings, 1)
    holdings.ask(1, only)
    assert holdings.assign([1]).kept == (only,)
    assert not holdings.leave(1, only)
    holdings.ask(1, only)
    assert holdings.leave(1, only)
    assert begun(holdings, 1) == [only + 1]


def test_what_is_applied_is_known_while_the_partition_is_held() -> None:
    holdings = Holdings()
    (only,) = begun(holdings, 1)
    holdings.apply(1, only, {"cdc": 7, "events": 3})
    holdings.apply(1, only, {"cdc": 8, "events": 3})
    assert holdings.applied() == {("cdc", 1): 8, ("events", 1): 3}
    holdings.assign([])
    assert holdings.applied() == {}


def look(stalls: Stalls, now: float, applied: int, end: int, *, is_readable: bool = True) -> Stalled | None:
    """One partition of one topic; `is_readable`: what the broker answers."""
    return answered(
        stalls, Sight(boot_seconds=now, applied={WHERE: applied}, ends={WHERE: end}, recovering={}), is_readable
    )


def answered(stalls: Stalls, sight: Sight, is_readable: bool) -> Stalled | None:  # noqa: FBT001
    looking = stalls.look(sight)
    try:
        assert next(looking).where == WHERE
        looking.send(is_readable)
    except StopIteration as over:
        return over.value
    raise AssertionError("it asks twice about one partition")


@pytest.mark.parametrize("unread", [1, 2, 10])
def test_a_partition_that_stands_still_before_unread_records_is_stalled_also_before_a_single_one(unread) -> None:
    stalls = Stalls(LIMIT)
    assert look(stalls, 0, 10, 11 + unread) is None
    assert look(stalls, 59, 10, 11 + unread) is None
    stalled = look(stalls, 60, 10, 11 + unread)
    assert stalled == Stalled(what="cdc", partition=0, seconds=60)


def test_a_partition_that_comes_on_is_not_stalled_however_much_lies_before_it() -> None:
    stalls = Stalls(LIMIT)
    for step in range(10):
        assert look(stalls, 50 * step, step, 1_000) is None


def test_a_partition_with_nothing_to_read_is_never_stalled() -> None:
    stalls = Stalls(LIMIT)
    assert [look(stalls, now, 10, 11) for now in range(0, 1_000, 100)] == [None] * 10


def test_a_partition_whose_end_was_aborted_is_not_stalled_until_something_can_be_read() -> None:
    stalls = Stalls(LIMIT)
    look(stalls, 0, 10, 1_000)
    assert look(stalls, 60, 10, 1_000, is_readable=False) is None
    assert look(stalls, 500, 10, 1_000) is None, "what was aborted is asked for once"
    look(stalls, 510, 10, 1_001)
    assert look(stalls, 570, 10, 1_001) == Stalled(what="cdc", partition=0, seconds=60)


def test_the_question_whether_something_can_be_read_begins_behind_what_was_passed_by() -> None:
    stalls = Stalls(LIMIT)
    look(stalls, 0, 10, 1_000)
    look(stalls, 60, 10, 1_000, is_readable=False)
    look(stalls, 70, 10, 1_005)
    sight = Sight(boot_seconds=130, applied={WHERE: 10}, ends={WHERE: 1_005}, recovering={})
    assert next(stalls.look(sight)) == Probe(where=WHERE, after=999)


def recovering(stalls: Stalls, now: float, progress: int) -> Stalled | None:
    return answered(stalls, Sight(boot_seconds=now, applied={}, ends={}, recovering={3: progress}), is_readable=True)


def test_a_recovery_may_take_as_long_as_it_comes_on() -> None:
    stalls = Stalls(LIMIT)
    assert [recovering(stalls, 50 * step, step) for step in range(20)] == [None] * 20
    assert recovering(stalls, 1_009, 19) is None
    assert recovering(stalls, 1_010, 19) == Stalled(what="recovery", partition=3, seconds=60)


def test_an_outage_of_the_brokers_is_no_stall() -> None:
    stalls = Stalls(LIMIT)
    look(stalls, 0, 10, 100)
    stalls.forget()
    assert look(stalls, 100, 10, 100) is None
    assert look(stalls, 160, 10, 100) is not None


def test_while_a_partition_has_no_owner_only_its_recovery_counts() -> None:
    """What the failed owner had applied stands still, however well its successor comes on."""
    holdings = Holdings()
    (only,) = begun(holdings, 1)
    holdings.recover(1, only)
    holdings.apply(1, only, {"cdc": 7})
    holdings.fail(1, only)
    assert holdings.applied() == {}
    assert holdings.unrecovered() == {1: only}


def take(inbox: Inbox, limit: int) -> list[object]:
    return list(inbox.take(Take(patience=timedelta(0), rest_until=0, limit=limit), threading.Event()).items)


def test_an_inbox_that_is_full_drops_records_and_asks_once_to_read_them(monkeypatch) -> None:
    monkeypatch.setattr(holder, "MAX_WAITING", 3)
    log, inbox = Log(), Inbox()
    records = [log.request(f"r{number}") for number in range(6)]
    for record in records:
        inbox.put(record)
    assert take(inbox, 100) == [*records[:3], Resync()]
    inbox.put(records[5])
    assert take(inbox, 100) == [Resync(), records[5]], "what was dropped last may be behind an earlier pull"


def test_what_is_no_record_hides_nothing_of_what_a_full_inbox_drops(monkeypatch) -> None:
    """Else a heartbeat that comes between the last record and the first dropped one would swallow the order."""
    monkeypatch.setattr(holder, "MAX_WAITING", 2)
    log, inbox = Log(), Inbox()
    records, fact = [log.request(f"r{number}") for number in range(4)], WasAway(since=None)
    for item in (records[0], records[1], fact, records[2], fact):
        inbox.put(item)
    assert take(inbox, 100) == [records[0], records[1], fact, Resync(), fact]
    inbox.put(fact)
    inbox.put(records[3])
    assert take(inbox, 100) == [fact, Resync(), records[3]]


def test_what_is_taken_says_whether_it_was_all() -> None:
    log, inbox = Log(), Inbox()
    for number in range(3):
        inbox.put(log.request(f"r{number}"))
    call = Take(patience=timedelta(0), rest_until=0, limit=2)
    assert [inbox.take(call, threading.Event()).is_all for _ in range(2)] == [False, True]
