"""Histories of DAGs that once went wrong, step by step."""

from __future__ import annotations

import orjson
import pytest

from schemas.result import Result
from schemas.words import RunState, TriggerRule
from streams.core.room import Bounds
from tests.support.raw_json import plain, raw
from tests.support.simulated.dag_scenario import DagScenario, node, request_for_run, requested_dag
from tests.support.simulated.log import CDC, Log, ended

FORK = (node("a"), node("b", "a"), node("c", "a"))


def result(value: object) -> Result:
    return Result(bytes=len(orjson.dumps(value)), value=raw(value))


def refusals(log: Log) -> list[str]:
    return [dict(each.headers)["reason"].decode() for each in log.written if each.topic == "deadletter"]


def open_together(count: int) -> DagScenario:
    """One DAG run of `count` nodes without dependencies: all queued, 20 dispatched."""
    scenario = requested_dag(*(node(f"n{number:05}") for number in range(count)))
    scenario.windows(20)
    for _ in range(2 + count // Bounds().nodes):
        scenario.turn()
    return scenario


def largest(scenario: DagScenario, turns: int) -> int:
    """The number of records of the largest transaction."""
    done = (scenario.log.turn(scenario.owner, 0.1) for _ in range(turns))
    return max(len(each.records) if each else 0 for each in done)


def test_a_mark_of_a_job_run_is_refused() -> None:
    log = Log()
    log.define()
    log.request_by_topic("m", kind="mark", run_id="job#r/x", mark_as="succeeded", nodes={}, seen_version=1)
    owner = log.recover()
    for _ in range(3):
        log.turn(owner, 1)
    assert ["has no nodes" in each for each in refusals(log)] == [True]


def test_a_reopened_dag_run_uses_a_version_without_a_node_that_was_chosen() -> None:
    log = Log()
    log.define_dag(*FORK)
    log.request_dag("r")
    scenario = DagScenario(log, c=1)
    scenario.turn()
    (first,) = log.dispatches()
    scenario.executed = 1
    chose = ended(first, log.now, 0, result=result({"tidemill_next": ["b", "c"]}), next_nodes=("b", "c"))
    scenario.owner.offer(log.report(chose))
    scenario.run()
    rerun = request_for_run(log, "again", "rerun", "dag#r")
    log.inputs[CDC].pop()
    scenario.owner.offer(log.request_dag("r2"))
    scenario.run(holding=("a",), until=4)
    scenario.owner.offer(log._append(CDC, rerun.value))
    scenario.turn()
    scenario.owner.offer(log.define_dag(node("a"), node("c", "a"), version=2))
    scenario.turn()
    scenario.codes.clear()
    (held,) = (each for each in log.dispatches() if each.run_id == "dag#r2/a")
    scenario.owner.offer(log.report(ended(held, log.now, 0)))
    scenario.run()
    assert {run_id: scenario.states()[run_id] for run_id in ("dag#r", "dag#r/c", "dag#r2")} == {
        "dag#r": "succeeded",
        "dag#r/c": "succeeded",
        "dag#r2": "succeeded",
    }


@pytest.mark.parametrize(("mark_as", "follows"), [("succeeded", "succeeded"), ("skipped", "skipped")])
def test_the_result_of_a_marked_node_that_still_runs_is_ignored(mark_as, follows) -> None:
    scenario = requested_dag(*FORK)
    scenario.run(holding=("a",), until=3)
    (at_work,) = scenario.log.dispatches()
    scenario.owner.offer(request_for_run(scenario.log, "m", "mark", "dag#r/a", mark_as=mark_as))
    scenario.turn()
    said = ended(at_work, scenario.log.now, 0, result=result({"tidemill_next": ["b"]}), next_nodes=("b",))
    scenario.owner.offer(scenario.log.report(said))
    scenario.run()
    assert {scenario.states()[f"dag#r/{name}"] for name in "bc"} == {follows}
    assert scenario.log.statuses()["dag#r/a"].result is None


def test_a_stopped_dag_run_dispatches_no_node_however_large_it_is() -> None:
    scenario = open_together(2 * Bounds().nodes + 500)
    before = scenario.log.dispatches()
    assert len(before) == 20
    scenario.owner.offer(scenario.log.request_dag("stop", kind="cancel", run_id="dag#r"))
    scenario.owner.offer(scenario.log.report(*(ended(each, scenario.log.now, 0) for each in before)))
    for _ in range(6):
        scenario.turn()
    assert scenario.log.dispatches() == before
    assert scenario.log.statuses()["dag#r"].state is RunState.CANCELLED


def test_a_transaction_with_many_inputs_keeps_its_bounds() -> None:
    scenario = requested_dag(*(node(f"n{number:05}") for number in range(4 * Bounds().nodes)))
    scenario.turn()
    for _ in range(10):
        scenario.windows(5_000)
    assert largest(scenario, 4) <= 2 * Bounds().effects
    scenario.owner.offer(scenario.log.request_dag("stop", kind="cancel", run_id="dag#r"))
    assert largest(scenario, 6) <= 2 * Bounds().effects


def test_many_requests_for_one_dag_run_write_its_base_once() -> None:
    names = [f"n{number}" for number in range(40)]
    nodes = (*map(node, names), node("hold"), node("end", *names, "hold"))
    scenario = requested_dag(*nodes, codes=dict.fromkeys(names, 1))
    scenario.windows(100)
    scenario.run(until=8, holding=("hold",))
    for name in names:
        scenario.owner.offer(request_for_run(scenario.log, f"mark-{name}", "mark", f"dag#r/{name}", mark_as="skipped"))
    transaction = scenario.log.turn(scenario.owner, 0.1)
    assert [each.key for each in transaction.records].count("dag/dag#r") == 1
    assert [scenario.states()[f"dag#r/{name}"] for name in names] == ["skipped"] * len(names)


def test_a_node_with_too_large_an_input_fails_once_even_if_the_owner_crashes_then() -> None:
    big = Result(bytes=40 * 1024 * 1024, value=None, uri="s3://x/y", sha256="0" * 64)
    scenario = requested_dag(node("a"), node("a2"), node("b", "a", "a2"), node("c", "b"))
    scenario.turn()
    scenario.owner.offer(
        scenario.log.report(*(ended(each, scenario.log.now, 0, result=big) for each in scenario.log.dispatches()))
    )
    scenario.log.turn(scenario.owner, 0.1)
    scenario.owner = scenario.log.recover()
    scenario.run(until=5)
    assert [each.state.value for each in scenario.log.history() if each.run_id == "dag#r/b"].count("failed") == 1
    assert scenario.states()["dag#r/c"] == "upstream_failed"


def given(scenario: DagScenario, node_id: str) -> list[object]:
    """The inputs of each dispatch of the node."""
    runs = (each for each in scenario.log.dispatches() if each.run_id == f"dag#r/{node_id}")
    return [{name: plain(each and each.value) for name, each in (run.results or {}).items()} for run in runs]


def end(scenario: DagScenario, node_id: str) -> None:
    """Ends the node's last dispatch with its id as the result."""
    run = [each for each in scenario.log.dispatches() if each.run_id == f"dag#r/{node_id}"][-1]
    scenario.owner.offer(scenario.log.report(ended(run, scenario.log.now, result=result(node_id))))
    scenario.turn()


def test_a_node_to_be_rerun_passes_no_result_until_it_ends_or_is_marked() -> None:
    scenario = requested_dag(node("a"), node("b", "a"), node("early", "a", "b", trigger_rule=TriggerRule.ALWAYS))
    scenario.turn()
    for name in ("early", "a", "b"):
        end(scenario, name)
    scenario.owner.offer(request_for_run(scenario.log, "all", "rerun", "dag#r", downstream=True))
    scenario.turn()
    end(scenario, "early")
    scenario.owner.offer(request_for_run(scenario.log, "m", "mark", "dag#r/b", mark_as="skipped"))
    scenario.turn()
    end(scenario, "a")
    assert given(scenario, "early") == [{"a": None, "b": None}] * 2
    assert scenario.log.statuses()["dag#r/b"].rerun_id == "m"
    scenario.owner.offer(request_for_run(scenario.log, "once more", "rerun", "dag#r/early"))
    scenario.turn()
    assert given(scenario, "early")[-1] == {"a": "a", "b": None}


def test_a_node_of_an_earlier_rerun_passes_no_result_to_one_of_a_later_rerun() -> None:
    early = node("early", "a", "b", trigger_rule=TriggerRule.ALWAYS)
    scenario = requested_dag(node("a"), node("b", "a"), early, node("hold"))
    scenario.windows(10)
    scenario.turn()
    for name in ("early", "a", "b"):
        end(scenario, name)
    scenario.owner.offer(request_for_run(scenario.log, "o1", "rerun", "dag#r/a", downstream=True))
    scenario.turn()
    end(scenario, "early")
    scenario.owner.offer(request_for_run(scenario.log, "o2", "rerun", "dag#r/early"))
    scenario.turn()
    end(scenario, "early")
    end(scenario, "a")
    end(scenario, "b")
    scenario.owner.offer(request_for_run(scenario.log, "o3", "rerun", "dag#r/early"))
    scenario.turn()
    nothing = {"a": None, "b": None}
    assert given(scenario, "early") == [nothing, nothing, nothing, {"a": "a", "b": "b"}]
