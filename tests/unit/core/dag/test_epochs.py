"""Epochs on the simulated log: how they open, wait, go on, are stopped and end, and what they say about it."""

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
from tests.support.simulated.dag_scenario import DIAMOND, Play, asked, node
from tests.support.simulated.log import START, Log, ended


def test_nodes_run_in_their_order_and_the_dag_run_ends_with_the_last() -> None:
    play = asked(*DIAMOND)
    play.run()
    assert [each.run_id for each in play.log.dispatches()] == ["dag#r/a", "dag#r/b", "dag#r/c", "dag#r/d"]
    assert set(play.states().values()) == {"succeeded"}
    dag_run, first = play.log.statuses()["dag#r"], play.log.statuses()["dag#r/a"]
    assert (dag_run.kind, dag_run.dag_id, dag_run.node_id) == (RunKind.DAG, "dag", None)
    assert (first.kind, first.job_id, first.dag_id, first.node_id) == (RunKind.NODE, "dag", "dag", "a")
    assert [each.state.value for each in dag_run.transitions] == ["queued", "running", "succeeded"]
    assert dag_run.nodes == {RunState.SUCCEEDED: 4}
    assert dag_run.started_at
    assert dag_run.finished_at


def test_a_leaf_that_runs_whatever_happens_does_not_hide_a_failure() -> None:
    play = asked(*DIAMOND, node("end", "d", trigger_rule=TriggerRule.ALL_DONE), codes={"b": 3})
    play.run()
    assert play.states() == {
        "dag#r": "failed",
        "dag#r/a": "succeeded",
        "dag#r/b": "failed",
        "dag#r/c": "succeeded",
        "dag#r/d": "upstream_failed",
        "dag#r/end": "succeeded",
    }
    statuses = play.log.statuses()
    assert statuses["dag#r"].reason == "1 of 5 nodes failed: b; 1 could not run because of it"
    assert statuses["dag#r/d"].reason == "trigger_rule all_success: of its dependencies 1 failed, 1 succeeded"


def test_a_node_retries_as_a_job_does_and_its_children_wait_for_the_last_attempt() -> None:
    play = asked(node("a", max_attempts=3, initial_interval=timedelta(0)), node("b", "a"), codes={"a": 1})
    play.run()
    assert play.log.statuses()["dag#r/a"].state is RunState.DEAD
    assert len(play.log.statuses()["dag#r/a"].attempts) == 3
    assert play.log.statuses()["dag#r/b"].state is RunState.UPSTREAM_FAILED


def test_a_process_that_needs_longer_is_promoted_as_a_jobs_is() -> None:
    play = asked(node("a", timeout=timedelta(seconds=30), timeout_class="10s"))
    play.turn()
    (dispatch,) = play.log.dispatches()
    play.owner.offer(play.log.report(ended(dispatch, play.log.now, None, EndCause.LIMIT)))
    play.turn()
    assert [each.timeout_class for each in play.log.dispatches()] == ["10s", "1m"]
    assert [each.limit for each in play.log.dispatches()] == [timedelta(seconds=10), timedelta(seconds=30)]


def test_the_payload_of_the_request_is_every_nodes_unless_there_is_none() -> None:
    play = asked(node("a", payload=raw({"mine": 1})))
    play.log.request_dag("s", payload='{"day": 7}')
    play.owner = play.log.recover()
    play.run()
    assert [plain(each.payload) for each in play.log.dispatches()] == [{"mine": 1}, {"day": 7}]


def test_an_occurrence_that_finds_its_dag_at_work_follows_the_overlap_policy() -> None:
    first, second, third = (occurrence_run_id("dag", START + timedelta(seconds=s)) for s in (10, 20, 30))
    for policy, wanted in (
        ("skip", ["running", "skipped", "skipped"]),
        ("buffer_one", ["running", "queued", "skipped"]),
        ("buffer_all", ["running", "queued", "queued"]),
        ("cancel_other", ["cancelling", "cancelled", "queued"]),
    ):
        log = Log()
        log.define_dag(node("a"), schedule="@every 10s", overlap_policy=policy)
        play = Play(log)
        play.run(until=349, holding=("a",))
        assert [play.states()[each] for each in (first, second, third)] == wanted, policy
        assert one_epoch_at_a_time(log.history()) == []


def test_what_waited_opens_when_the_epoch_before_it_has_ended() -> None:
    log = Log()
    log.define_dag(
        node("a"),
        node("b", "a"),
        schedule="@every 10s",
        overlap_policy="buffer_all",
        ends_at=START + timedelta(seconds=31),
    )
    play = Play(log)
    play.run(until=349, holding=("a",))
    (dispatch,) = log.dispatches()
    play.owner.offer(log.report(ended(dispatch, log.now)))
    play.run()
    assert set(play.states().values()) == {"succeeded"}
    assert len(play.states()) == 9
    assert one_epoch_at_a_time(log.history()) == []


def test_as_many_epochs_are_open_as_the_dag_allows_and_a_request_waits_for_its_turn() -> None:
    log = Log()
    log.define_dag(node("a"), max_active_epochs=2)
    for name in "rst":
        log.request_dag(name)
    play = Play(log)
    play.run(holding=("a",))
    assert [play.states()[f"dag#{name}"] for name in "rst"] == ["running", "running", "queued"]
    assert log.statuses()["dag#t"].reason == "waits until fewer than 2 epochs are open"
    play.owner.offer(log.report(ended(log.dispatches()[0], log.now)))
    play.run()
    assert [play.states()[f"dag#{name}"] for name in "rst"] == ["succeeded", "running", "succeeded"]


@pytest.mark.parametrize(
    ("kind", "run_id", "grace"), [("cancel", "dag#r", 7), ("cancel", None, 7), ("terminate", "dag#r", 0)]
)
def test_a_dag_run_that_is_told_to_stop_starts_nothing_and_ends_with_what_was_open(kind, run_id, grace) -> None:
    play = asked(*(node(each.node_id, *each.depends_on, cancel_grace=timedelta(seconds=7)) for each in DIAMOND))
    play.run(holding=("b", "c"))
    play.owner.offer(play.log.request_dag("stop", kind=kind, run_id=run_id, note="moving"))
    play.run(until=3)
    assert play.states() | {"dag#r/a": "succeeded", "dag#r/d": "cancelled"} == {
        "dag#r": "cancelling",
        "dag#r/a": "succeeded",
        "dag#r/b": "cancelling",
        "dag#r/c": "cancelling",
        "dag#r/d": "cancelled",
    }
    assert {each.run_id: each.grace for each in play.log.kills()} == dict.fromkeys(
        ("dag#r/b", "dag#r/c"), timedelta(seconds=grace)
    )
    for dispatch in play.log.dispatches()[1:]:
        play.owner.offer(play.log.report(ended(dispatch, play.log.now, None, EndCause.CANCELLED)))
    play.run()
    dag_run = play.log.statuses()["dag#r"]
    assert (dag_run.state, dag_run.nodes) == (RunState.CANCELLED, {RunState.SUCCEEDED: 1, RunState.CANCELLED: 3})
    assert "moving" in (dag_run.reason or "")
    assert every_epoch_ends(play.log.history(), DIAMOND) == []


def test_a_dag_run_is_timed_out_as_of_its_opening_also_by_the_next_owner() -> None:
    play = asked(*DIAMOND, dag_timeout=timedelta(seconds=60))
    play.run(holding=("b",))
    play.owner = play.log.recover()
    play.turn(50)
    assert play.states()["dag#r"] == "running"
    play.turn(10)
    assert (play.states()["dag#r"], play.states()["dag#r/d"]) == ("cancelling", "cancelled")
    play.owner = play.log.recover()
    play.owner.offer(play.log.report(ended(play.log.dispatches()[1], play.log.now, None, EndCause.CANCELLED)))
    play.run()
    dag_run = play.log.statuses()["dag#r"]
    assert (dag_run.state, dag_run.reason) == (RunState.TIMED_OUT, "open for longer than 0:01:00")


def test_one_node_is_cancelled_by_its_run_and_counts_as_failed() -> None:
    a, b, *others = DIAMOND
    play = asked(a, msgspec.structs.replace(b, cancel_grace=timedelta(seconds=7)), *others)
    play.run(holding=("b",))
    play.owner.offer(play.log.request_dag("stop", kind="cancel", run_id="dag#r/b"))
    play.turn()
    assert [each.grace for each in play.log.kills()] == [timedelta(seconds=7)]
    play.owner.offer(play.log.report(ended(play.log.dispatches()[1], play.log.now, None, EndCause.CANCELLED)))
    play.run()
    assert play.states() == {
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
def test_a_request_that_cannot_be_meant_is_refused_with_a_sentence(fields, sentence) -> None:
    log = Log()
    log.define()
    log.define_dag(node("a"))
    log.request_dag("r", **fields)
    play = Play(log)
    play.turn()
    assert log.history() == []
    (letter,) = [each for each in log.written if each.topic == "deadletter"]
    assert dict(letter.headers)["reason"].decode() == f"request 'r' is refused: {sentence}"


def test_a_dag_that_is_deleted_ends_what_is_open_and_opens_nothing() -> None:
    play = asked(*DIAMOND, schedule="@every 10s")
    play.run(holding=("a",))
    play.owner.offer(play.log.define_dag(version=2, deleted=True))
    play.owner = play.log.recover()
    play.turn()
    play.owner.offer(play.log.report(ended(play.log.dispatches()[0], play.log.now)))
    play.run(until=300)
    assert set(play.states().values()) == {"succeeded"}
    assert len(play.states()) == 5


def test_a_job_that_takes_the_place_of_a_dag_cancels_what_is_open_of_it() -> None:
    log = Log()
    log.define_dag(*DIAMOND)
    log.request_dag("r")
    play = Play(log)
    play.run(holding=("a",))
    play.owner.offer(log.define(version=2, job_id="dag"))
    play.run(until=3)
    assert play.states()["dag#r/a"] == "cancelling"
    play.owner.offer(log.report(ended(log.dispatches()[0], log.now, None, EndCause.CANCELLED)))
    play.run(until=3)
    assert play.states()["dag#r"] == "cancelled"


MANY = 5_000


def test_five_thousand_nodes_between_two_are_looked_at_once_each(monkeypatch) -> None:
    """Fan-out and fan-in, in as many transactions as their limit asks for, and none more."""
    looks: list[int] = []
    decision = Epoch.decision
    monkeypatch.setattr(Epoch, "decision", lambda epoch, node: looks.append(node) or decision(epoch, node))
    wide = [node(f"n{number}", "first") for number in range(MANY)]
    play = asked(node("first"), *wide, node("last", *(each.node_id for each in wide)))
    before, largest, dispatched = 0, 0, [0]
    while not play.done or play.owner.state.durable.runs:
        play.windows(MANY)
        play.run(until=1)
        largest, before = max(largest, len(play.log.written) - before), len(play.log.written)
        dispatched += [play.done] if play.done > dispatched[-1] else []
    assert play.log.statuses()["dag#r"].nodes == {RunState.SUCCEEDED: MANY + 2}
    assert largest <= 2 * 5_000  # an effect is up to two records
    assert (dispatched[1], dispatched[-1]) == (1, MANY + 2)
    assert len(dispatched) <= 4 + -(-MANY // (Bounds().nodes - 100))
    assert len(looks) == MANY + 2


def test_what_is_stored_of_an_epoch_is_gone_after_its_end() -> None:
    play = asked(*DIAMOND)
    play.run(holding=("d",))
    assert {key for key in play.log.stored() if key.startswith("dag")} == {
        "dag/dag#r",
        "dag/dag#r/a",
        "dag/dag#r/b",
        "dag/dag#r/c",
    }
    play.owner.offer(play.log.report(ended(play.log.dispatches()[-1], play.log.now)))
    play.run(until=2)
    assert {key.partition("/")[0] for key in play.log.stored()} == {"clock", "def", "req"}
