"""Backfills of a DAG: each occurrence is a DAG run, a few at a time, also when the owner crashes."""

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
from tests.support.simulated.backfilled_job import MINUTE, backfill_request, history, time_in_run_id
from tests.support.simulated.crashing_owner import CrashScenario, Fate
from tests.support.simulated.log import START, Log, ended, started

PARENT = "dag#bf"


def node(node_id: str, *depends_on: str, **fields: object) -> NodeSpec:
    return NodeSpec(node_id=node_id, executable="s3://tidemill/x", depends_on=depends_on, **fields)


CHAIN = (node("a"), node("b", "a"))
DIAMOND = (node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c", trigger_rule=TriggerRule.ALL_DONE))


def at(minute: int) -> RunId:
    return occurrence_run_id("dag", START + minute * MINUTE)


class DagBackfillScenario(CrashScenario):
    """The DAG `dag`, due every minute, and an executor that a test drives; the nodes in `fails` fail."""

    def __init__(self, *nodes: NodeSpec, fails: tuple[str, ...] = (), **fields: object) -> None:
        super().__init__(Log())
        self.nodes, self.fails = nodes, fails
        self.log.define_dag(*nodes, **{"schedule": "* * * * *", **fields})
        self.owner = self.log.recover()
        self.turn(Fate.COMMITTED, 0)

    def backfill(self, begin: int, end: int, request_id: str = "bf", **fields: object) -> None:
        self.owner.offer(self.log.request_dag(request_id, **backfill_request(begin, end, self.log.now, **fields)))
        self.go_on()

    def go_on(self) -> None:
        for _ in range(60):
            self.turn(Fate.COMMITTED, 0)

    def take(self) -> list[str]:
        """Starts everything dispatched since the last call; returns the run ids."""
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

    def run_all(self) -> list[str]:
        """Runs everything that is dispatched, until nothing is left; returns the node runs in order."""
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


def test_each_occurrence_becomes_a_dag_run_and_they_run_one_by_one() -> None:
    scenario = DagBackfillScenario(*CHAIN)
    scenario.backfill(-3, -1)
    assert scenario.opened() == {at(-3)}
    assert scenario.run_all() == [f"{at(minute)}/{name}" for minute in (-3, -2) for name in "ab"]
    assert {each.nominal_time for each in scenario.log.dispatches()} == {START - 3 * MINUTE, START - 2 * MINUTE}
    run = scenario.status(at(-2))
    assert (run.kind, run.state, run.request_id, run.rerun_id) == (RunKind.DAG, RunState.SUCCEEDED, "bf", "bf")
    assert run.nodes == {RunState.SUCCEEDED: 2}
    assert scenario.status(PARENT).reason == "all 2 runs succeeded"
    assert not [key for key in scenario.log.stored() if key.startswith(("bf/", "run/", "dag/"))]


def test_backfilled_and_scheduled_dag_runs_have_separate_limits() -> None:
    scenario = DagBackfillScenario(*CHAIN, max_active_epochs=1)
    scenario.owner.offer(scenario.log.request_dag("live"))
    scenario.go_on()
    scenario.backfill(-4, 0, max_active_runs=2, run_backwards=True)
    assert scenario.opened() == {"dag#live", at(-1), at(-2)}
    for run_id in ("dag#live/a", "dag#live/b"):
        scenario.take()
        scenario.end(run_id)
    scenario.turn(Fate.COMMITTED, 60)
    scenario.go_on()
    assert scenario.opened() == {at(1), at(-1), at(-2)}
    assert scenario.status(at(1)).request_id is None


def test_live_nodes_are_dispatched_before_backfilled_ones() -> None:
    scenario = DagBackfillScenario(*CHAIN, node("c"), node("d"))
    scenario.owner.state.settings = type(scenario.owner.state.settings)(probe_window=1)
    scenario.backfill(-1, 0)
    scenario.owner.offer(scenario.log.request_dag("live"))
    scenario.go_on()
    assert scenario.take() == [f"{at(-1)}/a"]
    scenario.end(f"{at(-1)}/a")
    assert scenario.run_all() == [*(f"dag#live/{name}" for name in "abcd"), *(f"{at(-1)}/{name}" for name in "bcd")]


def test_a_rerun_dag_run_starts_anew_and_its_nodes_continue_their_attempt_numbers() -> None:
    scenario = DagBackfillScenario(*CHAIN, fails=("a",))
    scenario.backfill(-2, 0, ran={time_in_run_id(-2): None, time_in_run_id(-1): 3})
    assert scenario.run_all() == [f"{at(-1)}/a"]
    assert [each.attempt for each in scenario.log.dispatches()] == [4]
    assert scenario.status(f"{at(-1)}/b").state is RunState.UPSTREAM_FAILED
    assert scenario.status(PARENT).reason == "1 of 1 runs did not succeed"
    lives = {scenario.status(f"{at(-1)}{node}").rerun_id for node in ("", "/a", "/b")}
    assert lives == {scenario.status(PARENT).request_id}, "or a sink that reads both lives at once takes them for one"


def test_a_rerun_dag_run_ignores_records_of_its_former_life(monkeypatch) -> None:
    monkeypatch.setattr(Log, "bounds", Bounds(nodes=2))
    nodes = tuple(node(f"n{number}") for number in range(9))
    scenario = DagBackfillScenario(*nodes)
    scenario.backfill(-1, 0)
    again = backfill_request(-1, 0, scenario.log.now, reprocess="completed", ran={time_in_run_id(-1): 1})
    while len(scenario.log.dispatches()) < len(nodes) or scenario.reported < len(nodes):
        execute(scenario)
        scenario.turn(Fate.COMMITTED, 0)
    scenario.owner.offer(scenario.log.request_dag("again", **again))
    for _ in range(40):
        scenario.turn(Fate.UNKNOWN, 0)
        execute(scenario)
    finish(scenario)
    assert [each.attempt for each in scenario.log.dispatches()] == [1] * len(nodes) + [2] * len(nodes)
    assert scenario.status("dag#again").state is RunState.SUCCEEDED
    assert not [key for key in scenario.log.stored() if key.startswith("dag/")]


def test_a_cancelled_backfill_stops_its_nodes_and_opens_no_more_dag_runs() -> None:
    scenario = DagBackfillScenario(*CHAIN)
    scenario.backfill(-5, 0, max_active_runs=2)
    at_work = scenario.take()
    scenario.owner.offer(scenario.log.request_dag("stop", kind="cancel", run_id=PARENT))
    scenario.go_on()
    assert [each.run_id for each in scenario.log.kills()] == at_work
    assert scenario.status(PARENT).state is RunState.CANCELLING
    for run_id in at_work:
        scenario.end(run_id, EndCause.CANCELLED)
    assert {each.state for each in scenario.log.statuses().values()} == {RunState.CANCELLED}
    assert len(scenario.log.dispatches()) == len(at_work)


def test_after_the_dag_is_deleted_open_dag_runs_finish_and_no_more_open() -> None:
    scenario = DagBackfillScenario(*CHAIN)
    scenario.backfill(-3, 0)
    scenario.owner.offer(scenario.log.define_dag(version=2, deleted=True))
    scenario.go_on()
    assert scenario.run_all() == [f"{at(-3)}/a", f"{at(-3)}/b"]
    assert [scenario.status(each).state for each in (at(-3), at(-2), PARENT)] == [
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
def test_a_backfill_that_does_not_run_has_a_reason(monkeypatch, fields, asked_for, sentence) -> None:
    monkeypatch.setattr(core, "MAX_OPEN", 13)
    scenario = DagBackfillScenario(*CHAIN, **fields)
    scenario.backfill(-2, 0, **asked_for)
    assert scenario.status(PARENT).state is RunState.SKIPPED
    assert sentence in (scenario.status(PARENT).reason or "")
    assert list(scenario.log.statuses()) == [PARENT]


def test_a_backfill_of_a_dag_must_name_it_in_dag_id() -> None:
    scenario = DagBackfillScenario(*CHAIN)
    scenario.backfill(-2, 0, dag_id=None, job_id="dag")
    (letter,) = [each for each in scenario.log.written if each.topic == "deadletter"]
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
@example(  # the transaction is full, without an urgent effect
    turns=[("live", Fate.LOST)] * 2 + [("live", Fate.COMMITTED)] * 2, cancel_at=None, active=1, fails="-"
)
@given(turns=turns, cancel_at=st.none() | st.integers(0, 40), active=st.integers(1, 3), fails=st.sampled_from("-b"))
def test_whenever_the_owner_crashes_each_dag_run_exists_once_and_the_backfill_ends(
    *, turns: list[tuple[str, Fate]], cancel_at: int | None, active: int, fails: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "bounds", Bounds(effects=9, nodes=2))
        scenario = DagBackfillScenario(*DIAMOND, fails=(fails,))
        fields = {"max_active_runs": active, "ran": {time_in_run_id(-4): None, time_in_run_id(-2): 2}}
        scenario.owner.offer(scenario.log.request_dag("bf", **backfill_request(-5, 0, START, **fields)))
        for number, (what, fate) in enumerate(turns):
            if number == cancel_at:
                scenario.owner.offer(scenario.log.request_dag("stop", kind="cancel", run_id=PARENT))
            act(scenario, number, what)
            scenario.turn(fate, 0)
            opened = scenario.opened() - {f"dag#live-{each}" for each in range(len(turns))}
            assert len(opened) <= active
        finish(scenario)
    statuses = scenario.log.statuses()
    mine = {run_id for run_id, each in statuses.items() if each.request_id == "bf" and each.kind is RunKind.DAG}
    wanted = {at(minute) for minute in range(-5, 0)} - {at(-4)}
    is_cancelled = statuses[PARENT].state is RunState.CANCELLED
    assert mine <= wanted if is_cancelled else mine == wanted
    assert not [each for each in statuses.values() if is_open(each)]
    judge(scenario)
    unsuccessful = [run_id for run_id in mine if statuses[run_id].state is not RunState.SUCCEEDED]
    if not is_cancelled:
        assert statuses[PARENT].state is (RunState.FAILED if unsuccessful else RunState.SUCCEEDED)
    assert not [key for key in scenario.log.stored() if key.startswith(("bf/", "run/", "dag"))]


def act(scenario: DagBackfillScenario, number: int, what: str) -> None:
    match what:
        case "work":
            execute(scenario)
        case "cancel one":
            fields = {"kind": "cancel", "run_id": at(-1 - number % 5)}
            scenario.owner.offer(scenario.log.request_dag(f"one-{number}", **fields))
        case "live":
            scenario.owner.offer(scenario.log.request_dag(f"live-{number}"))
        case _:
            scenario.log.now += timedelta(seconds=0.5)


def execute(scenario: DagBackfillScenario) -> None:
    dispatches = scenario.log.dispatches()
    if scenario.reported < len(dispatches):
        dispatch = dispatches[scenario.reported]
        scenario.reported += 1
        code = int(dispatch.run_id.rpartition("/")[2] in scenario.fails)
        now = scenario.log.now
        scenario.owner.offer(scenario.log.report(started(dispatch, now), ended(dispatch, now, code)))


def finish(scenario: DagBackfillScenario) -> None:
    for _ in range(1_000):
        execute(scenario)
        scenario.turn(Fate.COMMITTED, 0)
        state = scenario.owner.state
        is_idle = not (state.durable.runs or scenario.owner.backlog or state.has_more_to_do)
        if is_idle and scenario.reported == len(scenario.log.dispatches()):
            return


def judge(scenario: DagBackfillScenario) -> None:
    told = history(scenario.log)
    assert checkers.materialized_once(told) == []
    assert checkers.legal_history(told) == []
    assert checkers.dispatched_once(scenario.log.dispatches()) == []
    assert checkers.no_dispatch_after_stop(told, scenario.log.dispatches()) == []
    opened = [each for each in told if each.dag_id and scenario.status(dag_run_of(each.run_id)).nodes is not None]
    assert no_node_before_its_rule_holds(opened, scenario.nodes) == []
    assert every_epoch_ends(opened, scenario.nodes) == []
