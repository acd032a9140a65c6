"""Backfills of a DAG: each occurrence is a DAG run, a few at a time, beside all others, and whenever the owner dies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.dag import NodeSpec
from schemas.event import EndCause
from schemas.ids import RunId, dag_run_of, occurrence_run_id
from schemas.status import RunStatus
from schemas.words import OPEN_STATES, RunKind, RunState, TriggerRule
from streams.core.requests import backfill as core
from streams.core.room import Bounds
from tests.support import checkers
from tests.support.dag_reference import every_epoch_ends, no_node_before_its_rule_holds
from tests.support.simulated.backfilled_job import MINUTE, asked, during, history
from tests.support.simulated.crashing_owner import Fate, World
from tests.support.simulated.log import START, Log, ended, started

PARENT = "dag#bf"


def node(node_id: str, *depends_on: str, **fields: object) -> NodeSpec:
    return NodeSpec(node_id=node_id, executable="s3://tidemill/x", depends_on=depends_on, **fields)


CHAIN = (node("a"), node("b", "a"))
DIAMOND = (node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c", trigger_rule=TriggerRule.ALL_DONE))


def at(minute: int) -> RunId:
    return occurrence_run_id("dag", START + minute * MINUTE)


class Mill(World):
    """The DAG `dag`, due every minute, and an executor that works when it is told to; nodes named here fail."""

    def __init__(self, *nodes: NodeSpec, fails: tuple[str, ...] = (), **fields: object) -> None:
        super().__init__(Log())
        self.nodes, self.fails = nodes, fails
        self.log.define_dag(*nodes, **{"schedule": "* * * * *", **fields})
        self.owner = self.log.recover()
        self.turn(Fate.COMMITTED, 0)

    def ask(self, begin: int, end: int, request_id: str = "bf", **fields: object) -> None:
        self.owner.offer(self.log.request_dag(request_id, **asked(begin, end, self.log.now, **fields)))
        self.go_on()

    def go_on(self) -> None:
        for _ in range(60):
            self.turn(Fate.COMMITTED, 0)

    def take(self) -> list[str]:
        """What was dispatched since it was asked before; each has a process now."""
        new = self.log.dispatches()[self.reported :]
        self.reported += len(new)
        for each in new:
            self.owner.offer(self.log.report(started(each, self.log.now)))
        self.go_on()
        return [each.run_id for each in new]

    def end(self, run_id: str, cause: EndCause = EndCause.EXITED) -> None:
        dispatch = next(each for each in reversed(self.log.dispatches()) if each.run_id == run_id)
        code = int(run_id.rpartition("/")[2] in self.fails)
        self.owner.offer(self.log.report(ended(dispatch, self.log.now, code, cause)))
        self.go_on()

    def work(self) -> list[str]:
        """Until nothing is dispatched any more; the nodes' runs in their order."""
        order = []
        while new := self.take():
            order += new
            for run_id in new:
                self.end(run_id)
        return order

    def status(self, run_id: str) -> RunStatus:
        return self.log.statuses()[run_id]

    def opened(self) -> set[str]:
        return {run_id for run_id, each in self.log.statuses().items() if each.nodes is not None and is_open(each)}


def is_open(status: RunStatus) -> bool:
    return status.state in OPEN_STATES


def test_each_occurrence_is_a_dag_run_of_its_time_and_they_run_one_by_one() -> None:
    mill = Mill(*CHAIN)
    mill.ask(-3, -1)
    assert mill.opened() == {at(-3)}
    assert mill.work() == [f"{at(minute)}/{name}" for minute in (-3, -2) for name in "ab"]
    assert {each.nominal_time for each in mill.log.dispatches()} == {START - 3 * MINUTE, START - 2 * MINUTE}
    run = mill.status(at(-2))
    assert (run.kind, run.state, run.request_id, run.rerun_id) == (RunKind.DAG, RunState.SUCCEEDED, "bf", "bf")
    assert run.nodes == {RunState.SUCCEEDED: 2}
    assert mill.status(PARENT).reason == "all 2 runs succeeded"
    assert not [key for key in mill.log.stored() if key.startswith(("bf/", "run/", "dag/"))]


def test_its_dag_runs_are_counted_beside_those_of_the_schedule_and_neither_waits_for_the_other() -> None:
    mill = Mill(*CHAIN, max_active_epochs=1)
    mill.owner.offer(mill.log.request_dag("live"))
    mill.go_on()
    mill.ask(-4, 0, max_active_runs=2, run_backwards=True)
    assert mill.opened() == {"dag#live", at(-1), at(-2)}
    for run_id in ("dag#live/a", "dag#live/b"):
        mill.take()
        mill.end(run_id)
    mill.turn(Fate.COMMITTED, 60)
    mill.go_on()
    assert mill.opened() == {at(1), at(-1), at(-2)}
    assert mill.status(at(1)).request_id is None


def test_nodes_of_live_work_go_before_those_of_a_backfill() -> None:
    mill = Mill(*CHAIN, node("c"), node("d"))
    mill.owner.state.rules = type(mill.owner.state.rules)(probe_window=1)
    mill.ask(-1, 0)
    mill.owner.offer(mill.log.request_dag("live"))
    mill.go_on()
    assert mill.take() == [f"{at(-1)}/a"]
    mill.end(f"{at(-1)}/a")
    assert mill.work() == [*(f"dag#live/{name}" for name in "abcd"), *(f"{at(-1)}/{name}" for name in "bcd")]


def test_a_dag_run_that_runs_again_begins_anew_and_its_nodes_count_their_attempts_on() -> None:
    mill = Mill(*CHAIN, fails=("a",))
    mill.ask(-2, 0, ran={during(-2): None, during(-1): 3})
    assert mill.work() == [f"{at(-1)}/a"]
    assert [each.attempt for each in mill.log.dispatches()] == [4]
    assert mill.status(f"{at(-1)}/b").state is RunState.UPSTREAM_FAILED
    assert mill.status(PARENT).reason == "1 of 1 runs did not succeed"
    lives = {mill.status(f"{at(-1)}{node}").rerun_id for node in ("", "/a", "/b")}
    assert lives == {mill.status(PARENT).request_id}, "or a sink that reads both lives at once takes them for one"


def test_what_is_left_of_the_life_before_is_not_taken_for_that_of_a_dag_run_that_runs_again(monkeypatch) -> None:
    monkeypatch.setattr(Log, "bounds", Bounds(nodes=2))
    nodes = tuple(node(f"n{number}") for number in range(9))
    mill = Mill(*nodes)
    mill.ask(-1, 0)
    again = asked(-1, 0, mill.log.now, reprocess="completed", ran={during(-1): 1})
    while len(mill.log.dispatches()) < len(nodes) or mill.reported < len(nodes):
        execute(mill)
        mill.turn(Fate.COMMITTED, 0)
    mill.owner.offer(mill.log.request_dag("again", **again))
    for _ in range(40):
        mill.turn(Fate.UNKNOWN, 0)
        execute(mill)
    finish(mill)
    assert [each.attempt for each in mill.log.dispatches()] == [1] * len(nodes) + [2] * len(nodes)
    assert mill.status("dag#again").state is RunState.SUCCEEDED
    assert not [key for key in mill.log.stored() if key.startswith("dag/")]


def test_a_cancelled_backfill_stops_the_nodes_of_its_dag_runs_and_opens_no_more() -> None:
    mill = Mill(*CHAIN)
    mill.ask(-5, 0, max_active_runs=2)
    at_work = mill.take()
    mill.owner.offer(mill.log.request_dag("stop", kind="cancel", run_id=PARENT))
    mill.go_on()
    assert [each.run_id for each in mill.log.kills()] == at_work
    assert mill.status(PARENT).state is RunState.CANCELLING
    for run_id in at_work:
        mill.end(run_id, EndCause.CANCELLED)
    assert {each.state for each in mill.log.statuses().values()} == {RunState.CANCELLED}
    assert len(mill.log.dispatches()) == len(at_work)


def test_deleting_the_dag_lets_open_dag_runs_finish_and_opens_no_more() -> None:
    mill = Mill(*CHAIN)
    mill.ask(-3, 0)
    mill.owner.offer(mill.log.define_dag(version=2, deleted=True))
    mill.go_on()
    assert mill.work() == [f"{at(-3)}/a", f"{at(-3)}/b"]
    assert [mill.status(each).state for each in (at(-3), at(-2), PARENT)] == [
        RunState.SUCCEEDED,
        RunState.CANCELLED,
        RunState.CANCELLED,
    ]


@pytest.mark.parametrize(
    ("fields", "asked_for", "sentence"),
    [
        ({"schedule": None}, {}, "refused: DAG 'dag' has no schedule, so nothing was ever due"),
        ({}, {"max_active_runs": 7}, "refused: max_active_runs is 7: of a DAG with 2 nodes, 14 could be"),
        ({}, {"dry_run": True}, "2 of 2 would run, from 2026-03-01T11:58:00.000Z to 2026-03-01T11:59:00.000Z"),
    ],
)
def test_what_does_not_run_says_why(monkeypatch, fields, asked_for, sentence) -> None:
    monkeypatch.setattr(core, "MAX_OPEN", 13)
    mill = Mill(*CHAIN, **fields)
    mill.ask(-2, 0, **asked_for)
    assert mill.status(PARENT).state is RunState.SKIPPED
    assert sentence in (mill.status(PARENT).reason or "")
    assert list(mill.log.statuses()) == [PARENT]


def test_a_backfill_says_whether_it_is_of_a_job_or_of_a_dag() -> None:
    mill = Mill(*CHAIN)
    mill.ask(-2, 0, dag_id=None, job_id="dag")
    (letter,) = [each for each in mill.log.written if each.topic == "deadletter"]
    assert (
        dict(letter.headers)["reason"]
        == b"""request 'bf' is refused: job_id is "dag": it is a DAG; name it in dag_id"""
    )


turns = st.lists(
    st.tuples(
        st.sampled_from(["work", "work", "work", "wait", "cancel one", "live"]),
        st.sampled_from([Fate.COMMITTED] * 5 + [Fate.LOST, Fate.UNKNOWN]),
    ),
    max_size=50,
)


@pytest.fixture(scope="module", autouse=True)
def small_transactions() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "bounds", Bounds(effects=9))
        yield


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(
    turns=[("work", Fate.COMMITTED)] * 9 + [("work", Fate.UNKNOWN), ("cancel one", Fate.UNKNOWN)],
    cancel_at=None,
    active=2,
    fails="-",
)
@example(  # the transaction is full, and holds nothing that is urgent
    turns=[("live", Fate.LOST)] * 2 + [("live", Fate.COMMITTED)] * 2, cancel_at=None, active=1, fails="-"
)
@given(turns=turns, cancel_at=st.none() | st.integers(0, 40), active=st.integers(1, 3), fails=st.sampled_from("-b"))
def test_whenever_the_owner_dies_each_dag_run_is_there_once_and_the_backfill_ends(
    *, turns: list[tuple[str, Fate]], cancel_at: int | None, active: int, fails: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "bounds", Bounds(effects=9, nodes=2))
        world = Mill(*DIAMOND, fails=(fails,))
        fields = {"max_active_runs": active, "ran": {during(-4): None, during(-2): 2}}
        world.owner.offer(world.log.request_dag("bf", **asked(-5, 0, START, **fields)))
        for number, (what, fate) in enumerate(turns):
            if number == cancel_at:
                world.owner.offer(world.log.request_dag("stop", kind="cancel", run_id=PARENT))
            act(world, number, what)
            world.turn(fate, 0)
            opened = world.opened() - {f"dag#live-{each}" for each in range(len(turns))}
            assert len(opened) <= active
        finish(world)
    statuses = world.log.statuses()
    mine = {run_id for run_id, each in statuses.items() if each.request_id == "bf" and each.kind is RunKind.DAG}
    wanted = {at(minute) for minute in range(-5, 0)} - {at(-4)}
    is_cancelled = statuses[PARENT].state is RunState.CANCELLED
    assert mine <= wanted if is_cancelled else mine == wanted
    assert not [each for each in statuses.values() if is_open(each)]
    judge(world)
    unsuccessful = [run_id for run_id in mine if statuses[run_id].state is not RunState.SUCCEEDED]
    if not is_cancelled:
        assert statuses[PARENT].state is (RunState.FAILED if unsuccessful else RunState.SUCCEEDED)
    assert not [key for key in world.log.stored() if key.startswith(("bf/", "run/", "dag"))]


def act(world: Mill, number: int, what: str) -> None:
    match what:
        case "work":
            execute(world)
        case "cancel one":
            fields = {"kind": "cancel", "run_id": at(-1 - number % 5)}
            world.owner.offer(world.log.request_dag(f"one-{number}", **fields))
        case "live":
            world.owner.offer(world.log.request_dag(f"live-{number}"))
        case _:
            world.log.now += timedelta(seconds=0.5)


def execute(world: Mill) -> None:
    dispatches = world.log.dispatches()
    if world.reported < len(dispatches):
        dispatch = dispatches[world.reported]
        world.reported += 1
        code = int(dispatch.run_id.rpartition("/")[2] in world.fails)
        now = world.log.now
        world.owner.offer(world.log.report(started(dispatch, now), ended(dispatch, now, code)))


def finish(world: Mill) -> None:
    for _ in range(1_000):
        execute(world)
        world.turn(Fate.COMMITTED, 0)
        state = world.owner.state
        is_idle = not (state.durable.runs or world.owner.backlog or state.has_more_to_do)
        if is_idle and world.reported == len(world.log.dispatches()):
            return


def judge(world: Mill) -> None:
    told = history(world.log)
    assert checkers.materialized_once(told) == []
    assert checkers.legal_history(told) == []
    assert checkers.dispatched_once(world.log.dispatches()) == []
    assert checkers.stays_cancelled(told, world.log.dispatches()) == []
    opened = [each for each in told if each.dag_id and world.status(dag_run_of(each.run_id)).nodes is not None]
    assert no_node_before_its_rule_holds(opened, world.nodes) == []
    assert every_epoch_ends(opened, world.nodes) == []
