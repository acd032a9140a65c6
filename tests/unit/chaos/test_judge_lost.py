"""The judge of chaos finds what was accepted and has no end, and believes only reasons that hold."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.chaos.judge.history import Fault, Problem, Spec
from tests.chaos.judge.violations import Kind
from tests.support.chaos_story import DAG, DIAMOND, JOB, Story, at, kinds, occurrence, without


def test_an_occurrence_without_run_and_reason_is_lost(story):
    without(story, occurrence(10))
    assert kinds(story) == [Kind.LOST]


def test_an_occurrence_that_is_skipped_for_a_run_that_was_open_is_not_lost(story):
    without(story, occurrence(10))
    without(story, occurrence(0))
    story.ran(occurrence(0), 0.2, 15)
    story.skipped(10, occurrence(0))
    assert kinds(story) == []


def test_a_skip_for_a_run_that_had_ended_long_before_does_not_hold(story):
    without(story, occurrence(20))
    story.skipped(20, occurrence(0))
    assert kinds(story) == [Kind.LOST]


def test_a_misfire_without_any_fault_does_not_hold(story):
    without(story, occurrence(10))
    missed = {"missed_from": at(10), "missed_to": at(10), "missed_count": 1, "reason_code": "catchup_latest"}
    story.row(occurrence(10), "missed", 10, 80, **missed)
    assert kinds(story) == [Kind.LOST]
    story.kill(8)
    assert kinds(story) == []


@pytest.mark.parametrize("state", ["queued", "running", "retry_wait", "cancelling"])
def test_a_run_that_is_open_when_all_is_quiet_is_lost(story, state):
    run_id = story.ask(100, "r")
    story.row(run_id, state, 100, None)
    assert kinds(story) == [Kind.LOST]


def test_an_accepted_request_without_run_and_problem_is_lost(story):
    story.ask(100, "r")
    assert kinds(story) == [Kind.LOST]


@pytest.mark.parametrize(("owner", "found"), [(JOB, [Kind.LOST]), ("chaos.1.nobody", [])])
def test_a_refusal_holds_only_if_the_job_may_not_have_existed(story, owner, found):
    story.ask(100, "r", owner)
    story.problems.append(
        Problem(
            at=at(101), kind="dead_letter", code="request_refused", reason="no such job", owner=owner, request_id="r"
        )
    )
    assert kinds(story) == found


def test_a_request_whose_answer_was_lost_may_have_had_no_effect(story):
    story.ask(100, "r", outcome="unknown")
    assert kinds(story) == []


@pytest.mark.parametrize(("end", "found"), [(150, [Kind.LOST]), (110, [])])
def test_a_run_that_goes_on_long_after_it_was_cancelled_is_lost(story, end, found):
    run_id = story.ask(100, "r")
    story.ask(102, "stop", kind="cancel", run_id=run_id)
    story.ran(run_id, 100.2, end)
    assert kinds(story) == found


def test_a_rerun_without_effect_is_lost(story):
    story.ask(100, "again", kind="rerun", run_id=occurrence(10))
    assert kinds(story) == [Kind.LOST]


def test_a_node_without_an_end_is_lost():
    story = Story()
    story.define(-6, Spec(schedule="* * * * *", nodes=DIAMOND), DAG)
    story.define(30, Spec(nodes=DIAMOND), DAG)
    without(story, f"{story.dag_run(0)}/d")
    assert kinds(story) == [Kind.LOST]


def test_a_range_that_stands_for_too_few_occurrences_loses_one(story):
    for seconds in (10, 20):
        without(story, occurrence(seconds))
    story.kill(8)
    missed = {"missed_from": at(10), "missed_to": at(20), "reason_code": "catchup_latest"}
    story.row(occurrence(10), "missed", 10, 80, missed_count=1, **missed)
    assert kinds(story) == [Kind.LOST]


def test_an_edit_near_an_occurrence_leaves_it_open_which_definition_decides():
    story = Story()
    story.define(-6, Spec(schedule="*/10 * * * * *"))
    story.define(9, Spec())
    assert timedelta(seconds=1) < story.history().bounds.clocks
    story.ran(occurrence(0), 0.1, 1)
    assert kinds(story) == []


@pytest.mark.parametrize(("until", "found"), [(25, [Kind.GHOST]), (35, [])])
def test_a_deletion_that_a_fault_delays_lets_the_job_run_until_it_can_be_known(until, found):
    """The connector was frozen, so no worker knew it; 15 s later it may have read on."""
    story = Story()
    story.define(-6, Spec(schedule="*/10 * * * * *"))
    story.define(15, None)
    story.faults.append(Fault(at=at(14), fault="connect: freeze", target="connect", until=at(until)))
    for seconds in (0, 10, 50):
        story.ran(occurrence(seconds), seconds + 0.1, seconds + 1)
    assert kinds(story) == found


@pytest.mark.parametrize(("start", "found"), [(25, []), (10.5, [Kind.LOST])])
def test_a_skip_because_one_waits_holds_only_if_one_waited(start, found):
    story = Story()
    story.job(end=20, overlap_policy="buffer_one")
    story.ran(occurrence(0), 0.1, start - 0.2)
    story.ran(occurrence(10), start, start + 1)
    story.row(occurrence(20), "skipped", 20, 20, reason_code="overlap_skipped")
    assert kinds(story) == found
