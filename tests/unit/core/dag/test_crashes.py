"""DAG runs end as the reference says, each node once, whenever the owner crashes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import decode
from schemas.dag import NodeSpec
from schemas.dispatch import Dispatch
from schemas.event import Ended
from schemas.ids import dag_run_of
from schemas.result import Result
from schemas.status import RunStatus
from schemas.topics import STATE
from schemas.words import RunState, TriggerRule
from streams.core.room import Bounds
from streams.core.stored import EpochBase, StoredEpoch
from tests.support import checkers
from tests.support.dag_reference import (
    every_epoch_ends,
    expected_result,
    expected_states,
    no_node_before_its_rule_holds,
    one_epoch_at_a_time,
)
from tests.support.raw_json import raw
from tests.support.simulated.crashing_owner import CrashScenario, Fate
from tests.support.simulated.dag_scenario import request_for_run
from tests.support.simulated.log import Log, ended, started

fates = st.sampled_from([Fate.COMMITTED] * 6 + [Fate.LOST, Fate.UNKNOWN])
SKIPS = 99
"""The exit code of a node that skips its dependents."""
FAILURE = {1: RunState.FAILED, 2: RunState.DEAD, 3: RunState.DEAD}
"""`max_attempts` -> DAG."""


@pytest.fixture(autouse=True, scope="module")
def small_transactions():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "bounds", Bounds(effects=20, nodes=3))
        yield


@st.composite
def dags(draw, most: int = 12) -> tuple[tuple[NodeSpec, ...], dict[str, bool], dict[str, tuple[str, ...]]]:
    """Nodes in topological order, the set that fails, and the choices of the others."""
    names = [f"n{number}" for number in range(draw(st.integers(1, most)))]
    nodes = tuple(
        NodeSpec(
            node_id=name,
            executable="s3://tidemill/x",
            depends_on=tuple(draw(st.lists(st.sampled_from(names[:number]), unique=True, max_size=4)))
            if number
            else (),
            trigger_rule=draw(st.sampled_from(TriggerRule)),
            max_attempts=draw(st.sampled_from([1, 1, 2])),
            skip_exit_codes=(SKIPS,),
        )
        for number, name in enumerate(names)
    )
    chosen = {}
    for name in names:
        children = [each.node_id for each in nodes if name in each.depends_on]
        choice = st.lists(st.sampled_from(children), unique=True).map(tuple) if children else st.just(())
        chosen[name] = draw(st.none() | choice)
    fails = {name: draw(st.sampled_from([False, False, True])) for name in names}
    return nodes, fails, {name: choice for name, choice in chosen.items() if choice is not None}


def large_dag(dice: Random) -> tuple[tuple[NodeSpec, ...], dict[str, bool], dict[str, tuple[str, ...]]]:
    """100 to 200 nodes that depend on nodes shortly before them, with skips, failures and choices."""
    names = [f"n{number}" for number in range(dice.randint(100, 200))]
    rules = dice.choices(tuple(TriggerRule), k=len(names))
    nodes = tuple(
        NodeSpec(
            node_id=name,
            executable="s3://tidemill/x",
            depends_on=tuple(dice.sample(names[max(0, number - 20) : number], k=min(number, dice.randint(0, 4)))),
            trigger_rule=dice.choice((rules[number], TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE)),
            max_attempts=dice.choice((1, 1, 2)),
            skip_exit_codes=(SKIPS,),
        )
        for number, name in enumerate(names)
    )
    choosers = dice.sample(names, k=len(names) // 8)
    chosen = {
        name: tuple(node.node_id for node in nodes if name in node.depends_on and dice.random() < 0.5)
        for name in choosers
    }
    return nodes, {name: dice.random() < 0.2 for name in names}, chosen


class DagCrashScenario(CrashScenario):
    """A DAG whose nodes end in any order; a failing node fails at every attempt."""

    def __init__(self, fails: dict[str, bool], chosen: dict[str, tuple[str, ...]] | None = None) -> None:
        super().__init__(Log())
        self.fails, self.chosen = fails, chosen or {}
        self.at_work: list[int] = []
        self.seen = 0

    def finish(self, pick: int, times: int = 1, *, backwards: bool = False) -> None:
        """Ends one node; its executor reports the events once or more often, in either order."""
        dispatches = self.log.dispatches()
        self.at_work += range(self.seen, len(dispatches))
        self.seen = len(dispatches)
        if self.at_work:
            dispatch = dispatches[self.at_work.pop(pick % len(self.at_work))]
            events = (started(dispatch, self.log.now), self._end_of(dispatch))
            for _ in range(times):
                self.owner.offer(self.log.report(*(reversed(events) if backwards else events)))

    def _end_of(self, dispatch: Dispatch) -> Ended:
        """Each node's result is its own id. A node chooses nothing by an empty list or by a skip exit code."""
        name = dispatch.run_id.rpartition("/")[2]
        if self.fails[name]:
            return ended(dispatch, self.log.now, 1)
        choice = self.chosen.get(name)
        if choice == () and dispatch.token % 2:
            return ended(dispatch, self.log.now, SKIPS)
        result = Result(bytes=8, value=raw(name))
        return ended(dispatch, self.log.now, result=result, next_nodes=choice)

    def settle(self) -> None:
        for _ in range(3_000):
            self.turn(Fate.COMMITTED, 1)
            self.finish(0)
            state = self.owner.state
            if not (
                self.owner.backlog or state.durable.cursor or state.durable.runs or state.has_more_to_do or self.at_work
            ):
                return


def children_get_what_was_handed_on(scenario: DagCrashScenario, nodes: tuple[NodeSpec, ...]) -> list[str]:
    """Checks the inputs of each dispatch: the results of dependencies that had ended before it."""
    needed = {node.node_id: node.depends_on for node in nodes}
    lives: dict[str, dict[str | None, RunStatus]] = {}
    for status in scenario.history():
        lives.setdefault(status.run_id, {})[status.rerun_id] = status
    bases = bases_by_run(scenario.log)
    problems = []
    for dispatch in scenario.log.dispatches():
        run_id, _, name = dispatch.run_id.rpartition("/")
        results = dispatch.results or {}
        problems += [] if tuple(results) == needed[name] else [f"{dispatch.run_id} hears of {list(results)}"]
        before = (each for each in bases[run_id] if each.as_of < dispatch.token)
        base = max(before, key=lambda each: each.as_of, default=None)
        for parent, result in results.items():
            last = life_at(dispatch.token, lives.get(f"{run_id}/{parent}", {}))
            ended_at = last.transitions[-1].version if last and last.state.is_final else dispatch.token
            has_ended = ended_at < dispatch.token and not (base and is_to_end_again(parent, ended_at, base))
            wanted = last.result if last and has_ended else None
            problems += [] if result == wanted else [f"{dispatch.run_id} gets {result} of {parent}, not {wanted}"]
    return problems


def bases_by_run(log: Log) -> dict[str, list[EpochBase]]:
    """The states that each rerun or mark kept, by DAG run. They do not follow from the lives of the nodes: a later
    request may mark a waiting node, or rerun its dependents.
    """
    bases: dict[str, list[EpochBase]] = defaultdict(list)
    for record in log.written:
        kind, _, run_id = record.key.partition("/")
        if record.topic == STATE and kind == "dag" and "/" not in run_id and record.value:
            base = decode(record.value, StoredEpoch).base
            bases[run_id] += [base] if base else []
    return bases


def is_to_end_again(node_id: str, ended_at: int, base: EpochBase) -> bool:
    """Whether the node was reset by a rerun or mark and has not ended since, so that it has no result yet."""
    return node_id in base.again and node_id not in base.nodes and ended_at < base.as_of


def life_at(version: int, lives: Mapping[str | None, RunStatus]) -> RunStatus | None:
    begun = [life for life in lives.values() if life.transitions[0].version < version]
    return max(begun, key=lambda life: life.transitions[0].version, default=None)


def check(
    scenario: DagCrashScenario, nodes: tuple[NodeSpec, ...], own_ends: dict[str, RunState], most: int = 1
) -> None:
    check_history(scenario, nodes, most)
    states = expected_states(nodes, own_ends, scenario.chosen)
    for run_id, status in scenario.log.statuses().items():
        dag_run = scenario.log.statuses()[dag_run_of(run_id)]
        if dag_run.state in {RunState.CANCELLED, RunState.TIMED_OUT}:
            continue
        wanted = states[status.node_id] if status.node_id else expected_result(states.values())
        assert (run_id, status.state) == (run_id, wanted)


def check_history(scenario: DagCrashScenario, nodes: tuple[NodeSpec, ...], most: int = 1) -> None:
    history = scenario.history()
    assert checkers.materialized_once(history) == []
    assert checkers.legal_history(history) == []
    assert checkers.dispatched_once(scenario.log.dispatches()) == []
    assert checkers.no_dispatch_after_stop(history, scenario.log.dispatches()) == []
    assert no_node_before_its_rule_holds(history, nodes) == []
    assert every_epoch_ends(history, nodes) == []
    assert one_epoch_at_a_time(history, most) == []
    assert children_get_what_was_handed_on(scenario, nodes) == []
    assert {key for key in scenario.log.stored() if key.startswith(("dag", "run"))} == set()


def own_ends(nodes: tuple[NodeSpec, ...], fails: dict[str, bool]) -> dict[str, RunState]:
    return {node.node_id: FAILURE[node.max_attempts] if fails[node.node_id] else RunState.SUCCEEDED for node in nodes}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_random_dag_ends_as_the_reference_despite_crashes(data: st.DataObject) -> None:
    nodes, fails, chosen = data.draw(dags())
    scenario = DagCrashScenario(fails, chosen)
    scenario.log.define_dag(*nodes, max_active_epochs=(most := data.draw(st.sampled_from([1, 1, 2]))))
    for number in range(data.draw(st.integers(1, 3))):
        scenario.log.request_dag(f"r{number}")
    scenario.owner = scenario.log.recover()
    for pause, fate, pick, times, backwards, is_stopped in data.draw(
        st.lists(
            st.tuples(
                st.sampled_from([0.0, 0.3, 2.0]),
                fates,
                st.none() | st.integers(0, 9),
                st.sampled_from([1, 2]),
                st.booleans(),
                st.sampled_from([False] * 15 + [True]),
            ),
            max_size=30,
        )
    ):
        if is_stopped:
            scenario.owner.offer(scenario.log.request_dag(f"stop{scenario.log.now}", kind="cancel", run_id="dag#r0"))
        scenario.turn(fate, pause)
        if pick is not None:
            scenario.finish(pick, times, backwards=backwards)
    scenario.settle()
    check(scenario, nodes, own_ends(nodes, fails), most)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_a_large_random_dag_ends_as_the_reference_despite_crashes(seed: int) -> None:
    dice = Random(seed)
    nodes, fails, chosen = large_dag(dice)
    scenario = DagCrashScenario(fails, chosen)
    scenario.log.define_dag(*nodes)
    scenario.log.request_dag("r")
    scenario.owner = scenario.log.recover()
    while not scenario.seen or scenario.owner.state.durable.runs:
        scenario.turn(dice.choice([Fate.COMMITTED] * 18 + [Fate.LOST, Fate.UNKNOWN]), dice.choice((0.0, 0.3, 2.0)))
        for _ in range(dice.randint(0, 4)):
            scenario.finish(dice.randrange(1_000), dice.choice((1, 2)), backwards=dice.random() < 0.2)
    scenario.settle()
    check(scenario, nodes, own_ends(nodes, fails))


def fifty_nodes() -> tuple[NodeSpec, ...]:
    """Ten layers of five nodes; each node depends on three of the layer before."""

    def node(layer: int, place: int) -> NodeSpec:
        depends_on = tuple(f"n{layer - 1}.{(place + step) % 5}" for step in range(3)) if layer else ()
        rule = TriggerRule.ALL_DONE if layer == 5 else TriggerRule.ALL_SUCCESS
        return NodeSpec(
            node_id=f"n{layer}.{place}", executable="s3://tidemill/x", depends_on=depends_on, trigger_rule=rule
        )

    return tuple(node(layer, place) for layer in range(10) for place in range(5))


def fifty_asked() -> tuple[DagCrashScenario, tuple[NodeSpec, ...]]:
    """A request to run them; one node fails."""
    nodes = fifty_nodes()
    scenario = DagCrashScenario({node.node_id: node.node_id == "n3.1" for node in nodes})
    scenario.log.define_dag(*nodes)
    scenario.log.request_dag("r")
    scenario.owner = scenario.log.recover()
    return scenario, nodes


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.UNKNOWN], ids=lambda fate: fate.value)
def test_fifty_nodes_survive_a_crash_of_the_owner_at_every_step(fate) -> None:
    scenario, nodes = fifty_asked()
    deaths = 0
    while not deaths or scenario.owner.state.durable.runs:
        before = len(scenario.log.written)
        scenario.turn(fate, 1)
        if fate is Fate.LOST:
            assert len(scenario.log.written) == before
            scenario.turn(Fate.COMMITTED, 0)
        scenario.finish(0)
        deaths += 1
        assert deaths < 1_000
    scenario.settle()
    check(scenario, nodes, own_ends(nodes, scenario.fails))
    assert deaths > 40


ORDERS = [
    {"kind": "rerun"},
    {"kind": "rerun", "downstream": True},
    {"kind": "mark", "mark_as": "succeeded"},
    {"kind": "mark", "mark_as": "skipped"},
    {"kind": "cancel"},
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_reruns_and_marks_at_any_time_survive_crashes(data: st.DataObject) -> None:
    nodes, fails, chosen = data.draw(dags(8))
    scenario = DagCrashScenario(fails, chosen)
    scenario.log.define_dag(*nodes)
    scenario.log.request_dag("r")
    scenario.log.request_dag("beside")
    scenario.owner = scenario.log.recover()
    names = [f"/{each.node_id}" for each in nodes]
    whats = st.none() | st.tuples(st.sampled_from(ORDERS), st.sampled_from(["", *names]), st.sampled_from([1, 1, 2]))
    for number in range(data.draw(st.integers(1, 30))):
        what = data.draw(whats)
        if what and "dag#r" in scenario.log.statuses():
            asked_for, of, times = what
            fails[of[1:]] = False
            record = request_for_run(scenario.log, f"o{number}", run_id=f"dag#r{of}", **asked_for)
            for each in (record, *(scenario.log.append_copy(record) for _ in range(times - 1))):
                scenario.owner.offer(each)
        scenario.turn(data.draw(fates), data.draw(st.sampled_from([0.0, 0.3, 2.0])))
        for _ in range(data.draw(st.integers(0, 4))):
            scenario.finish(data.draw(st.integers(0, 9)))
    scenario.settle()
    check_history(scenario, nodes)
    dag_run = scenario.log.statuses()["dag#r"]
    ends = [each.state for each in scenario.log.statuses().values() if each.run_id.startswith("dag#r/")]
    assert dag_run.state in {RunState.CANCELLED, expected_result(ends)}


@pytest.mark.parametrize("downstream", [False, True])
def test_a_rerun_of_fifty_nodes_survives_a_crash_of_the_owner_at_every_step(downstream) -> None:
    scenario, nodes = fifty_asked()
    scenario.turn(Fate.COMMITTED, 1)
    scenario.settle()
    before = {each.run_id: each.state for each in scenario.log.statuses().values()}
    scenario.fails = dict.fromkeys((node.node_id for node in nodes), False)
    scenario.owner.offer(request_for_run(scenario.log, "again", "rerun", "dag#r", downstream=downstream))
    deaths = 0
    while not deaths or scenario.owner.state.durable.runs or scenario.owner.state.has_more_to_do:
        scenario.turn((Fate.LOST, Fate.UNKNOWN)[deaths % 2], 1)
        scenario.finish(0)
        deaths += 1
        assert deaths < 1_000
    scenario.settle()
    check(scenario, nodes, own_ends(nodes, scenario.fails))
    # n3.1 blocks a part of layer 4; layer 5 always runs, and the layers after it had succeeded.
    again = {each.run_id for each in scenario.log.statuses().values() if each.rerun_id} - {"dag#r"}
    bad = {run_id for run_id, state in before.items() if state is not RunState.SUCCEEDED} - {"dag#r"}
    assert again > bad if downstream else again == bad


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_changed_definition_applies_to_later_dag_runs_despite_crashes(data: st.DataObject) -> None:
    nodes, fails, _ = data.draw(dags(6))
    others, more_fails, _ = data.draw(dags(6))
    fails = more_fails | fails
    scenario = DagCrashScenario(fails)
    scenario.log.define_dag(*nodes, max_active_epochs=3)
    scenario.log.request_dag("first")
    scenario.log.request_dag("beside")
    scenario.owner = scenario.log.recover()
    scenario.turn(Fate.COMMITTED, 1)
    if data.draw(st.booleans()):
        scenario.owner.offer(scenario.log.define_dag(version=2, deleted=True))
    scenario.owner.offer(scenario.log.define_dag(*others, version=3, max_active_epochs=3))
    scenario.owner.offer(scenario.log.request_dag("second"))
    for fate in data.draw(st.lists(fates, max_size=10)):
        scenario.turn(fate, 0.5)
        scenario.finish(0)
    first = expected_states(nodes, own_ends(nodes, fails))
    scenario.settle()
    second = expected_states(others, own_ends(others, fails))
    statuses = scenario.log.statuses()
    for run, states in (("dag#first", first), ("dag#beside", first), ("dag#second", second)):
        assert {run_id.rpartition("/")[2]: each.state for run_id, each in statuses.items() if run in run_id} == {
            **states,
            run: expected_result(states.values()),
        }
    assert {key for key in scenario.log.stored() if key.startswith("dag")} == set()
