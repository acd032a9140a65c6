"""DAG runs on the simulated log: how they open, wait, continue, stop and end, with their reasons."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from schemas.event import EndCause
from schemas.ids import occurrence_run_id
from schemas.words import RunKind, RunState, TriggerRule
from streams.core.dag.epoch import Epoch
from streams.core.room import Bounds
from tests.support.dag_reference import every_epoch_ends, one_epoch_at_a_time
from tests.support.raw_json import plain, raw
from tests.support.simulated.dag_scenario import DIAMOND, DagScenario, node, requested_dag
from tests.support.simulated.log import START, Log, ended


def test_nodes_run_in_dependency_order_and_the_dag_run_ends_after_the_last() -> None:
    scenario = requested_dag(*DIAMOND)
    scenario.run()
    assert [each.run_id for each in scenario.log.dispatches()] == ["dag#r/a", "dag#r/b", "dag#r/c", "dag#r/d"]
    assert set(scenario.states().values()) == {"succeeded"}
    dag_run, first = scenario.log.statuses()["dag#r"], scenario.log.statuses()["dag#r/a"]
    assert (dag_run.kind, dag_run.dag_id, dag_run.node_id) == (RunKind.DAG, "dag", None)
    assert (first.kind, first.job_id, first.dag_id, first.node_id) == (RunKind.NODE, "dag", "dag", "a")
    assert [each.state.value for each in dag_run.transitions] == ["queued", "running", "succeeded"]
    assert dag_run.nodes == {RunState.SUCCEEDED: 4}
    assert dag_run.started_at
    assert dag_run.finished_at


def test_a_leaf_that_always_runs_does_not_hide_a_failure() -> None:
    scenario = requested_dag(*DIAMOND, node("end", "d", trigger_rule=TriggerRule.ALL_DONE), codes={"b": 3})
    scenario.run()
    assert scenario.states() == {
        "dag#r": "failed",
        "dag#r/a": "succeeded",
        "dag#r/b": "failed",
        "dag#r/c": "succeeded",
        "dag#r/d": "upstream_failed",
        "dag#r/end": "succeeded",
    }
    statuses = scenario.log.statuses()
    assert statuses["dag#r"].reason == "1 of 5 nodes failed: b; 1 could not run because of it"
    assert statuses["dag#r/d"].reason == "trigger_rule all_success: of its dependencies 1 failed, 1 succeeded"


def test_a_node_retries_like_a_job_and_its_children_wait_for_the_last_attempt() -> None:
    scenario = requested_dag(node("a", max_attempts=3, initial_interval=timedelta(0)), node("b", "a"), codes={"a": 1})
    scenario.run()
    assert scenario.log.statuses()["dag#r/a"].state is RunState.DEAD
    assert len(scenario.log.statuses()["dag#r/a"].attempts) == 3
    assert scenario.log.statuses()["dag#r/b"].state is RunState.UPSTREAM_FAILED


def test_a_node_that_exceeds_its_class_is_promoted_like_a_job() -> None:
    scenario = requested_dag(node("a", timeout=timedelta(seconds=30), timeout_class="10s"))
    scenario.turn()
    (dispatch,) = scenario.log.dispatches()
    scenario.owner.offer(scenario.log.report(ended(dispatch, scenario.log.now, None, EndCause.LIMIT)))
    scenario.turn()
    assert [each.timeout_class for each in scenario.log.dispatches()] == ["10s", "1m"]
    assert [each.limit for each in scenario.log.dispatches()] == [timedelta(seconds=10), timedelta(seconds=30)]


def test_nodes_get_the_payload_of_the_request_or_else_their_own() -> None:
    scenario = requested_dag(node("a", payload=raw({"mine": 1})))
    scenario.log.request_dag("s", payload='{"day": 7}')
    scenario.owner = scenario.log.recover()
    scenario.run()
    assert [plain(each.payload) for each in scenario.log.dispatches()] == [{"mine": 1}, {"day": 7}]


def test_an_occurrence_during_an_open_dag_run_follows_the_overlap_policy() -> None:
    first, second, third = (occurrence_run_id("dag", START + timedelta(seconds=s)) for s in (10, 20, 30))
    for policy, wanted in (
        ("skip", ["running", "skipped", "skipped"]),
        ("buffer_one", ["running", "queued", "skipped"]),
        ("buffer_all", ["running", "queued", "queued"]),
        ("cancel_other", ["cancelling", "cancelled", "queued"]),
    ):
        log = Log()
        log.define_dag(node("a"), schedule="@every 10s", overlap_policy=policy)
        scenario = DagScenario(log)
        scenario.run(until=349, holding=("a",))
        assert [scenario.states()[each] for each in (first, second, third)] == wanted, policy
        assert one_epoch_at_a_time(log.history()) == []


def test_a_waiting_dag_run_opens_after_the_one_before_it_ends() -> None:
    log = Log()
    log.define_dag(
        node("a"),
        node("b", "a"),
        schedule="@every 10s",
        overlap_policy="buffer_all",
        ends_at=START + timedelta(seconds=31),
    )
    scenario = DagScenario(log)
    scenario.run(until=349, holding=("a",))
    (dispatch,) = log.dispatches()
    scenario.owner.offer(log.report(ended(dispatch, log.now)))
    scenario.run()
    assert set(scenario.states().values()) == {"succeeded"}
    assert len(scenario.states()) == 9
    assert one_epoch_at_a_time(log.history()) == []


def test_at_most_max_active_epochs_are_open_and_a_request_waits() -> None:
    log = Log()
    log.define_dag(node("a"), max_active_epochs=2)
    for name in "rst":
        log.request_dag(name)
    scenario = DagScenario(log)
    scenario.run(holding=("a",))
    assert [scenario.states()[f"dag#{name}"] for name in "rst"] == ["running", "running", "queued"]
    assert log.statuses()["dag#t"].reason == "waits until fewer than 2 epochs are open"
    scenario.owner.offer(log.report(ended(log.dispatches()[0], log.now)))
    scenario.run()
    assert [scenario.states()[f"dag#{name}"] for name in "rst"] == ["succeeded", "running", "succeeded"]


@pytest.mark.parametrize(
    ("kind", "run_id", "grace"), [("cancel", "dag#r", 7), ("cancel", None, 7), ("terminate", "dag#r", 0)]
)
def test_a_stopped_dag_run_starts_no_node_and_ends_after_its_open_nodes(kind, run_id, grace) -> None:
    scenario = requested_dag(
        *(node(each.node_id, *each.depends_on, cancel_grace=timedelta(seconds=7)) for each in DIAMOND)
    )
    scenario.run(holding=("b", "c"))
    scenario.owner.offer(scenario.log.request_dag("stop", kind=kind, run_id=run_id, note="moving"))
    scenario.run(until=3)
    assert scenario.states() | {"dag#r/a": "succeeded", "dag#r/d": "cancelled"} == {
        "dag#r": "cancelling",
        "dag#r/a": "succeeded",
        "dag#r/b": "cancelling",
        "dag#r/c": "cancelling",
        "dag#r/d": "cancelled",
    }
    assert {each.run_id: each.grace for each in scenario.log.kills()} == dict.fromkeys(
        ("dag#r/b", "dag#r/c"), timedelta(seconds=grace)
    )
    for dispatch in scenario.log.dispatches()[1:]:
        scenario.owner.offer(scenario.log.report(ended(dispatch, scenario.log.now, None, EndCause.CANCELLED)))
    scenario.run()
    dag_run = scenario.log.statuses()["dag#r"]
    assert (dag_run.state, dag_run.nodes) == (RunState.CANCELLED, {RunState.SUCCEEDED: 1, RunState.CANCELLED: 3})
    assert "moving" in (dag_run.reason or "")
    assert every_epoch_ends(scenario.log.history(), DIAMOND) == []


def test_a_dag_timeout_counts_from_the_opening_and_survives_a_takeover() -> None:
    scenario = requested_dag(*DIAMOND, dag_timeout=timedelta(seconds=60))
    scenario.run(holding=("b",))
    scenario.owner = scenario.log.recover()
    scenario.turn(50)
    assert scenario.states()["dag#r"] == "running"
    scenario.turn(10)
    assert (scenario.states()["dag#r"], scenario.states()["dag#r/d"]) == ("cancelling", "cancelled")
    scenario.owner = scenario.log.recover()
    scenario.owner.offer(
        scenario.log.report(ended(scenario.log.dispatches()[1], scenario.log.now, None, EndCause.CANCELLED))
    )
    scenario.run()
    dag_run = scenario.log.statuses()["dag#r"]
    assert (dag_run.state, dag_run.reason) == (RunState.TIMED_OUT, "open for longer than 0:01:00")


def test_a_cancelled_node_counts_as_failed() -> None:
    a, b, *others = DIAMOND
    scenario = requested_dag(a, msgspec.structs.replace(b, cancel_grace=timedelta(seconds=7)), *others)
    scenario.run(holding=("b",))
    scenario.owner.offer(scenario.log.request_dag("stop", kind="cancel", run_id="dag#r/b"))
    scenario.turn()
    assert [each.grace for each in scenario.log.kills()] == [timedelta(seconds=7)]
    scenario.owner.offer(
        scenario.log.report(ended(scenario.log.dispatches()[1], scenario.log.now, None, EndCause.CANCELLED))
    )
    scenario.run()
    assert scenario.states() == {
        "dag#r": "failed",
        "dag#r/a": "succeeded",
        "dag#r/b": "cancelled",
        "dag#r/c": "succeeded",
        "dag#r/d": "upstream_failed",
    }


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"dag_id": None, "job_id": "dag"}, """job_id is "dag": it is a DAG; name it in dag_id"""),
        ({"dag_id": "job", "job_id": None, "owner": "job"}, """dag_id is "job": it is a job; name it in job_id"""),
        ({"kind": "cancel", "run_id": "dag#never"}, "run 'dag#never' is not open: it has ended, or never was"),
        (
            {"kind": "rerun", "run_id": "dag#r0", "nominal_time": START.isoformat()},
            "what it says of the nodes of DAG run 'dag#r0' is older than what became of them; ask again",
        ),
    ],
)
def test_an_invalid_request_is_refused_with_a_sentence(fields, sentence) -> None:
    log = Log()
    log.define()
    log.define_dag(node("a"))
    log.request_dag("r", **fields)
    scenario = DagScenario(log)
    scenario.turn()
    assert log.history() == []
    (letter,) = [each for each in log.written if each.topic == "deadletter"]
    assert dict(letter.headers)["reason"].decode() == f"request 'r' is refused: {sentence}"


def test_a_deleted_dag_finishes_open_dag_runs_and_opens_none() -> None:
    scenario = requested_dag(*DIAMOND, schedule="@every 10s")
    scenario.run(holding=("a",))
    scenario.owner.offer(scenario.log.define_dag(version=2, deleted=True))
    scenario.owner = scenario.log.recover()
    scenario.turn()
    scenario.owner.offer(scenario.log.report(ended(scenario.log.dispatches()[0], scenario.log.now)))
    scenario.run(until=300)
    assert set(scenario.states().values()) == {"succeeded"}
    assert len(scenario.states()) == 5


def test_a_job_that_replaces_a_dag_cancels_its_open_dag_runs() -> None:
    log = Log()
    log.define_dag(*DIAMOND)
    log.request_dag("r")
    scenario = DagScenario(log)
    scenario.run(holding=("a",))
    scenario.owner.offer(log.define(version=2, job_id="dag"))
    scenario.run(until=3)
    assert scenario.states()["dag#r/a"] == "cancelling"
    scenario.owner.offer(log.report(ended(log.dispatches()[0], log.now, None, EndCause.CANCELLED)))
    scenario.run(until=3)
    assert scenario.states()["dag#r"] == "cancelled"


MANY = 5_000


def test_five_thousand_parallel_nodes_are_evaluated_once_each(monkeypatch) -> None:
    """Fan-out and fan-in take as many transactions as the limit requires, and no more."""
    looks: list[int] = []
    decision = Epoch.decision
    monkeypatch.setattr(Epoch, "decision", lambda epoch, node: looks.append(node) or decision(epoch, node))
    wide = [node(f"n{number}", "first") for number in range(MANY)]
    scenario = requested_dag(node("first"), *wide, node("last", *(each.node_id for each in wide)))
    before, largest, dispatched = 0, 0, [0]
    while not scenario.executed or scenario.owner.state.durable.runs:
        scenario.windows(MANY)
        scenario.run(until=1)
        largest, before = max(largest, len(scenario.log.written) - before), len(scenario.log.written)
        dispatched += [scenario.executed] if scenario.executed > dispatched[-1] else []
    assert scenario.log.statuses()["dag#r"].nodes == {RunState.SUCCEEDED: MANY + 2}
    assert largest <= 2 * 5_000  # an effect is at most two records
    assert (dispatched[1], dispatched[-1]) == (1, MANY + 2)
    assert len(dispatched) <= 4 + -(-MANY // (Bounds().nodes - 100))
    assert len(looks) == MANY + 2


def test_the_stored_state_of_a_dag_run_is_deleted_after_its_end() -> None:
    scenario = requested_dag(*DIAMOND)
    scenario.run(holding=("d",))
    assert {key for key in scenario.log.stored() if key.startswith("dag")} == {
        "dag/dag#r",
        "dag/dag#r/a",
        "dag/dag#r/b",
        "dag/dag#r/c",
    }
    scenario.owner.offer(scenario.log.report(ended(scenario.log.dispatches()[-1], scenario.log.now)))
    scenario.run(until=2)
    assert {key.partition("/")[0] for key in scenario.log.stored()} == {"clock", "def", "req"}
