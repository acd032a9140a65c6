"""A matching is one to one and as large as possible; a window counts calm time only; targets follow the definitions."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.judge.history import Defined, Spec
from tests.chaos.judge.matching import maximum
from tests.chaos.judge.targets import specs_at, targets
from tests.chaos.judge.windows import Windows, merged
from tests.support.chaos_story import JOB, Story, at

CLOCKS = timedelta(seconds=2)
GRAPHS = st.lists(st.lists(st.integers(0, 4), max_size=4, unique=True), max_size=5)
TIMES = st.integers(0, 100)
INTERVALS = st.lists(st.tuples(TIMES, TIMES).map(sorted), max_size=6)


@given(GRAPHS)
def test_a_matching_is_one_to_one_along_edges(edges):
    found = maximum(edges)
    taken = [each for each in found if each is not None]
    assert len(taken) == len(set(taken))
    assert all(right is None or right in edges[left] for left, right in enumerate(found))


@given(GRAPHS)
def test_no_matching_is_larger(edges):
    """König: as many vertices as the matching has edges cover all edges."""
    found = maximum(edges)
    matched = {right: left for left, right in enumerate(found) if right is not None}
    reached = {left for left, right in enumerate(found) if right is None}
    rights: set[int] = set()
    waiting = list(reached)
    while waiting:
        for right in edges[waiting.pop()]:
            if right not in rights:
                rights.add(right)
                reached.add(matched[right])
                waiting.append(matched[right])
    cover = len(rights) + len(edges) - len(reached)
    assert cover == len(matched)


def test_a_long_path_is_no_recursion():
    edges = [[number, number + 1] for number in range(5_000)]
    edges.append([0])
    assert None not in maximum(edges)


@given(INTERVALS, TIMES, st.integers(1, 60))
def test_a_deadline_is_when_so_much_calm_time_has_passed(intervals, begin, tolerance):
    excused = [(at(low), at(high)) for low, high in intervals]
    deadline = Windows(excused).deadline(at(begin), timedelta(seconds=tolerance))
    calm = [second for second in range(begin, 400) if not any(low <= second < high for low, high in intervals)]
    assert deadline == at(calm[tolerance - 1] + 1)


def test_intervals_that_touch_are_one():
    assert merged([(at(5), at(7)), (at(1), at(5)), (at(9), at(10))]) == [(at(1), at(7)), (at(9), at(10))]


def due(story: Story):
    definitions = [each for each in story.acts if isinstance(each, Defined)]
    return {
        round((each.at - at(0)).total_seconds()): (each.required, each.may_run)
        for each in targets(definitions, at(60), CLOCKS, lambda answered: answered)
    }


def test_targets_are_required_away_from_changes_and_optional_near_them():
    story = Story()
    story.define(-1, Spec(schedule="*/10 * * * * *"))
    story.define(25, Spec(schedule="*/15 * * * * *"))
    story.define(44, None)
    assert due(story) == {
        0: (False, True),
        10: (True, True),
        20: (True, True),
        30: (True, True),
        45: (False, True),
    }


def test_a_pause_needs_reasons_only_if_it_ends_with_the_same_schedule():
    story = Story()
    story.define(-5, Spec(schedule="*/10 * * * * *", paused=True))
    story.define(15, Spec(schedule="*/10 * * * * *"))
    story.define(25, Spec(schedule="*/10 * * * * *", paused=True))
    assert due(story) == {
        0: (True, False),
        10: (True, False),
        20: (True, True),
        30: (False, False),
        40: (False, False),
        50: (False, False),
        60: (False, True),
    }


def test_a_change_whose_answer_was_lost_may_have_had_an_effect_until_the_next_one():
    story = Story()
    story.define(-5, Spec(schedule="*/10 * * * * *"))
    story.define(15, None, outcome="unknown")
    story.define(35, Spec(schedule="*/10 * * * * *"))
    assert [required for required, _ in due(story).values()] == [True, True, False, False, True, True, False]


def test_no_definition_may_be_in_force_before_the_first_one():
    story = Story()
    story.define(10, Spec(schedule="* * * * *"))
    story.define(30, None)
    definitions = [each for each in story.acts if isinstance(each, Defined)]
    found = [
        specs_at(definitions, at(seconds), at(60), CLOCKS, lambda answered: answered) for seconds in (5, 11, 20, 31, 50)
    ]
    assert [[each is None for each in specs] for specs in found] == [
        [True],
        [True, False],
        [False],
        [False, True],
        [True],
    ]
    assert specs_at([], at(0), at(60), CLOCKS, lambda answered: answered) == [None]
    assert definitions[0].owner == JOB
