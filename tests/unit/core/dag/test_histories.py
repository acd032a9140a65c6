"""Histories of DAGs, told step by step, each of which once went wrong."""

from __future__ import annotations

import orjson
import pytest

from schemas.result import Result
from schemas.words import RunState, TriggerRule
from streams.core.room import Bounds
from tests.support.raw_json import plain, raw
from tests.support.simulated.dag_scenario import Play, asked, node, order
from tests.support.simulated.log import CDC, Log, ended

FORK = (node("a"), node("b", "a"), node("c", "a"))


def result(value: object) -> Result:
    return Result(bytes=len(orjson.dumps(value)), value=raw(value))


def refusals(log: Log) -> list[str]:
    return [dict(each.headers)["reason"].decode() for each in log.written if each.topic == "deadletter"]


def open_together(count: int) -> Play:
    """One DAG run of so many nodes that depend on nothing, all of them queued, 20 dispatched."""
    play = asked(*(node(f"n{number:05}") for number in range(count)))
    play.windows(20)
    for _ in range(2 + count // Bounds().nodes):
        play.turn()
    return play


def largest(play: Play, turns: int) -> int:
    """Records of a transaction."""
    done = (play.log.turn(play.owner, 0.1) for _ in range(turns))
    return max(len(each.records) if each else 0 for each in done)


def test_a_mark_of_a_run_of_a_job_is_refused_and_stops_nobody() -> None:
    log = Log()
    log.define()
    log.foreign("m", kind="mark", run_id="job#r/x", mark_as="succeeded", nodes={}, seen_version=1)
    owner = log.recover()
    for _ in range(3):
        log.turn(owner, 1)
    assert ["has no nodes" in each for each in refusals(log)] == [True]


def test_a_dag_run_that_waits_to_be_open_again_goes_by_a_version_without_a_node_that_was_chosen() -> None:
    log = Log()
    log.define_dag(*FORK)
    log.request_dag("r")
    play = Play(log, c=1)
    play.turn()
    (first,) = log.dispatches()
    play.done = 1
    chose = ended(first, log.now, 0, result=result({"tidemill_next": ["b", "c"]}), next_nodes=("b", "c"))
    play.owner.offer(log.report(chose))
    play.run()
    rerun = order(log, "again", "rerun", "dag#r")
    log.inputs[CDC].pop()
    play.owner.offer(log.request_dag("r2"))
    play.run(holding=("a",), until=4)
    play.owner.offer(log._append(CDC, rerun.value))
    play.turn()
    play.owner.offer(log.define_dag(node("a"), node("c", "a"), version=2))
    play.turn()
    play.codes.clear()
    (held,) = (each for each in log.dispatches() if each.run_id == "dag#r2/a")
    play.owner.offer(log.report(ended(held, log.now, 0)))
    play.run()
    assert {run_id: play.states()[run_id] for run_id in ("dag#r", "dag#r/c", "dag#r2")} == {
        "dag#r": "succeeded",
        "dag#r/c": "succeeded",
        "dag#r2": "succeeded",
    }


@pytest.mark.parametrize(("mark_as", "follows"), [("succeeded", "succeeded"), ("skipped", "skipped")])
def test_what_the_process_of_a_marked_node_says_before_it_is_stopped_counts_for_nothing(mark_as, follows) -> None:
    play = asked(*FORK)
    play.run(holding=("a",), until=3)
    (at_work,) = play.log.dispatches()
    play.owner.offer(order(play.log, "m", "mark", "dag#r/a", mark_as=mark_as))
    play.turn()
    said = ended(at_work, play.log.now, 0, result=result({"tidemill_next": ["b"]}), next_nodes=("b",))
    play.owner.offer(play.log.report(said))
    play.run()
    assert {play.states()[f"dag#r/{name}"] for name in "bc"} == {follows}
    assert play.log.statuses()["dag#r/a"].result is None


def test_no_node_is_dispatched_once_its_dag_run_was_told_to_stop_however_many_nodes_it_has() -> None:
    play = open_together(2 * Bounds().nodes + 500)
    before = play.log.dispatches()
    assert len(before) == 20
    play.owner.offer(play.log.request_dag("stop", kind="cancel", run_id="dag#r"))
    play.owner.offer(play.log.report(*(ended(each, play.log.now, 0) for each in before)))
    for _ in range(6):
        play.turn()
    assert play.log.dispatches() == before
    assert play.log.statuses()["dag#r"].state is RunState.CANCELLED


def test_a_transaction_keeps_its_bounds_however_many_inputs_it_takes() -> None:
    play = asked(*(node(f"n{number:05}") for number in range(4 * Bounds().nodes)))
    play.turn()
    for _ in range(10):
        play.windows(5_000)
    assert largest(play, 4) <= 2 * Bounds().effects
    play.owner.offer(play.log.request_dag("stop", kind="cancel", run_id="dag#r"))
    assert largest(play, 6) <= 2 * Bounds().effects


def test_of_many_orders_about_one_epoch_its_base_is_written_once() -> None:
    names = [f"n{number}" for number in range(40)]
    nodes = (*map(node, names), node("hold"), node("end", *names, "hold"))
    play = asked(*nodes, codes=dict.fromkeys(names, 1))
    play.windows(100)
    play.run(until=8, holding=("hold",))
    for name in names:
        play.owner.offer(order(play.log, f"mark-{name}", "mark", f"dag#r/{name}", mark_as="skipped"))
    transaction = play.log.turn(play.owner, 0.1)
    assert [each.key for each in transaction.records].count("dag/dag#r") == 1
    assert [play.states()[f"dag#r/{name}"] for name in names] == ["skipped"] * len(names)


def test_a_node_that_would_get_too_much_fails_once_also_where_its_owner_dies_right_then() -> None:
    big = Result(bytes=40 * 1024 * 1024, value=None, uri="s3://x/y", sha256="0" * 64)
    play = asked(node("a"), node("a2"), node("b", "a", "a2"), node("c", "b"))
    play.turn()
    play.owner.offer(play.log.report(*(ended(each, play.log.now, 0, result=big) for each in play.log.dispatches())))
    play.log.turn(play.owner, 0.1)
    play.owner = play.log.recover()
    play.run(until=5)
    assert [each.state.value for each in play.log.history() if each.run_id == "dag#r/b"].count("failed") == 1
    assert play.states()["dag#r/c"] == "upstream_failed"


def given(play: Play, node_id: str) -> list[object]:
    """What each of its dispatches brings of the nodes that it depends on."""
    runs = (each for each in play.log.dispatches() if each.run_id == f"dag#r/{node_id}")
    return [{name: plain(each and each.value) for name, each in (run.results or {}).items()} for run in runs]


def end(play: Play, node_id: str) -> None:
    """The process of its last dispatch ends, and hands on the name of its node."""
    run = [each for each in play.log.dispatches() if each.run_id == f"dag#r/{node_id}"][-1]
    play.owner.offer(play.log.report(ended(run, play.log.now, result=result(node_id))))
    play.turn()


def test_a_node_that_is_to_run_again_hands_on_nothing_until_it_ends_also_if_a_mark_ends_it() -> None:
    play = asked(node("a"), node("b", "a"), node("early", "a", "b", trigger_rule=TriggerRule.ALWAYS))
    play.turn()
    for name in ("early", "a", "b"):
        end(play, name)
    play.owner.offer(order(play.log, "all", "rerun", "dag#r", downstream=True))
    play.turn()
    end(play, "early")
    play.owner.offer(order(play.log, "m", "mark", "dag#r/b", mark_as="skipped"))
    play.turn()
    end(play, "a")
    assert given(play, "early") == [{"a": None, "b": None}] * 2
    assert play.log.statuses()["dag#r/b"].rerun_id == "m"
    play.owner.offer(order(play.log, "once more", "rerun", "dag#r/early"))
    play.turn()
    assert given(play, "early")[-1] == {"a": "a", "b": None}


def test_what_runs_again_by_an_earlier_order_hands_on_nothing_to_what_runs_again_by_a_later_one() -> None:
    early = node("early", "a", "b", trigger_rule=TriggerRule.ALWAYS)
    play = asked(node("a"), node("b", "a"), early, node("hold"))
    play.windows(10)
    play.turn()
    for name in ("early", "a", "b"):
        end(play, name)
    play.owner.offer(order(play.log, "o1", "rerun", "dag#r/a", downstream=True))
    play.turn()
    end(play, "early")
    play.owner.offer(order(play.log, "o2", "rerun", "dag#r/early"))
    play.turn()
    end(play, "early")
    end(play, "a")
    end(play, "b")
    play.owner.offer(order(play.log, "o3", "rerun", "dag#r/early"))
    play.turn()
    nothing = {"a": None, "b": None}
    assert given(play, "early") == [nothing, nothing, nothing, {"a": "a", "b": "b"}]
