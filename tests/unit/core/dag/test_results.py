"""Results and choices of nodes on the simulated log."""

from __future__ import annotations

import pytest

from schemas.codec import encode
from schemas.dag import MAX_NODES, NodeSpec
from schemas.dispatch import Dispatch
from schemas.event import Ended
from schemas.result import MAX_GIVEN_BYTES, MAX_PASSED_BYTES, Result
from schemas.status import RunStatus
from schemas.topics import MAX_RECORD_BYTES
from schemas.words import AttemptEnd, RunState, TriggerRule
from streams.core.dag.node_results import MAX_RECORD_SHARE, passed_on, record_bytes, why_too_large
from streams.core.room import Bounds
from tests.support.raw_json import raw
from tests.support.simulated.log import Log, ended, started

SMALL = Result(bytes=7, value=raw({"n": 1}))
LARGE = Result(bytes=2_000, value=raw("x" * 1_998), uri="s3://tidemill/results/a/7.json", sha256="ab" * 32)
HUGE = Result(bytes=MAX_GIVEN_BYTES // 2 + 1, uri="s3://tidemill/results/a/8.json", sha256="ab" * 32)


def node(node_id: str, *depends_on: str, **fields: object) -> NodeSpec:
    return NodeSpec(node_id=node_id, executable="s3://tidemill/x", depends_on=depends_on, **fields)


class ResultScenario:
    """Runs the DAG `dag` once. `ends` gives the fields of each node's end event, or a list of them, one per attempt."""

    def __init__(self, *nodes: NodeSpec, **ends: dict[str, object] | list[dict[str, object]]) -> None:
        self.log, self.ends = Log(), ends
        self.log.define_dag(*nodes)
        self.log.request_dag("r")
        self.owner = self.log.recover()
        self.done = 0
        for _ in range(40):
            self.turn()

    def turn(self) -> None:
        self.log.turn(self.owner, 0.1)
        dispatches = self.log.dispatches()
        for dispatch in dispatches[self.done :]:
            events = started(dispatch, self.log.now), self._end_of(dispatch)
            self.owner.offer(self.log.report(*events))
        self.done = len(dispatches)

    def _end_of(self, dispatch: Dispatch) -> Ended:
        said = self.ends.get(dispatch.run_id.rpartition("/")[2], {})
        if isinstance(said, list):
            said = said[min(dispatch.attempt, len(said)) - 1]
        return ended(dispatch, self.log.now, **said)

    def status(self, node_id: str) -> RunStatus:
        return self.log.statuses()[f"dag#r/{node_id}"]

    def states(self) -> dict[str, str]:
        return {each.node_id: each.state.value for each in self.log.statuses().values() if each.node_id}

    def given(self, node_id: str) -> dict[str, Result | None] | None:
        return next(each.results for each in self.log.dispatches() if each.run_id == f"dag#r/{node_id}")


def test_a_node_gets_the_results_of_its_dependencies_only() -> None:
    scenario = ResultScenario(
        node("a"), node("b", "a"), node("c"), node("d", "b", "c"), a={"result": SMALL}, b={"result": LARGE}
    )
    assert scenario.given("a") is None
    assert scenario.given("b") == {"a": SMALL}
    assert scenario.given("d") == {"b": Result(bytes=2_000, uri=LARGE.uri, sha256=LARGE.sha256), "c": None}
    assert [scenario.status(each).result for each in "abcd"] == [SMALL, LARGE, None, None]


def test_an_owner_does_not_store_a_result_that_no_node_needs() -> None:
    scenario = ResultScenario(
        node("a"), node("b", "a"), node("c"), node("d", "b", "c"), a={"result": SMALL}, c={"result": SMALL}
    )
    stored = [each for each in scenario.log.written if each.key.startswith("dag/dag#r/") and each.value]
    assert [each.key[-1] for each in stored if b"passed" in (each.value or b"")] == ["a", "c"]


def test_a_node_counts_as_skipped_for_the_nodes_that_it_did_not_choose() -> None:
    scenario = ResultScenario(
        node("a"),
        node("b", "a"),
        node("c", "a"),
        node("behind", "c"),
        node("join", "b", "c", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS),
        a={"result": SMALL, "next_nodes": ("b",)},
    )
    assert scenario.states() == {
        "a": "succeeded",
        "b": "succeeded",
        "c": "skipped",
        "behind": "skipped",
        "join": "succeeded",
    }
    assert scenario.status("a").next_nodes == ("b",)
    assert scenario.status("c").reason == "trigger_rule all_success: of its dependencies 1 that chose others"
    assert scenario.log.statuses()["dag#r"].state is RunState.SUCCEEDED


def test_a_skip_exit_code_means_success_and_skips_the_dependents() -> None:
    scenario = ResultScenario(
        node("a", skip_exit_codes=(99,)),
        node("b", "a"),
        node("c", "a", trigger_rule=TriggerRule.ALL_DONE),
        a={"exit_code": 99},
    )
    assert scenario.states() == {"a": "succeeded", "b": "skipped", "c": "succeeded"}
    (attempt,) = scenario.status("a").attempts
    assert (attempt.end, attempt.exit_code) == (AttemptEnd.SUCCEEDED, 99)
    assert attempt.reason == "exit code 99: nothing that depends on it is followed"
    assert scenario.status("a").next_nodes == ()


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (("b", "c"), "its result names 'c' as what follows it; allowed are the nodes that depend on it: b"),
        (("never",), "its result names 'never' as what follows it; allowed are the nodes that depend on it: b"),
    ],
)
def test_choosing_a_node_that_is_not_a_dependent_fails_the_attempt(chosen, sentence) -> None:
    scenario = ResultScenario(node("a"), node("b", "a"), node("c", "b"), a={"result": SMALL, "next_nodes": chosen})
    status = scenario.status("a")
    assert (status.state, status.reason, status.result, status.next_nodes) == (RunState.FAILED, sentence, None, None)


def test_an_invalid_result_fails_the_attempt_and_one_that_s3_refused_is_an_infra_failure() -> None:
    bad, lost = {"result_problem": "its result is refused: x"}, {"result_lost": "its result was not stored: y"}
    scenario = ResultScenario(
        node("a", max_attempts=2), node("b"), a=[bad, {"result": SMALL}], b=[lost, lost, {"result": SMALL}]
    )
    for _ in range(20):
        scenario.turn()
    ends = {each: [(attempt.end, attempt.reason) for attempt in scenario.status(each).attempts] for each in "ab"}
    assert ends == {
        "a": [(AttemptEnd.FAILED, "its result is refused: x"), (AttemptEnd.SUCCEEDED, None)],
        "b": [(AttemptEnd.LOST, "its result was not stored: y")] * 2 + [(AttemptEnd.SUCCEEDED, None)],
    }
    assert [scenario.status(each).result for each in "ab"] == [SMALL, SMALL]


def test_a_result_that_s3_refused_fails_only_a_node_on_which_others_depend() -> None:
    refused = {"result_refused": "its result is not kept: x", "result": Result(bytes=2_000)}
    scenario = ResultScenario(node("a"), node("b", "a"), node("c"), a=refused, c=refused)
    ends = {each: (scenario.status(each).state, scenario.status(each).reason) for each in "ac"}
    assert ends == {
        "a": (RunState.FAILED, "its result is not kept: x; nodes that depend on it would not get it"),
        "c": (RunState.SUCCEEDED, None),
    }
    attempt = scenario.status("c").attempts[0]
    assert (attempt.end, attempt.reason) == (AttemptEnd.SUCCEEDED, "its result is not kept: x")


def test_only_the_attempt_that_ended_the_run_passes_a_result() -> None:
    scenario = ResultScenario(node("a", max_attempts=2), node("b", "a"), a=[{"exit_code": 1}, {"result": SMALL}])
    late = ended(scenario.log.dispatches()[0], scenario.log.now, result=LARGE)
    for _ in range(20):
        scenario.owner.offer(scenario.log.report(late))
        scenario.turn()
    assert scenario.status("a").result == SMALL
    assert scenario.given("b") == {"a": SMALL}


def test_a_node_with_too_large_an_input_fails_alone() -> None:
    scenario = ResultScenario(
        node("a"),
        node("b"),
        node("one", "a"),
        node("both", "a", "b"),
        node("end", "both", trigger_rule=TriggerRule.ALL_DONE),
        a={"result": HUGE},
        b={"result": HUGE},
    )
    assert scenario.states() == {
        "a": "succeeded",
        "b": "succeeded",
        "one": "succeeded",
        "both": "failed",
        "end": "succeeded",
    }
    assert scenario.status("both").reason == (
        "the results of its dependencies have 67108866 bytes; at most 67108864 are allowed"
    )
    assert scenario.status("both").attempts == ()


def test_the_results_of_the_largest_dag_fit_one_record() -> None:
    value = "\N{GREEK SMALL LETTER ALPHA}" * (MAX_PASSED_BYTES // 2 - 1)
    result = Result(bytes=MAX_PASSED_BYTES, value=raw(value))
    assert passed_on(result) == result
    results: dict[str, Result | None] = {f"node {number:04}": result for number in range(MAX_NODES - 1)}
    assert why_too_large(results, record_bytes(results)) is None
    scenario = ResultScenario(node("a"))
    (dispatch,) = scenario.log.dispatches()
    size = len(encode(dispatch, results=b"{" + b",".join(_entry(*each) for each in results.items()) + b"}"))
    assert size < MAX_RECORD_BYTES - 1_000_000


def _entry(node_id: str, result: Result | None) -> bytes:
    assert result is not None
    return f'"{node_id}":'.encode() + encode(result)


def test_results_too_large_for_a_record_are_refused_with_a_sentence() -> None:
    far = Result(bytes=1, uri="s3://tidemill/" + "x" * 2_000, sha256="ab" * 32)
    results = {f"n{number}": far for number in range(6_000)}
    reason = why_too_large(results, record_bytes(results))
    assert reason
    assert reason.endswith(f"at most {MAX_RECORD_SHARE} fit the record that starts it")


def test_a_transaction_starts_only_as_many_nodes_as_their_results_fit(monkeypatch) -> None:
    room = 5_000
    monkeypatch.setattr(Log, "bounds", Bounds(payload_bytes=room))
    large = Result(bytes=1_000, value=raw("x" * 998))
    children = [node(f"n{number}", "a", "b") for number in range(12)]
    log = Log()
    log.define_dag(node("a"), node("b", "a"), *children)
    log.request_dag("r")
    owner = log.recover()
    most = done = 0
    for _ in range(40):
        before = len(log.dispatches())
        log.turn(owner, 0.1)
        dispatches = log.dispatches()
        sizes = [
            sum(each.bytes for each in dispatch.results.values() if each)
            for dispatch in dispatches[before:]
            if dispatch.results
        ]
        most = max(most, sum(sizes))
        for dispatch in dispatches[done:]:
            owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, result=large)))
        done = len(dispatches)
    assert {each.state for each in log.statuses().values()} == {RunState.SUCCEEDED}
    assert 2_000 < most < room + 3_000
