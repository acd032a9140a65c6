"""Reruns and marks of nodes: what is reset, what is kept, what is refused."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from schemas.event import EndCause
from schemas.words import RunState, TriggerRule
from tests.support import checkers
from tests.support.dag_reference import every_epoch_ends, no_node_before_its_rule_holds, one_epoch_at_a_time
from tests.support.simulated.dag_scenario import DIAMOND, DagScenario, node, request_for_run, requested_dag
from tests.support.simulated.log import START, Log, ended

ALARM = (*DIAMOND, node("end", "d", trigger_rule=TriggerRule.ALL_DONE))


def states(scenario: DagScenario) -> dict[str, str]:
    """Node -> state; '' is the DAG run."""
    return {run_id.removeprefix("dag#r").strip("/"): state for run_id, state in scenario.states().items()}


def told(scenario: DagScenario, request_id: str, kind: str, run_id: str, **fields: object) -> DagScenario:
    scenario.owner.offer(request_for_run(scenario.log, request_id, kind, run_id, **fields))
    scenario.run()
    return scenario


def runs_of(scenario: DagScenario, node_id: str) -> list[int]:
    """The dispatched attempts of a node."""
    return [each.attempt for each in scenario.log.dispatches() if each.run_id == f"dag#r/{node_id}"]


def refusals(scenario: DagScenario) -> list[str]:
    letters = [each for each in scenario.log.written if each.topic == "deadletter"]
    return [dict(each.headers)["reason"].decode().partition("is refused: ")[2] for each in letters]


def check(scenario: DagScenario, *nodes: object) -> None:
    history = scenario.log.history()
    assert checkers.materialized_once(history) == []
    assert checkers.legal_history(history) == []
    assert checkers.dispatched_once(scenario.log.dispatches()) == []
    assert checkers.no_dispatch_after_stop(history, scenario.log.dispatches()) == []
    assert no_node_before_its_rule_holds(history, nodes) == []
    assert every_epoch_ends(history, nodes) == []
    assert {key for key in scenario.log.stored() if key.startswith(("dag", "run"))} == set()


def failed_in_the_middle(*nodes: object, **fields: object) -> DagScenario:
    scenario = requested_dag(*nodes, codes={"b": 3}, **fields)
    scenario.run()
    assert states(scenario)[""] == "failed"
    scenario.codes.clear()
    return scenario


def test_a_rerun_of_a_dag_run_runs_failed_nodes_and_their_dependents_only() -> None:
    scenario = told(failed_in_the_middle(*ALARM), "again", "rerun", "dag#r", note="mended")
    assert set(states(scenario).values()) == {"succeeded"}
    assert [runs_of(scenario, each.node_id) for each in ALARM] == [[1], [1, 2], [1], [1], [1]]
    dag_run, b = scenario.log.statuses()["dag#r"], scenario.log.statuses()["dag#r/b"]
    assert [(each.state.value, each.reason) for each in dag_run.transitions] == [
        ("queued", "run again: mended"),
        ("running", None),
        ("succeeded", None),
    ]
    assert (dag_run.rerun_id, dag_run.request_id, dag_run.nodes) == ("again", "r", {RunState.SUCCEEDED: 5})
    assert (b.rerun_id, b.transitions[0].reason) == ("again", "run again: mended")
    check(scenario, *ALARM)


def test_downstream_reruns_succeeded_dependents_too() -> None:
    scenario = told(failed_in_the_middle(*ALARM), "again", "rerun", "dag#r", downstream=True)
    assert [runs_of(scenario, each.node_id) for each in ALARM] == [[1], [1, 2], [1], [1], [1, 2]]
    check(scenario, *ALARM)


@pytest.mark.parametrize(("downstream", "runs"), [(False, [1, 2, 1, 1]), (True, [1, 2, 1, 2])])
def test_a_succeeded_node_is_rerun_alone_or_with_its_dependents(downstream, runs) -> None:
    scenario = requested_dag(*DIAMOND)
    scenario.run()
    told(scenario, "again", "rerun", "dag#r/b", downstream=downstream)
    assert [len(runs_of(scenario, each)) for each in "abcd"] == runs
    assert set(states(scenario).values()) == {"succeeded"}
    check(scenario, *DIAMOND)


def test_a_dag_run_without_failures_is_rerun_as_a_whole_or_not_at_all() -> None:
    scenario = requested_dag(*DIAMOND)
    scenario.run()
    told(scenario, "again", "rerun", "dag#r")
    assert refusals(scenario) == ["no node of 'dag#r' failed; with downstream all of them run again"]
    told(scenario, "all", "rerun", "dag#r", downstream=True)
    assert [len(runs_of(scenario, each)) for each in "abcd"] == [2, 2, 2, 2]
    check(scenario, *DIAMOND)


def test_a_node_of_an_open_dag_run_is_rerun_while_others_run() -> None:
    scenario = requested_dag(*DIAMOND, codes={"b": 3})
    scenario.run(holding=("c",))
    scenario.codes.clear()
    scenario.owner.offer(request_for_run(scenario.log, "again", "rerun", "dag#r/b"))
    scenario.run(holding=("c",))
    assert states(scenario) == {"": "running", "a": "succeeded", "b": "succeeded", "c": "running"}
    scenario.owner = scenario.log.recover()
    (c,) = [each for each in scenario.log.dispatches() if each.run_id == "dag#r/c"]
    scenario.owner.offer(scenario.log.report(ended(c, scenario.log.now)))
    scenario.run()
    assert set(states(scenario).values()) == {"succeeded"}
    assert [len(runs_of(scenario, each)) for each in "abcd"] == [1, 2, 1, 1]
    check(scenario, *DIAMOND)


@pytest.mark.parametrize("mark_as", ["succeeded", "skipped"])
def test_marking_a_failed_node_reopens_an_ended_dag_run(mark_as) -> None:
    scenario = failed_in_the_middle(*ALARM)
    told(scenario, "m", "mark", "dag#r/b", mark_as=mark_as, note="loaded by hand")
    assert states(scenario) == dict.fromkeys(["", "a", "c", "end"], "succeeded") | {"b": mark_as, "d": mark_as}
    assert [len(runs_of(scenario, each)) for each in "abc"] == [1, 1, 1]
    b, dag_run = scenario.log.statuses()["dag#r/b"], scenario.log.statuses()["dag#r"]
    assert (b.reason, b.rerun_id, b.attempt) == (f"marked {mark_as}: loaded by hand", "m", 1)
    assert dag_run.transitions[0].reason == f"b marked {mark_as}: loaded by hand"
    check(scenario, *ALARM)


def test_a_waiting_node_that_is_marked_never_starts() -> None:
    scenario = requested_dag(*DIAMOND)
    scenario.run(holding=("a",))
    told(scenario, "m", "mark", "dag#r/b", mark_as="skipped")
    scenario.owner = scenario.log.recover()
    scenario.owner.offer(scenario.log.report(ended(scenario.log.dispatches()[0], scenario.log.now)))
    scenario.run()
    assert states(scenario) == {"": "succeeded", "a": "succeeded", "b": "skipped", "c": "succeeded", "d": "skipped"}
    check(scenario, *DIAMOND)


@pytest.mark.parametrize("cause", [EndCause.CANCELLED, EndCause.EXITED])
def test_a_running_node_is_stopped_before_its_mark_counts(cause) -> None:
    scenario = requested_dag(
        *(node(each.node_id, *each.depends_on, cancel_grace=timedelta(seconds=7)) for each in DIAMOND)
    )
    scenario.run(holding=("b",))
    told(scenario, "m", "mark", "dag#r/b", mark_as="succeeded", note="enough")
    assert states(scenario) == {"": "running", "a": "succeeded", "b": "cancelling", "c": "succeeded"}
    assert [each.grace for each in scenario.log.kills()] == [timedelta(seconds=7)]
    scenario.owner = scenario.log.recover()
    b = scenario.log.dispatches()[1]
    scenario.owner.offer(scenario.log.report(ended(b, scenario.log.now, -15, cause)))
    scenario.run()
    assert set(states(scenario).values()) == {"succeeded"}
    assert scenario.log.statuses()["dag#r/b"].reason == "marked succeeded: enough"
    check(scenario, *DIAMOND)


def test_a_node_waiting_for_a_slot_or_a_retry_is_marked_at_once() -> None:
    scenario = requested_dag(
        node("a", max_attempts=2, initial_interval=timedelta(hours=1)), node("b", "a"), codes={"a": 1}
    )
    scenario.run()
    assert states(scenario)["a"] == "retry_wait"
    told(scenario, "m", "mark", "dag#r/a", mark_as="succeeded")
    assert set(states(scenario).values()) == {"succeeded"}
    check(scenario, node("a"), node("b", "a"))


def test_a_mark_of_a_failed_node_changes_the_result_of_an_open_dag_run() -> None:
    nodes = (*DIAMOND, node("e", "b", trigger_rule=TriggerRule.ONE_FAILED), node("f", "e"))
    scenario = requested_dag(*nodes, codes={"b": 3})
    scenario.run(holding=("c",))
    assert states(scenario)["f"] == "succeeded"
    told(scenario, "m", "mark", "dag#r/b", mark_as="succeeded")
    (c,) = [each for each in scenario.log.dispatches() if each.run_id == "dag#r/c"]
    scenario.owner.offer(scenario.log.report(ended(c, scenario.log.now)))
    scenario.run()
    assert set(states(scenario).values()) == {"succeeded"}
    assert [len(runs_of(scenario, each.node_id)) for each in nodes] == [1] * 6
    check(scenario, *nodes)


def test_a_reopened_dag_run_waits_for_its_turn_and_can_be_cancelled() -> None:
    scenario = failed_in_the_middle(*DIAMOND)
    scenario.owner.offer(scenario.log.request_dag("s"))
    scenario.run(holding=("a",))
    told(scenario, "again", "rerun", "dag#r")
    assert scenario.log.statuses()["dag#r"].reason == "waits for the epoch before it"
    told(scenario, "m", "mark", "dag#r/b", mark_as="skipped")
    assert refusals(scenario) == ["DAG run 'dag#r' has not started; it can be cancelled"]
    scenario.owner = scenario.log.recover()
    scenario.owner.offer(scenario.log.request_dag("stop", kind="cancel", run_id="dag#r"))
    scenario.run()
    assert scenario.states()["dag#r"] == "cancelled"
    assert "dag/dag#r" not in scenario.log.stored()
    told(scenario, "oncemore", "rerun", "dag#r")
    scenario.owner = scenario.log.recover()
    (a,) = [each for each in scenario.log.dispatches() if each.run_id == "dag#s/a"]
    scenario.owner.offer(scenario.log.report(ended(a, scenario.log.now)))
    scenario.run()
    assert set(scenario.states().values()) == {"succeeded"}
    assert [len(runs_of(scenario, each)) for each in "abcd"] == [1, 2, 1, 1]
    assert one_epoch_at_a_time(scenario.log.history()) == []
    check(scenario, *DIAMOND)


def test_a_rerun_of_a_cancelled_dag_run_continues_with_a_new_timeout() -> None:
    scenario = requested_dag(*DIAMOND, dag_timeout=timedelta(seconds=60))
    scenario.run(holding=("b",))
    scenario.owner.offer(scenario.log.request_dag("stop", kind="cancel", run_id="dag#r"))
    scenario.run(until=3)
    told(scenario, "early", "rerun", "dag#r/c")
    assert refusals(scenario) == ["DAG run 'dag#r' is being stopped; ask again when it has ended"]
    scenario.owner.offer(
        scenario.log.report(ended(scenario.log.dispatches()[1], scenario.log.now, None, EndCause.CANCELLED))
    )
    scenario.run()
    assert states(scenario)[""] == "cancelled"
    scenario.owner.offer(request_for_run(scenario.log, "again", "rerun", "dag#r"))
    scenario.run(holding=("b",))
    scenario.turn(50)
    assert states(scenario)[""] == "running"
    b = scenario.log.dispatches()[-1]
    scenario.owner.offer(scenario.log.report(ended(b, scenario.log.now)))
    scenario.run()
    assert set(states(scenario).values()) == {"succeeded"}
    assert [len(runs_of(scenario, each)) for each in "abcd"] == [1, 2, 1, 1]
    check(scenario, *DIAMOND)


def test_a_rerun_uses_the_newest_version_new_nodes_run_and_removed_ones_do_not_count() -> None:
    scenario = failed_in_the_middle(*DIAMOND)
    scenario.owner.offer(scenario.log.define_dag(*DIAMOND[:3], node("new", "c"), version=2))
    told(scenario, "again", "rerun", "dag#r")
    assert states(scenario) | {"d": "upstream_failed"} == states(scenario)
    assert scenario.log.statuses()["dag#r"].nodes == {RunState.SUCCEEDED: 4}
    assert [len(runs_of(scenario, each)) for each in ("a", "b", "c", "d", "new")] == [1, 2, 1, 0, 1]


def test_a_request_is_carried_out_once_and_an_outdated_one_is_refused() -> None:
    scenario = requested_dag(node("a"), node("b"), codes={"a": 1, "b": 1})
    scenario.run()
    first = request_for_run(scenario.log, "m1", "mark", "dag#r/a", mark_as="succeeded")
    late = request_for_run(scenario.log, "m2", "mark", "dag#r/b", mark_as="succeeded")
    for record in (first, late, scenario.log.append_copy(first)):
        scenario.owner.offer(record)
        scenario.run(until=3)
        scenario.owner = scenario.log.recover()
    sentence = "what it says of the nodes of DAG run 'dag#r' is older than what became of them; ask again"
    assert refusals(scenario) == [sentence]
    assert states(scenario) == {"": "failed", "a": "succeeded", "b": "failed"}
    told(scenario, "m3", "mark", "dag#r/b", mark_as="succeeded")
    assert states(scenario)[""] == "succeeded"
    check(scenario, node("a"), node("b"))


@pytest.mark.parametrize(
    ("kind", "run_id", "fields", "sentence"),
    [
        ("rerun", "dag#r/x", {}, "'x' is no node of version 1 of DAG 'dag', which the DAG run uses"),
        ("mark", "dag#r/c", {"mark_as": "succeeded"}, "node 'c' is succeeded already"),
        ("mark", "dag#r/c", {}, "kind mark needs mark_as"),
        ("rerun", "dag#r", {"nominal_time": None}, "it needs nominal_time, that of DAG run 'dag#r', which has ended"),
        ("rerun", "dag@2026-03-02T00:00:00Z", {}, "DAG run 'dag@2026-03-02T00:00:00Z' is not due yet"),
    ],
)
def test_an_invalid_rerun_or_mark_is_refused_with_a_sentence(kind, run_id, fields, sentence) -> None:
    scenario = failed_in_the_middle(*DIAMOND)
    if "@" in run_id:
        fields = {"nominal_time": (START + timedelta(days=1)).isoformat(), "nodes": "{}", "seen_version": 1}
        scenario.owner.offer(scenario.log.request_dag("o", kind=kind, run_id=run_id, **fields))
        scenario.run(until=3)
    else:
        told(scenario, "o", kind, run_id, **fields)
    assert refusals(scenario) == [sentence]


def test_a_node_with_running_dependents_is_not_rerun_with_downstream() -> None:
    scenario = requested_dag(*DIAMOND)
    scenario.run(holding=("c",))
    told(scenario, "again", "rerun", "dag#r/a", downstream=True)
    assert refusals(scenario) == ["node 'c', which depends on it, has not ended; it can be cancelled"]


def test_a_request_by_topic_carries_the_ends_of_the_nodes() -> None:
    scenario = failed_in_the_middle(*DIAMOND)
    whole = scenario.log.statuses()["dag#r"]
    record = {
        "request_id": "again",
        "kind": "rerun",
        "run_id": "dag#r",
        "nominal_time": START.isoformat(),
        "nodes": {"a": {"state": "succeeded", "attempt": 1}, "b": {"state": "failed", "attempt": 1}},
        "seen_version": whole.version,
    }
    scenario.owner.offer(scenario.log.append_public(orjson.dumps(record), key=b"dag"))
    scenario.run()
    assert [runs_of(scenario, each) for each in "abcd"] == [[1], [1, 2], [1, 1], [1]]


def test_a_job_has_no_downstream() -> None:
    log = Log()
    log.define()
    log.request("again", kind="rerun", run_id="job#r", nominal_time=START.isoformat(), downstream=True)
    scenario = DagScenario(log)
    scenario.turn()
    assert refusals(scenario) == ["'job#r' is no run of a DAG: nothing depends on it"]
