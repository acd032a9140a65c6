"""The judge flags no legal history, whatever happened in it, and each history in which one thing is changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.chaos.judge.history import Effect, Spec
from tests.chaos.judge.verdict import judge
from tests.support.chaos_story import DAG, DIAMOND, JOB, Story, at, occurrence

STEP, LAST = 10, 60
HALF_A_STEP = timedelta(seconds=STEP / 2)
SEEDS = st.integers(0, 2**32)
EXAMPLES = 60


def legal(chance: random.Random) -> Story:
    """A job that skips, one that buffers, one that allows all, a DAG, requests, stops, reruns; executors that die."""
    story = Story()
    for policy in ("skip", "buffer_all", "allow_all"):
        _scheduled(story, chance, f"{JOB}.{policy}", policy)
    story.define(-6, Spec(schedule="*/20 * * * * *", nodes=DIAMOND), DAG)
    story.define(LAST + 3, Spec(nodes=DIAMOND), DAG)
    for seconds in range(0, LAST + 1, 20):
        story.dag_run(seconds)
    story.define(-50, Spec(overlap_policy="allow_all"))
    for number in range(chance.randrange(2, 8)):
        _asked(story, chance, number)
    for run in list(story.runs):
        if run.state == "succeeded" and run.kind == "requested":
            story.effects.append(Effect(number=len(story.effects), run_id=run.run_id, attempt=2, token=2))
    return story


def _scheduled(story: Story, chance: random.Random, owner: str, policy: str) -> None:
    wanted = Spec(schedule="*/10 * * * * *", overlap_policy=policy)
    story.define(-6, wanted, owner)
    story.define(LAST + 3, Spec(overlap_policy=policy), owner)
    free, blocker = -1.0, ""
    for seconds in range(0, LAST + 1, STEP):
        run_id = occurrence(seconds, owner)
        if policy == "skip" and free > seconds:
            more = {"reason_code": "overlap_skipped", "blocked_by": blocker}
            story.row(run_id, "skipped", seconds, seconds, **more)
            continue
        begin = max(float(seconds), free if policy == "buffer_all" else 0.0) + chance.uniform(0.05, 0.5)
        free, blocker = _run(story, chance, run_id, begin), run_id


def _run(story: Story, chance: random.Random, run_id: str, begin: float) -> float:
    """Returns when it ended."""
    match chance.choice(("success", "success", "failure", "retry", "lost")):
        case "success":
            end = begin + chance.uniform(0.1, 14)
            story.ran(run_id, begin, end)
        case "failure":
            end = begin + chance.uniform(0.1, 4)
            story.ran(run_id, begin, end, code=7)
        case "retry":
            end = begin + 3.5
            story.process(run_id, begin, begin + 1, code=7)
            story.attempt(run_id, begin, begin + 1, "failed", exit_code=7)
            story.ran(run_id, begin + 2, end, token=2)
        case _:
            end = begin + 20
            story.kill(begin + 0.6)
            story.ran_twice(run_id, begin, begin + 15, begin + 16, end)
    return end


def _asked(story: Story, chance: random.Random, number: int) -> None:
    seconds = 100.0 + 40 * number
    run_id = story.ask(seconds, f"r{number}")
    match chance.choice(("run", "run", "stop", "again", "refused")):
        case "run":
            _run(story, chance, run_id, seconds + 0.2)
        case "stop":
            story.ask(seconds + 2, f"stop{number}", kind="cancel", run_id=run_id)
            story.process(run_id, seconds + 0.2, seconds + 2.3, code=None, term=seconds + 2.3)
            story.attempt(run_id, seconds + 0.2, seconds + 2.4, "cancelled", exit_code=143)
            story.row(run_id, "cancelled", seconds, seconds + 2.4, reason_code="cancelled_by_request")
        case "again":
            story.process(run_id, seconds + 0.2, seconds + 1)
            story.ask(seconds + 5, f"again{number}", kind="rerun", run_id=run_id)
            story.ran(run_id, seconds + 5.2, seconds + 6, token=2, rerun_id=f"again{number}")
        case _:
            story.acts.pop()
            story.ask(seconds, f"r{number}", outcome="refused")


# Each changes one thing of a legal history, and says whether it found something to change.
Mutation = Callable[[Story, random.Random], bool]


def drop_a_run(story: Story, chance: random.Random) -> bool:
    run_id = chance.choice([each.run_id for each in story.runs if each.node_id is None])
    story.runs = [each for each in story.runs if each.run_id.partition("/")[0] != run_id]
    story.lines = [each for each in story.lines if each.written.run_id.partition("/")[0] != run_id]
    return True


def drop_a_row(story: Story, chance: random.Random) -> bool:
    gone = chance.choice(story.runs)
    story.runs = [each for each in story.runs if each is not gone]
    return True


def drop_an_end(story: Story, chance: random.Random) -> bool:
    """Of an attempt that the read model knows; a rerun begins the history of its run anew."""
    known = {(each.run_id, each.token) for each in story.attempts}
    ends = [each for each in story.lines if each.written.event == "end"]
    gone = chance.choice([each for each in ends if (each.written.run_id, each.written.token) in known])
    story.lines = [each for each in story.lines if each is not gone]
    return True


def add_a_start(story: Story, chance: random.Random) -> bool:
    """Of a run that had succeeded, long after."""
    succeeded = chance.choice([each for each in story.runs if each.state == "succeeded" and each.kind != "dag"])
    story.process(succeeded.run_id, 500, 501, token=9)
    return True


def start_before_the_time(story: Story, chance: random.Random) -> bool:
    first: dict[str, int] = {}
    for index, each in enumerate(story.lines):
        if each.written.event == "start" and "/" not in each.written.run_id and "@" in each.written.run_id:
            first.setdefault(each.written.run_id, index)
    index = chance.choice(sorted(first.values()))
    line = story.lines[index]
    story.lines[index] = msgspec.structs.replace(line, at=line.written.nominal - HALF_A_STEP)
    return True


def live_on_beside_the_next_attempt(story: Story, chance: random.Random) -> bool:
    lost = [each for each in story.attempts if each.ended_as == "lost"]
    if not lost:
        return False
    each = chance.choice(lost)
    assert each.finished_at is not None
    story.alive(each.run_id, (each.finished_at - at(0)).total_seconds() + 2, each.token)
    return True


def invent_a_run(story: Story, chance: random.Random) -> bool:
    seconds = chance.randrange(0, LAST, STEP) + STEP / 2
    story.ran(chance.choice([occurrence(seconds, f"{JOB}.allow_all"), f"{JOB}#invented"]), 590, 591)
    return True


def lie_about_the_state(story: Story, chance: random.Random) -> bool:
    index = chance.choice([n for n, each in enumerate(story.runs) if each.state in ("succeeded", "failed")])
    run = story.runs[index]
    other = "failed" if run.state == "succeeded" else "succeeded"
    story.runs[index] = msgspec.structs.replace(run, state=other)
    return True


def lie_about_an_exit_code(story: Story, chance: random.Random) -> bool:
    index = chance.choice([n for n, each in enumerate(story.attempts) if each.ended_as in ("succeeded", "failed")])
    story.attempts[index] = msgspec.structs.replace(story.attempts[index], exit_code=3)
    return True


def leave_a_run_open(story: Story, chance: random.Random) -> bool:
    index = chance.randrange(len(story.runs))
    story.runs[index] = msgspec.structs.replace(story.runs[index], state="running", finished_at=None)
    return True


def forget_a_lost_lease(story: Story, chance: random.Random) -> bool:
    lost = [each for each in story.attempts if each.ended_as == "lost"]
    if not lost:
        return False
    gone = chance.choice(lost)
    story.attempts = [each for each in story.attempts if each is not gone]
    return True


def let_an_old_effect_pass(story: Story, chance: random.Random) -> bool:
    if not story.effects:
        return False
    passed = chance.choice(story.effects)
    story.effects.append(msgspec.structs.replace(passed, number=len(story.effects), token=1))
    return True


MUTATIONS: tuple[Mutation, ...] = (
    drop_a_run,
    drop_a_row,
    drop_an_end,
    add_a_start,
    start_before_the_time,
    live_on_beside_the_next_attempt,
    invent_a_run,
    lie_about_the_state,
    lie_about_an_exit_code,
    leave_a_run_open,
    forget_a_lost_lease,
    let_an_old_effect_pass,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(SEEDS)
def test_a_legal_history_is_never_flagged(seed):
    verdict = judge(legal(random.Random(seed)).history())
    assert verdict.violations == ()
    assert verdict.tally.matched >= LAST // STEP


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.__name__)
@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(SEEDS)
def test_a_history_with_one_change_is_always_flagged(mutation, seed):
    chance = random.Random(seed)
    story = legal(chance)
    assume(mutation(story, chance))
    assert judge(story.history()).violations != ()
