"""A run belongs to the trace of its request: so do its attempts, its nodes, and what runs again."""

from __future__ import annotations

import pytest

from tests.support.request_cases import TRACEPARENT
from tests.support.simulated.dag_scenario import DIAMOND, DagScenario, request_for_run
from tests.support.simulated.log import Log, ended, started


def of_dispatches(log):
    return [each.traceparent for each in log.dispatches()]


def of_statuses(log):
    return {run_id: status.traceparent for run_id, status in log.statuses().items()}


def requested(log, **fields):
    log.define(max_attempts=2, initial_interval="PT0S", retry_jitter=0)
    log.request("r", **fields)
    owner = log.recover()
    log.turn(owner)
    return owner


def fail(log, owner):
    dispatch = log.dispatches()[-1]
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now, exit_code=1)))
    log.turn(owner)


def requested_dag_in_a_trace(**codes):
    log = Log()
    log.define_dag(*DIAMOND)
    log.request_dag("r", traceparent=TRACEPARENT)
    return DagScenario(log, **codes)


def test_a_run_and_its_attempts_are_in_the_trace_of_the_request():
    log = Log()
    owner = requested(log, traceparent=TRACEPARENT)
    fail(log, owner)
    assert of_dispatches(log) == [TRACEPARENT] * 2
    assert {each.traceparent for each in log.history()} == {TRACEPARENT}


def test_a_request_by_the_topic_may_name_its_trace():
    log = Log()
    log.define()
    log.request_by_topic("r", traceparent=TRACEPARENT)
    log.turn(log.recover())
    assert of_dispatches(log) == [TRACEPARENT]


def test_without_one_a_run_carries_no_trace():
    log = Log()
    requested(log)
    assert of_dispatches(log) == [None]


def test_the_next_owner_knows_the_trace():
    log = Log()
    requested(log, traceparent=TRACEPARENT)
    fail(log, log.recover())
    assert of_dispatches(log) == [TRACEPARENT] * 2


def test_the_nodes_of_a_dag_run_are_in_its_trace():
    scenario = requested_dag_in_a_trace(b=3)
    scenario.run()
    assert len(scenario.log.dispatches()) == 3
    assert set(of_dispatches(scenario.log)) == {TRACEPARENT}
    assert of_statuses(scenario.log) == dict.fromkeys(
        ["dag#r", *(f"dag#r/{each.node_id}" for each in DIAMOND)], TRACEPARENT
    )


@pytest.mark.parametrize(
    ("kind", "run_id", "fields"),
    [("rerun", "dag#r", {}), ("rerun", "dag#r/b", {}), ("mark", "dag#r/b", {"mark_as": "succeeded"})],
)
def test_what_runs_again_stays_in_the_trace(kind, run_id, fields):
    scenario = requested_dag_in_a_trace(b=3)
    scenario.run()
    scenario.codes.clear()
    scenario.owner.offer(request_for_run(scenario.log, "again", kind, run_id, **fields))
    scenario.run()
    assert scenario.states()["dag#r"] == "succeeded"
    assert set(of_dispatches(scenario.log)) == set(of_statuses(scenario.log).values()) == {TRACEPARENT}


def test_a_rerun_may_name_another_trace():
    log = Log()
    owner = requested(log)
    fail(log, owner)
    fail(log, owner)
    nominal = log.statuses()["job#r"].nominal_time.isoformat()
    again = {"kind": "rerun", "run_id": "job#r", "nominal_time": nominal, "attempt": 2}
    owner.offer(log.request("again", **again, traceparent=TRACEPARENT))
    log.turn(owner)
    assert of_dispatches(log) == [None, None, TRACEPARENT]
