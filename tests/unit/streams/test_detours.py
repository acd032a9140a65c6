"""What comes by the thousand goes around Faust, and nothing else does."""

from __future__ import annotations

from streams.detours import FEW, MOST_OF_A_FETCH, MOST_OF_CDC, QUIET_LOOKS, Detours


def offsets(count: int, first: int = 0) -> list[int]:
    return list(range(first, first + count))


def on_a_detour() -> Detours[str]:
    detours: Detours[str] = Detours()
    assert detours.begin({"a": offsets(1_000), "b": offsets(3)}, MOST_OF_A_FETCH) == {"a"}
    return detours


def test_a_fetch_that_is_small_in_all_is_delivered() -> None:
    assert Detours[str]().begin({"a": offsets(MOST_OF_A_FETCH - 3), "b": offsets(3)}, MOST_OF_A_FETCH) == set()


def test_the_largest_go_around_until_the_rest_is_few_enough() -> None:
    detours: Detours[str] = Detours()
    assert detours.begin(
        {"a": offsets(300), "b": offsets(200), "c": offsets(200), "d": offsets(50)}, MOST_OF_A_FETCH
    ) == {"a", "b"}
    assert detours.places == {"a": 300, "b": 200}


def test_so_many_definitions_go_around_as_come_from_a_connector_that_is_slow_yet() -> None:
    fetched = {"a": offsets(50), "b": offsets(50)}
    assert Detours[str]().begin(fetched, MOST_OF_A_FETCH) == set()
    assert Detours[str]().begin(fetched, MOST_OF_CDC) == {"a"}


def test_many_small_ones_are_many_too() -> None:
    begun = Detours[int]().begin({number: offsets(40) for number in range(8)}, MOST_OF_A_FETCH)
    assert len(begun) == 2


def test_what_comes_meanwhile_goes_around_as_well() -> None:
    detours = on_a_detour()
    assert detours.look({"a": 5_000}) == {"a": 5_000}
    assert detours.look({"a": 5_000}) == {}
    assert detours.places == {"a": 5_000}


def test_a_detour_ends_once_few_have_come_for_a_while_and_none_at_last() -> None:
    detours = on_a_detour()
    end = 1_000
    for _ in range(QUIET_LOOKS):
        end += FEW
        assert detours.look({"a": end}) == {"a": end}
    assert detours.look({"a": end}) == {}
    assert detours.places == {}


def test_a_detour_goes_on_while_much_comes() -> None:
    detours = on_a_detour()
    for turn in range(1, 10):
        detours.look({"a": 1_000 * turn + FEW + 1})
        assert "a" in detours.places


def test_faust_commits_what_went_around_once_it_is_applied_and_only_once() -> None:
    detours = on_a_detour()
    detours.look({"a": 2_000})
    assert [detours.applied("a", offset) for offset in (998, 1_998, 1_999, 2_500)] == [False, False, True, False]
    assert not detours.applied("b", 5)


def test_after_a_rebalance_there_are_none() -> None:
    detours = on_a_detour()
    detours.forget()
    assert detours.places == {}
    assert not detours.applied("a", 5_000)


def test_an_end_that_is_not_known_yet_is_looked_at_later() -> None:
    detours: Detours[str] = Detours()
    detours.begin({"a": range(1_000)}, MOST_OF_A_FETCH)
    assert detours.look({"a": None}) == {}
    assert detours.look({"a": 2_000}) == {"a": 2_000}


def test_a_partition_that_is_no_longer_held_takes_no_detour() -> None:
    detours: Detours[str] = Detours()
    detours.begin({"a": range(1_000)}, MOST_OF_A_FETCH)
    assert detours.look({"b": 5_000}) == {}
    assert detours.places == {}
