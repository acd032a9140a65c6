"""DAG runs end as the reference says, with no node twice and none forgotten, whenever the owner dies."""

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
from tests.support.simulated.crashing_owner import Fate, World
from tests.support.simulated.dag_scenario import order
from tests.support.simulated.log import Log, ended, started

fates = st.sampled_from([Fate.COMMITTED] * 6 + [Fate.LOST, Fate.UNKNOWN])
SKIPS = 99
"""The exit code that skips what depends on a node."""
FAILURE = {1: RunState.FAILED, 2: RunState.DEAD, 3: RunState.DEAD}
"""By `max_attempts`."""


@pytest.fixture(autouse=True, scope="module")
def small_transactions():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "bounds", Bounds(effects=20, nodes=3))
        yield


@st.composite
def dags(draw, most: int = 12) -> tuple[tuple[NodeSpec, ...], dict[str, bool], dict[str, tuple[str, ...]]]:
    """Nodes in a topological order, which of them fail, and whom those choose that do not."""
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
    """100 to 200 nodes that depend on what lies shortly before them: deep, with skips and failures all over; and who of
    them chooses whom.
    """
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


class Fleet(World):
    """Nodes end in any order; those that fail do so at every attempt."""

    def __init__(self, fails: dict[str, bool], chosen: dict[str, tuple[str, ...]] | None = None) -> None:
        super().__init__(Log())
        self.fails, self.chosen = fails, chosen or {}
        self.at_work: list[int] = []
        self.seen = 0

    def finish(self, pick: int, times: int = 1, *, backwards: bool = False) -> None:
        """One of them ends, and its executor says so once or more often, in this order or the other."""
        dispatches = self.log.dispatches()
        self.at_work += range(self.seen, len(dispatches))
        self.seen = len(dispatches)
        if self.at_work:
            dispatch = dispatches[self.at_work.pop(pick % len(self.at_work))]
            events = (started(dispatch, self.log.now), self._end_of(dispatch))
            for _ in range(times):
                self.owner.offer(self.log.report(*(reversed(events) if backwards else events)))

    def _end_of(self, dispatch: Dispatch) -> Ended:
        """Each hands on who it is. To choose none there are two ways."""
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


def children_get_what_was_handed_on(world: Fleet, nodes: tuple[NodeSpec, ...]) -> list[str]:
    """Of each that had ended before the dispatch: some rules do not wait for all, and some nodes run again."""
    needed = {node.node_id: node.depends_on for node in nodes}
    lives: dict[str, dict[str | None, RunStatus]] = {}
    for status in world.history():
        lives.setdefault(status.run_id, {})[status.rerun_id] = status
    bases = bases_by_run(world.log)
    problems = []
    for dispatch in world.log.dispatches():
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
    """What the orders about each DAG run left of it. The lives of its nodes do not say which order has decided a node
    again: while it waits, a later order may mark it, or decide again what depends on it.
    """
    bases: dict[str, list[EpochBase]] = defaultdict(list)
    for record in log.written:
        kind, _, run_id = record.key.partition("/")
        if record.topic == STATE and kind == "dag" and "/" not in run_id and record.value:
            base = decode(record.value, StoredEpoch).base
            bases[run_id] += [base] if base else []
    return bases


def is_to_end_again(node_id: str, ended_at: int, base: EpochBase) -> bool:
    """An order has decided it again, and it has not ended since: it has nothing to hand on yet."""
    return node_id in base.again and node_id not in base.nodes and ended_at < base.as_of


def life_at(version: int, lives: Mapping[str | None, RunStatus]) -> RunStatus | None:
    begun = [life for life in lives.values() if life.transitions[0].version < version]
    return max(begun, key=lambda life: life.transitions[0].version, default=None)


def check(world: Fleet, nodes: tuple[NodeSpec, ...], own_ends: dict[str, RunState], most: int = 1) -> None:
    check_history(world, nodes, most)
    states = expected_states(nodes, own_ends, world.chosen)
    for run_id, status in world.log.statuses().items():
        dag_run = world.log.statuses()[dag_run_of(run_id)]
        if dag_run.state in {RunState.CANCELLED, RunState.TIMED_OUT}:
            continue
        wanted = states[status.node_id] if status.node_id else expected_result(states.values())
        assert (run_id, status.state) == (run_id, wanted)


def check_history(world: Fleet, nodes: tuple[NodeSpec, ...], most: int = 1) -> None:
    history = world.history()
    assert checkers.materialized_once(history) == []
    assert checkers.legal_history(history) == []
    assert checkers.dispatched_once(world.log.dispatches()) == []
    assert checkers.stays_cancelled(history, world.log.dispatches()) == []
    assert no_node_before_its_rule_holds(history, nodes) == []
    assert every_epoch_ends(history, nodes) == []
    assert one_epoch_at_a_time(history, most) == []
    assert children_get_what_was_handed_on(world, nodes) == []
    assert {key for key in world.log.stored() if key.startswith(("dag", "run"))} == set()


def own_ends(nodes: tuple[NodeSpec, ...], fails: dict[str, bool]) -> dict[str, RunState]:
    return {node.node_id: FAILURE[node.max_attempts] if fails[node.node_id] else RunState.SUCCEEDED for node in nodes}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_random_dag_ends_as_the_reference_says_whoever_dies(data: st.DataObject) -> None:
    nodes, fails, chosen = data.draw(dags())
    world = Fleet(fails, chosen)
    world.log.define_dag(*nodes, max_active_epochs=(most := data.draw(st.sampled_from([1, 1, 2]))))
    for number in range(data.draw(st.integers(1, 3))):
        world.log.request_dag(f"r{number}")
    world.owner = world.log.recover()
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
            world.owner.offer(world.log.request_dag(f"stop{world.log.now}", kind="cancel", run_id="dag#r0"))
        world.turn(fate, pause)
        if pick is not None:
            world.finish(pick, times, backwards=backwards)
    world.settle()
    check(world, nodes, own_ends(nodes, fails), most)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_a_large_random_dag_ends_as_the_reference_says_whoever_dies(seed: int) -> None:
    dice = Random(seed)
    nodes, fails, chosen = large_dag(dice)
    world = Fleet(fails, chosen)
    world.log.define_dag(*nodes)
    world.log.request_dag("r")
    world.owner = world.log.recover()
    while not world.seen or world.owner.state.durable.runs:
        world.turn(dice.choice([Fate.COMMITTED] * 18 + [Fate.LOST, Fate.UNKNOWN]), dice.choice((0.0, 0.3, 2.0)))
        for _ in range(dice.randint(0, 4)):
            world.finish(dice.randrange(1_000), dice.choice((1, 2)), backwards=dice.random() < 0.2)
    world.settle()
    check(world, nodes, own_ends(nodes, fails))


def fifty_nodes() -> tuple[NodeSpec, ...]:
    """Ten layers of five; each node depends on three of the layer before."""

    def node(layer: int, place: int) -> NodeSpec:
        depends_on = tuple(f"n{layer - 1}.{(place + step) % 5}" for step in range(3)) if layer else ()
        rule = TriggerRule.ALL_DONE if layer == 5 else TriggerRule.ALL_SUCCESS
        return NodeSpec(
            node_id=f"n{layer}.{place}", executable="s3://tidemill/x", depends_on=depends_on, trigger_rule=rule
        )

    return tuple(node(layer, place) for layer in range(10) for place in range(5))


def fifty_asked() -> tuple[Fleet, tuple[NodeSpec, ...]]:
    """They are asked to run, and one of them will fail."""
    nodes = fifty_nodes()
    world = Fleet({node.node_id: node.node_id == "n3.1" for node in nodes})
    world.log.define_dag(*nodes)
    world.log.request_dag("r")
    world.owner = world.log.recover()
    return world, nodes


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.UNKNOWN], ids=lambda fate: fate.value)
def test_the_owner_of_fifty_nodes_dies_at_every_step(fate) -> None:
    world, nodes = fifty_asked()
    deaths = 0
    while not deaths or world.owner.state.durable.runs:
        before = len(world.log.written)
        world.turn(fate, 1)
        if fate is Fate.LOST:
            assert len(world.log.written) == before
            world.turn(Fate.COMMITTED, 0)
        world.finish(0)
        deaths += 1
        assert deaths < 1_000
    world.settle()
    check(world, nodes, own_ends(nodes, world.fails))
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
def test_orders_to_run_again_and_to_mark_come_at_any_time_whoever_dies(data: st.DataObject) -> None:
    nodes, fails, chosen = data.draw(dags(8))
    world = Fleet(fails, chosen)
    world.log.define_dag(*nodes)
    world.log.request_dag("r")
    world.log.request_dag("beside")
    world.owner = world.log.recover()
    names = [f"/{each.node_id}" for each in nodes]
    whats = st.none() | st.tuples(st.sampled_from(ORDERS), st.sampled_from(["", *names]), st.sampled_from([1, 1, 2]))
    for number in range(data.draw(st.integers(1, 30))):
        what = data.draw(whats)
        if what and "dag#r" in world.log.statuses():
            asked_for, of, times = what
            fails[of[1:]] = False
            record = order(world.log, f"o{number}", run_id=f"dag#r{of}", **asked_for)
            for each in (record, *(world.log.again(record) for _ in range(times - 1))):
                world.owner.offer(each)
        world.turn(data.draw(fates), data.draw(st.sampled_from([0.0, 0.3, 2.0])))
        for _ in range(data.draw(st.integers(0, 4))):
            world.finish(data.draw(st.integers(0, 9)))
    world.settle()
    check_history(world, nodes)
    dag_run = world.log.statuses()["dag#r"]
    ends = [each.state for each in world.log.statuses().values() if each.run_id.startswith("dag#r/")]
    assert dag_run.state in {RunState.CANCELLED, expected_result(ends)}


@pytest.mark.parametrize("downstream", [False, True])
def test_the_owner_dies_at_every_step_of_a_rerun_of_fifty_nodes(downstream) -> None:
    world, nodes = fifty_asked()
    world.turn(Fate.COMMITTED, 1)
    world.settle()
    before = {each.run_id: each.state for each in world.log.statuses().values()}
    world.fails = dict.fromkeys((node.node_id for node in nodes), False)
    world.owner.offer(order(world.log, "again", "rerun", "dag#r", downstream=downstream))
    deaths = 0
    while not deaths or world.owner.state.durable.runs or world.owner.state.has_more_to_do:
        world.turn((Fate.LOST, Fate.UNKNOWN)[deaths % 2], 1)
        world.finish(0)
        deaths += 1
        assert deaths < 1_000
    world.settle()
    check(world, nodes, own_ends(nodes, world.fails))
    # n3.1 holds up layer 4 in part; layer 5 runs whatever happened, and what follows it had succeeded.
    again = {each.run_id for each in world.log.statuses().values() if each.rerun_id} - {"dag#r"}
    bad = {run_id for run_id, state in before.items() if state is not RunState.SUCCEEDED} - {"dag#r"}
    assert again > bad if downstream else again == bad


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_definition_that_changes_is_for_later_epochs_whoever_dies(data: st.DataObject) -> None:
    nodes, fails, _ = data.draw(dags(6))
    others, more_fails, _ = data.draw(dags(6))
    fails = more_fails | fails
    world = Fleet(fails)
    world.log.define_dag(*nodes, max_active_epochs=3)
    world.log.request_dag("first")
    world.log.request_dag("beside")
    world.owner = world.log.recover()
    world.turn(Fate.COMMITTED, 1)
    if data.draw(st.booleans()):
        world.owner.offer(world.log.define_dag(version=2, deleted=True))
    world.owner.offer(world.log.define_dag(*others, version=3, max_active_epochs=3))
    world.owner.offer(world.log.request_dag("second"))
    for fate in data.draw(st.lists(fates, max_size=10)):
        world.turn(fate, 0.5)
        world.finish(0)
    first = expected_states(nodes, own_ends(nodes, fails))
    world.settle()
    second = expected_states(others, own_ends(others, fails))
    statuses = world.log.statuses()
    for run, states in (("dag#first", first), ("dag#beside", first), ("dag#second", second)):
        assert {run_id.rpartition("/")[2]: each.state for run_id, each in statuses.items() if run in run_id} == {
            **states,
            run: expected_result(states.values()),
        }
    assert {key for key in world.log.stored() if key.startswith("dag")} == set()
