"""Partitions with many new records bypass Faust, and no others do."""

from __future__ import annotations

from streams.faust_bypass import FEW_RECORDS, MAX_CDC_FETCH_RECORDS, MAX_FETCH_RECORDS, QUIET_CHECKS, Bypass


def offsets(count: int, first: int = 0) -> list[int]:
    return list(range(first, first + count))


def bypassing() -> Bypass[str]:
    bypass: Bypass[str] = Bypass()
    assert bypass.start({"a": offsets(1_000), "b": offsets(3)}, MAX_FETCH_RECORDS) == {"a"}
    return bypass


def test_a_small_fetch_is_delivered() -> None:
    assert Bypass[str]().start({"a": offsets(MAX_FETCH_RECORDS - 3), "b": offsets(3)}, MAX_FETCH_RECORDS) == set()


def test_the_largest_partitions_bypass_until_the_rest_is_small_enough() -> None:
    bypass: Bypass[str] = Bypass()
    assert bypass.start(
        {"a": offsets(300), "b": offsets(200), "c": offsets(200), "d": offsets(50)}, MAX_FETCH_RECORDS
    ) == {"a", "b"}
    assert bypass.ends == {"a": 300, "b": 200}


def test_cdc_bypasses_at_a_lower_limit_than_other_topics() -> None:
    fetched = {"a": offsets(50), "b": offsets(50)}
    assert Bypass[str]().start(fetched, MAX_FETCH_RECORDS) == set()
    assert Bypass[str]().start(fetched, MAX_CDC_FETCH_RECORDS) == {"a"}


def test_many_small_partitions_together_are_a_large_fetch() -> None:
    started = Bypass[int]().start({number: offsets(40) for number in range(8)}, MAX_FETCH_RECORDS)
    assert len(started) == 2


def test_records_that_arrive_during_a_bypass_bypass_too() -> None:
    bypass = bypassing()
    assert bypass.check({"a": 5_000}) == {"a": 5_000}
    assert bypass.check({"a": 5_000}) == {}
    assert bypass.ends == {"a": 5_000}


def test_a_bypass_ends_after_quiet_checks_when_one_finds_nothing() -> None:
    bypass = bypassing()
    end = 1_000
    for _ in range(QUIET_CHECKS):
        end += FEW_RECORDS
        assert bypass.check({"a": end}) == {"a": end}
    assert bypass.check({"a": end}) == {}
    assert bypass.ends == {}


def test_a_bypass_continues_while_many_records_arrive() -> None:
    bypass = bypassing()
    for turn in range(1, 10):
        bypass.check({"a": 1_000 * turn + FEW_RECORDS + 1})
        assert "a" in bypass.ends


def test_faust_commits_skipped_records_once_when_they_are_applied() -> None:
    bypass = bypassing()
    bypass.check({"a": 2_000})
    assert [bypass.note_applied("a", offset) for offset in (998, 1_998, 1_999, 2_500)] == [False, False, True, False]
    assert not bypass.note_applied("b", 5)


def test_a_rebalance_ends_every_bypass() -> None:
    bypass = bypassing()
    bypass.clear()
    assert bypass.ends == {}
    assert not bypass.note_applied("a", 5_000)


def test_an_end_that_is_not_known_yet_is_checked_later() -> None:
    bypass: Bypass[str] = Bypass()
    bypass.start({"a": range(1_000)}, MAX_FETCH_RECORDS)
    assert bypass.check({"a": None}) == {}
    assert bypass.check({"a": 2_000}) == {"a": 2_000}


def test_a_lost_partition_ends_its_bypass() -> None:
    bypass: Bypass[str] = Bypass()
    bypass.start({"a": range(1_000)}, MAX_FETCH_RECORDS)
    assert bypass.check({"b": 5_000}) == {}
    assert bypass.ends == {}
