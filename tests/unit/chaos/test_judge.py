"""The judge of chaos flags each kind of violation in a small history, and nothing in the nearest legal one."""

from __future__ import annotations

import pytest

from tests.chaos.judge.history import Effect, Fault, Spec
from tests.chaos.judge.verdict import judge
from tests.chaos.judge.violations import Kind
from tests.support.chaos_story import DAG, DIAMOND, JOB, Story, at, kinds, occurrence, without


def test_each_occurrence_with_a_run_of_its_own_is_no_violation(story):
    verdict = judge(story.history())
    assert verdict.violations == ()
    assert (verdict.tally.required, verdict.tally.matched, verdict.tally.executions) == (3, 3, 3)


# EARLY


@pytest.mark.parametrize(("seconds", "found"), [(9.5, [Kind.EARLY]), (9.9, [])])
def test_a_start_before_the_time_is_early_if_no_clock_explains_it(story, seconds, found):
    without(story, occurrence(10))
    story.ran(occurrence(10), seconds, 11)
    assert kinds(story) == found


@pytest.mark.parametrize(("seconds", "found"), [(104, [Kind.EARLY]), (105, [])])
def test_a_request_for_later_starts_at_its_time(story, seconds, found):
    run_id = story.ask(100, "r", run_at=at(105))
    story.ran(run_id, seconds, 106)
    assert kinds(story) == found


@pytest.mark.parametrize(("seconds", "found"), [(1.0, [Kind.EARLY]), (1.11, [])])
def test_a_node_that_starts_before_the_end_of_another_that_it_depends_on_is_early(seconds, found):
    story = Story()
    story.define(-6, Spec(schedule="* * * * *", nodes=DIAMOND), DAG)
    story.define(30, Spec(nodes=DIAMOND), DAG)
    run_id = story.dag_run(0)
    without(story, f"{run_id}/b")
    story.ran(f"{run_id}/b", seconds, 2.2)
    assert kinds(story) == found


# LATE


@pytest.mark.parametrize(("seconds", "found"), [(41, [Kind.LATE]), (39, [])])
def test_a_start_after_the_window_is_late(story, seconds, found):
    without(story, occurrence(10))
    story.ran(occurrence(10), seconds, seconds + 1)
    assert kinds(story) == found


def test_a_fault_makes_the_window_longer(story):
    without(story, occurrence(10))
    story.ran(occurrence(10), 90, 91)
    story.faults.append(Fault(at=at(5), fault="freeze", target="stream-0", until=at(15)))
    assert kinds(story) == []


def test_a_run_that_waits_for_another_of_its_job_is_not_late():
    story = Story()
    story.job(end=10, overlap_policy="buffer_all")
    story.ran(occurrence(0), 0.1, 60)
    story.ran(occurrence(10), 60.1, 61)
    assert kinds(story) == []


# DOUBLE


def test_a_run_that_is_executed_again_after_it_succeeded_is_a_double(story):
    without(story, occurrence(10))
    story.process(occurrence(10), 10.1, 10.5, 1)
    story.attempt(occurrence(10), 10.1, 10.5, "succeeded", 1, exit_code=0)
    story.ran(occurrence(10), 12, 13, token=2)
    assert kinds(story) == [Kind.DOUBLE]


def test_a_retry_after_a_failure_is_no_double(story):
    without(story, occurrence(10))
    story.process(occurrence(10), 10.1, 10.5, 1, code=7)
    story.attempt(occurrence(10), 10.1, 10.5, "failed", 1, exit_code=7)
    story.ran(occurrence(10), 12, 13, token=2)
    assert kinds(story) == []


def test_a_rerun_that_was_asked_for_is_no_double(story):
    story.ask(100, "again", kind="rerun", run_id=occurrence(10))
    story.ran(occurrence(10), 101, 102, token=2, rerun_id="again")
    story.attempts = [each for each in story.attempts if (each.run_id, each.token) != (occurrence(10), 1)]
    assert kinds(story) == []


def test_a_double_that_a_lost_lease_explains_is_counted_apart(lost):
    verdict = judge(lost.history())
    assert verdict.violations == ()
    assert [(each.kind, each.run_id) for each in verdict.explained] == [(Kind.DOUBLE, occurrence(0))]
    assert "lease_expired" in (verdict.explained[0].explained_by or "")


def test_a_lost_lease_that_the_audit_does_not_name_explains_nothing(lost):
    lost.audit_is_silent = True
    assert kinds(lost) == [Kind.DOUBLE]


def test_a_double_without_a_lost_lease_is_not_explained(lost):
    lost.attempts = [each for each in lost.attempts if each.ended_as != "lost"]
    assert kinds(lost) == [Kind.DOUBLE]


def test_one_attempt_with_two_processes_is_a_double_whatever_the_read_model_says(story):
    story.process(occurrence(10), 11.5, 12, 1)
    assert Kind.DOUBLE in kinds(story)


@pytest.mark.parametrize(("tokens", "found"), [((5, 4), [Kind.DOUBLE]), ((5, 5), [Kind.DOUBLE]), ((4, 5), [])])
def test_an_effect_of_an_earlier_attempt_after_one_of_a_later_is_a_double(story, tokens, found):
    story.effects = [Effect(number=n, run_id=occurrence(10), attempt=n, token=token) for n, token in enumerate(tokens)]
    assert kinds(story) == found


def test_an_occurrence_that_ran_and_is_part_of_a_missed_range_is_a_double(story):
    missed = {"missed_from": at(10), "missed_to": at(20), "missed_count": 2, "reason_code": "catchup_latest"}
    without(story, occurrence(20))
    story.kill(5)
    story.row(occurrence(20), "missed", 10, 30, **missed)
    assert kinds(story) == [Kind.DOUBLE]


# OVERLAP


@pytest.mark.parametrize(
    ("policy", "end", "found"), [("buffer_one", 11, [Kind.OVERLAP]), ("buffer_one", 10.15, []), ("allow_all", 11, [])]
)
def test_two_runs_at_once_overlap_if_the_policy_forbids_it(policy, end, found):
    story = Story()
    story.job(end=10, overlap_policy=policy)
    story.ran(occurrence(0), 0.1, end)
    story.ran(occurrence(10), 10.2, 12)
    assert kinds(story) == found


def test_a_request_runs_beside_an_occurrence_of_a_job_that_skips(story):
    without(story, occurrence(10))
    story.ran(occurrence(10), 10.1, 15)
    story.ran(story.ask(11, "r"), 11.2, 12)
    assert kinds(story) == []


def test_an_occurrence_that_starts_beside_a_request_that_was_open_before_overlaps(story):
    story.ran(story.ask(5, "r"), 5.2, 12)
    assert kinds(story) == [Kind.OVERLAP]


# ZOMBIE


@pytest.mark.parametrize(("alive", "found"), [(16.5, [Kind.ZOMBIE]), (14.9, [])])
def test_a_process_that_lives_on_beside_the_next_attempt_is_a_zombie(lost, alive, found):
    lost.alive(occurrence(0), alive)
    assert kinds(lost) == found


@pytest.mark.parametrize(("alive", "found"), [(15.5, [Kind.ZOMBIE]), (15.1, [])])
def test_a_process_that_lives_on_after_its_lease_is_a_zombie(lost, alive, found):
    lost.alive(occurrence(0), alive)
    assert kinds(lost) == found


# GHOST


def test_a_run_at_a_time_that_no_definition_has_is_a_ghost(story):
    story.ran(occurrence(13), 13.1, 14)
    assert kinds(story) == [Kind.GHOST]


def test_a_run_right_after_a_change_is_no_ghost():
    story = Story()
    story.job(end=10)
    for seconds in (0, 10):
        story.ran(occurrence(seconds), seconds + 0.1, seconds + 1)
    story.acts[-1] = story.acts[-1].__class__(  # its answer came late, so either definition may have decided 20
        sent=at(13), answered=at(19), outcome="accepted", owner=JOB, spec=Spec()
    )
    story.ran(occurrence(20), 20.1, 21)
    assert kinds(story) == []


def test_a_run_that_was_not_asked_for_or_was_refused_is_a_ghost(story):
    story.ran(f"{JOB}#unknown", 5, 6, token=9)
    refused = story.ask(100, "refused", outcome="refused")
    story.ran(refused, 101, 102)
    assert kinds(story) == [Kind.GHOST] * 2


def test_a_process_of_a_job_nobody_knows_is_a_ghost(story):
    story.ran("chaos.1.other#r", 5, 6)
    assert kinds(story) == [Kind.GHOST]


def test_a_run_of_a_paused_job_is_a_ghost_and_its_reason_is_not():
    story = Story()
    story.define(-10, Spec(schedule="*/10 * * * * *", paused=True))
    story.define(14, Spec(schedule="*/10 * * * * *"))
    story.define(17, Spec())
    story.row(occurrence(0), "skipped", 14, 14, reason_code="paused")
    ghost = Story()
    ghost.acts = list(story.acts)
    ghost.ran(occurrence(0), 14.2, 15)
    for each in (story, ghost):
        each.row(occurrence(10), "skipped", 14, 14, reason_code="paused")
    assert (kinds(story), kinds(ghost)) == ([], [Kind.GHOST])


@pytest.mark.parametrize(("start", "found"), [(104, [Kind.GHOST]), (102, [])])
def test_a_process_that_starts_after_its_run_was_cancelled_for_good_is_a_ghost(story, start, found):
    run_id = story.ask(100, "r")
    story.ask(101, "stop", kind="cancel", run_id=run_id)
    story.process(run_id, start, start + 0.5, code=None, term=start + 0.6)
    story.attempt(run_id, start, 103, "cancelled", exit_code=143)
    story.row(run_id, "cancelled", 100, 103, reason_code="cancelled_by_request")
    assert [each for each in kinds(story) if each is not Kind.ZOMBIE] == found


# STATUS_LIE


def test_success_without_such_an_end_of_the_process_is_a_lie(story):
    story.lines = [each for each in story.lines if (each.written.run_id, each.written.event) != (occurrence(10), "end")]
    assert set(kinds(story)) == {Kind.STATUS_LIE}


@pytest.mark.parametrize(("code", "found"), [(8, {Kind.STATUS_LIE}), (7, set())])
def test_another_exit_code_than_the_process_said_is_a_lie(story, code, found):
    without(story, occurrence(10))
    story.process(occurrence(10), 10.1, 11, code=7)
    story.attempt(occurrence(10), 10.1, 11, "failed", exit_code=code)
    story.row(occurrence(10), "failed", 10, 11, reason_code="exit_code")
    assert set(kinds(story)) == found


def test_a_failure_whose_process_succeeded_is_a_lie(story):
    without(story, occurrence(10))
    story.process(occurrence(10), 10.1, 11, code=0)
    story.attempt(occurrence(10), 10.1, 11, "failed", exit_code=0)
    story.row(occurrence(10), "failed", 10, 11, reason_code="exit_code")
    assert Kind.STATUS_LIE in kinds(story)


def test_a_process_that_the_read_model_does_not_know_is_a_lie(story):
    story.runs = [each for each in story.runs if each.run_id != occurrence(10)]
    assert Kind.STATUS_LIE in kinds(story)


def test_a_dag_run_that_succeeded_with_a_failed_node_is_a_lie():
    story = Story()
    story.define(-6, Spec(schedule="* * * * *", nodes=DIAMOND), DAG)
    story.define(30, Spec(nodes=DIAMOND), DAG)
    run_id = story.dag_run(0)
    assert kinds(story) == []
    without(story, f"{run_id}/d")
    story.ran(f"{run_id}/d", 2.5, 3, code=7)
    assert kinds(story) == [Kind.STATUS_LIE]
