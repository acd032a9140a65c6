"""Nodes of a DAG run run again, or are marked: what is decided anew, what stays, what is refused."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from schemas.event import EndCause
from schemas.words import RunState, TriggerRule
from tests.support import checkers
from tests.support.dag_reference import every_epoch_ends, no_node_before_its_rule_holds, one_epoch_at_a_time
from tests.support.simulated.dag_scenario import DIAMOND, Play, asked, node, order
from tests.support.simulated.log import START, Log, ended

ALARM = (*DIAMOND, node("end", "d", trigger_rule=TriggerRule.ALL_DONE))


def states(play: Play) -> dict[str, str]:
    """By node; of the DAG run as ''."""
    return {run_id.removeprefix("dag#r").strip("/"): state for run_id, state in play.states().items()}


def told(play: Play, request_id: str, kind: str, run_id: str, **fields: object) -> Play:
    play.owner.offer(order(play.log, request_id, kind, run_id, **fields))
    play.run()
    return play


def runs_of(play: Play, node_id: str) -> list[int]:
    """The attempts that were dispatched."""
    return [each.attempt for each in play.log.dispatches() if each.run_id == f"dag#r/{node_id}"]


def refusals(play: Play) -> list[str]:
    letters = [each for each in play.log.written if each.topic == "deadletter"]
    return [dict(each.headers)["reason"].decode().partition("is refused: ")[2] for each in letters]


def check(play: Play, *nodes: object) -> None:
    history = play.log.history()
    assert checkers.materialized_once(history) == []
    assert checkers.legal_history(history) == []
    assert checkers.dispatched_once(play.log.dispatches()) == []
    assert checkers.stays_cancelled(history, play.log.dispatches()) == []
    assert no_node_before_its_rule_holds(history, nodes) == []
    assert every_epoch_ends(history, nodes) == []
    assert {key for key in play.log.stored() if key.startswith(("dag", "run"))} == set()


def failed_in_the_middle(*nodes: object, **fields: object) -> Play:
    play = asked(*nodes, codes={"b": 3}, **fields)
    play.run()
    assert states(play)[""] == "failed"
    play.codes.clear()
    return play


def test_a_rerun_of_a_dag_run_runs_what_failed_and_what_waited_for_it_and_nothing_else() -> None:
    play = told(failed_in_the_middle(*ALARM), "again", "rerun", "dag#r", note="mended")
    assert set(states(play).values()) == {"succeeded"}
    assert [runs_of(play, each.node_id) for each in ALARM] == [[1], [1, 2], [1], [1], [1]]
    dag_run, b = play.log.statuses()["dag#r"], play.log.statuses()["dag#r/b"]
    assert [(each.state.value, each.reason) for each in dag_run.transitions] == [
        ("queued", "run again: mended"),
        ("running", None),
        ("succeeded", None),
    ]
    assert (dag_run.rerun_id, dag_run.request_id, dag_run.nodes) == ("again", "r", {RunState.SUCCEEDED: 5})
    assert (b.rerun_id, b.transitions[0].reason) == ("again", "run again: mended")
    check(play, *ALARM)


def test_with_downstream_what_succeeded_behind_it_runs_again_too() -> None:
    play = told(failed_in_the_middle(*ALARM), "again", "rerun", "dag#r", downstream=True)
    assert [runs_of(play, each.node_id) for each in ALARM] == [[1], [1, 2], [1], [1], [1, 2]]
    check(play, *ALARM)


@pytest.mark.parametrize(("downstream", "runs"), [(False, [1, 2, 1, 1]), (True, [1, 2, 1, 2])])
def test_a_node_that_succeeded_runs_again_alone_or_with_all_that_depends_on_it(downstream, runs) -> None:
    play = asked(*DIAMOND)
    play.run()
    told(play, "again", "rerun", "dag#r/b", downstream=downstream)
    assert [len(runs_of(play, each)) for each in "abcd"] == runs
    assert set(states(play).values()) == {"succeeded"}
    check(play, *DIAMOND)


def test_a_dag_run_of_which_nothing_failed_runs_again_as_a_whole_or_not_at_all() -> None:
    play = asked(*DIAMOND)
    play.run()
    told(play, "again", "rerun", "dag#r")
    assert refusals(play) == ["no node of 'dag#r' failed; with downstream all of them run again"]
    told(play, "all", "rerun", "dag#r", downstream=True)
    assert [len(runs_of(play, each)) for each in "abcd"] == [2, 2, 2, 2]
    check(play, *DIAMOND)


def test_a_node_of_an_open_dag_run_runs_again_beside_what_is_at_work() -> None:
    play = asked(*DIAMOND, codes={"b": 3})
    play.run(holding=("c",))
    play.codes.clear()
    play.owner.offer(order(play.log, "again", "rerun", "dag#r/b"))
    play.run(holding=("c",))
    assert states(play) == {"": "running", "a": "succeeded", "b": "succeeded", "c": "running"}
    play.owner = play.log.recover()
    (c,) = [each for each in play.log.dispatches() if each.run_id == "dag#r/c"]
    play.owner.offer(play.log.report(ended(c, play.log.now)))
    play.run()
    assert set(states(play).values()) == {"succeeded"}
    assert [len(runs_of(play, each)) for each in "abcd"] == [1, 2, 1, 1]
    check(play, *DIAMOND)


@pytest.mark.parametrize("mark_as", ["succeeded", "skipped"])
def test_a_failed_node_that_is_marked_lets_a_dag_run_that_has_ended_go_on(mark_as) -> None:
    play = failed_in_the_middle(*ALARM)
    told(play, "m", "mark", "dag#r/b", mark_as=mark_as, note="loaded by hand")
    assert states(play) == dict.fromkeys(["", "a", "c", "end"], "succeeded") | {"b": mark_as, "d": mark_as}
    assert [len(runs_of(play, each)) for each in "abc"] == [1, 1, 1]
    b, dag_run = play.log.statuses()["dag#r/b"], play.log.statuses()["dag#r"]
    assert (b.reason, b.rerun_id, b.attempt) == (f"marked {mark_as}: loaded by hand", "m", 1)
    assert dag_run.transitions[0].reason == f"b marked {mark_as}: loaded by hand"
    check(play, *ALARM)


def test_a_node_that_waits_is_marked_and_never_starts() -> None:
    play = asked(*DIAMOND)
    play.run(holding=("a",))
    told(play, "m", "mark", "dag#r/b", mark_as="skipped")
    play.owner = play.log.recover()
    play.owner.offer(play.log.report(ended(play.log.dispatches()[0], play.log.now)))
    play.run()
    assert states(play) == {"": "succeeded", "a": "succeeded", "b": "skipped", "c": "succeeded", "d": "skipped"}
    check(play, *DIAMOND)


@pytest.mark.parametrize("cause", [EndCause.CANCELLED, EndCause.EXITED])
def test_a_node_that_runs_is_stopped_before_it_counts_as_it_is_marked(cause) -> None:
    play = asked(*(node(each.node_id, *each.depends_on, cancel_grace=timedelta(seconds=7)) for each in DIAMOND))
    play.run(holding=("b",))
    told(play, "m", "mark", "dag#r/b", mark_as="succeeded", note="enough")
    assert states(play) == {"": "running", "a": "succeeded", "b": "cancelling", "c": "succeeded"}
    assert [each.grace for each in play.log.kills()] == [timedelta(seconds=7)]
    play.owner = play.log.recover()
    b = play.log.dispatches()[1]
    play.owner.offer(play.log.report(ended(b, play.log.now, -15, cause)))
    play.run()
    assert set(states(play).values()) == {"succeeded"}
    assert play.log.statuses()["dag#r/b"].reason == "marked succeeded: enough"
    check(play, *DIAMOND)


def test_a_node_that_waits_for_a_slot_or_a_retry_is_marked_at_once() -> None:
    play = asked(node("a", max_attempts=2, initial_interval=timedelta(hours=1)), node("b", "a"), codes={"a": 1})
    play.run()
    assert states(play)["a"] == "retry_wait"
    told(play, "m", "mark", "dag#r/a", mark_as="succeeded")
    assert set(states(play).values()) == {"succeeded"}
    check(play, node("a"), node("b", "a"))


def test_a_failed_node_of_an_open_dag_run_counts_anew() -> None:
    nodes = (*DIAMOND, node("e", "b", trigger_rule=TriggerRule.ONE_FAILED), node("f", "e"))
    play = asked(*nodes, codes={"b": 3})
    play.run(holding=("c",))
    assert states(play)["f"] == "succeeded"
    told(play, "m", "mark", "dag#r/b", mark_as="succeeded")
    (c,) = [each for each in play.log.dispatches() if each.run_id == "dag#r/c"]
    play.owner.offer(play.log.report(ended(c, play.log.now)))
    play.run()
    assert set(states(play).values()) == {"succeeded"}
    assert [len(runs_of(play, each.node_id)) for each in nodes] == [1] * 6
    check(play, *nodes)


def test_a_dag_run_that_is_opened_again_waits_for_its_turn_and_may_be_cancelled_meanwhile() -> None:
    play = failed_in_the_middle(*DIAMOND)
    play.owner.offer(play.log.request_dag("s"))
    play.run(holding=("a",))
    told(play, "again", "rerun", "dag#r")
    assert play.log.statuses()["dag#r"].reason == "waits for the epoch before it"
    told(play, "m", "mark", "dag#r/b", mark_as="skipped")
    assert refusals(play) == ["DAG run 'dag#r' has not started; it can be cancelled"]
    play.owner = play.log.recover()
    play.owner.offer(play.log.request_dag("stop", kind="cancel", run_id="dag#r"))
    play.run()
    assert play.states()["dag#r"] == "cancelled"
    assert "dag/dag#r" not in play.log.stored()
    told(play, "oncemore", "rerun", "dag#r")
    play.owner = play.log.recover()
    (a,) = [each for each in play.log.dispatches() if each.run_id == "dag#s/a"]
    play.owner.offer(play.log.report(ended(a, play.log.now)))
    play.run()
    assert set(play.states().values()) == {"succeeded"}
    assert [len(runs_of(play, each)) for each in "abcd"] == [1, 2, 1, 1]
    assert one_epoch_at_a_time(play.log.history()) == []
    check(play, *DIAMOND)


def test_a_cancelled_dag_run_goes_on_where_it_was_and_its_timeout_begins_again() -> None:
    play = asked(*DIAMOND, dag_timeout=timedelta(seconds=60))
    play.run(holding=("b",))
    play.owner.offer(play.log.request_dag("stop", kind="cancel", run_id="dag#r"))
    play.run(until=3)
    told(play, "early", "rerun", "dag#r/c")
    assert refusals(play) == ["DAG run 'dag#r' is being stopped; ask again when it has ended"]
    play.owner.offer(play.log.report(ended(play.log.dispatches()[1], play.log.now, None, EndCause.CANCELLED)))
    play.run()
    assert states(play)[""] == "cancelled"
    play.owner.offer(order(play.log, "again", "rerun", "dag#r"))
    play.run(holding=("b",))
    play.turn(50)
    assert states(play)[""] == "running"
    b = play.log.dispatches()[-1]
    play.owner.offer(play.log.report(ended(b, play.log.now)))
    play.run()
    assert set(states(play).values()) == {"succeeded"}
    assert [len(runs_of(play, each)) for each in "abcd"] == [1, 2, 1, 1]
    check(play, *DIAMOND)


def test_it_goes_by_the_newest_version_what_is_new_runs_what_is_gone_does_not_count() -> None:
    play = failed_in_the_middle(*DIAMOND)
    play.owner.offer(play.log.define_dag(*DIAMOND[:3], node("new", "c"), version=2))
    told(play, "again", "rerun", "dag#r")
    assert states(play) | {"d": "upstream_failed"} == states(play)
    assert play.log.statuses()["dag#r"].nodes == {RunState.SUCCEEDED: 4}
    assert [len(runs_of(play, each)) for each in ("a", "b", "c", "d", "new")] == [1, 2, 1, 0, 1]


def test_an_order_is_carried_out_once_and_one_that_knows_less_than_the_owner_is_refused() -> None:
    play = asked(node("a"), node("b"), codes={"a": 1, "b": 1})
    play.run()
    first = order(play.log, "m1", "mark", "dag#r/a", mark_as="succeeded")
    late = order(play.log, "m2", "mark", "dag#r/b", mark_as="succeeded")
    for record in (first, late, play.log.again(first)):
        play.owner.offer(record)
        play.run(until=3)
        play.owner = play.log.recover()
    sentence = "what it says of the nodes of DAG run 'dag#r' is older than what became of them; ask again"
    assert refusals(play) == [sentence]
    assert states(play) == {"": "failed", "a": "succeeded", "b": "failed"}
    told(play, "m3", "mark", "dag#r/b", mark_as="succeeded")
    assert states(play)[""] == "succeeded"
    check(play, node("a"), node("b"))


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
def test_an_order_that_cannot_be_meant_is_refused_with_a_sentence(kind, run_id, fields, sentence) -> None:
    play = failed_in_the_middle(*DIAMOND)
    if "@" in run_id:
        fields = {"nominal_time": (START + timedelta(days=1)).isoformat(), "nodes": "{}", "seen_version": 1}
        play.owner.offer(play.log.request_dag("o", kind=kind, run_id=run_id, **fields))
        play.run(until=3)
    else:
        told(play, "o", kind, run_id, **fields)
    assert refusals(play) == [sentence]


def test_a_node_behind_which_something_is_at_work_does_not_run_again_with_it() -> None:
    play = asked(*DIAMOND)
    play.run(holding=("c",))
    told(play, "again", "rerun", "dag#r/a", downstream=True)
    assert refusals(play) == ["node 'c', which depends on it, has not ended; it can be cancelled"]


def test_an_order_by_topic_brings_what_became_of_the_nodes() -> None:
    play = failed_in_the_middle(*DIAMOND)
    whole = play.log.statuses()["dag#r"]
    record = {
        "request_id": "again",
        "kind": "rerun",
        "run_id": "dag#r",
        "nominal_time": START.isoformat(),
        "nodes": {"a": {"state": "succeeded", "attempt": 1}, "b": {"state": "failed", "attempt": 1}},
        "seen_version": whole.version,
    }
    play.owner.offer(play.log.alien(orjson.dumps(record), key=b"dag"))
    play.run()
    assert [runs_of(play, each) for each in "abcd"] == [[1], [1, 2], [1, 1], [1]]


def test_a_job_has_no_downstream() -> None:
    log = Log()
    log.define()
    log.request("again", kind="rerun", run_id="job#r", nominal_time=START.isoformat(), downstream=True)
    play = Play(log)
    play.turn()
    assert refusals(play) == ["'job#r' is no run of a DAG: nothing depends on it"]
