"""A run waits for an executor that can give what its job asks for, and delays no other run meanwhile (protocol D7)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.confinement import Capabilities, Confinement, Limit, Network, Sandbox
from schemas.dag import NodeSpec
from schemas.dispatch import Dispatch
from schemas.event import Rejected
from schemas.heartbeat import Window
from schemas.reasons import ReasonCode
from schemas.words import AttemptEnd, RunState
from streams.core.inputs import HeartbeatHeard
from streams.core.policy.retry import AFTER_UNMET
from streams.core.room import Bounds
from tests.support.simulated.heartbeats import heartbeat
from tests.support.simulated.log import DrivenSession, Log, ended, started

S = timedelta(seconds=1)
STRICT = Capabilities(sandboxes=(Sandbox.BASIC, Sandbox.STRICT), limits=(Limit.MEMORY,), unveil=("rw:/srv",))
BASIC = Capabilities(sandboxes=(Sandbox.BASIC,))
ASKS = {"sandbox": Sandbox.STRICT, "memory": 1 << 30}
WHY = (
    "waits for an executor that can run it: the executor cannot give sandbox strict (it gives basic) "
    "and a limit of memory"
)


def beat(
    log: Log, owner: DrivenSession, given: Capabilities | None, *, size: int = 100, executor_id: str = "e.1"
) -> None:
    windows = tuple(Window(timeout_class=name, partition=0, size=size) for name in ("10s", "1m", "1h"))
    said = heartbeat(log.now, executor_id=executor_id, windows=windows, capabilities=given)
    owner.learn(HeartbeatHeard(heartbeat=said, appended_at=log.now))


def defined(*, given: Capabilities | None, **asks: object) -> tuple[Log, DrivenSession]:
    """Two jobs, `job` and `plain`, of which the first asks for something; and an executor."""
    log = Log()
    log.define(job_id="plain")
    log.define(version=2, **asks)
    owner = log.recover()
    log.turn(owner)
    beat(log, owner, given)
    return log, owner


def ask(log: Log, owner: DrivenSession, job_id: str, request_id: str = "r") -> None:
    owner.offer(log.request(request_id, owner=job_id, job_id=job_id))


def run_to_its_end(log: Log, owner: DrivenSession, dispatch: Dispatch) -> None:
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now)))
    log.turn(owner, 0.1)


@pytest.mark.parametrize("given", [None, Capabilities(), BASIC])
def test_a_run_that_asks_for_more_waits_with_the_reason_and_others_pass_it(given) -> None:
    log, owner = defined(given=given, **ASKS)
    ask(log, owner, "job")
    ask(log, owner, "plain")
    log.turn(owner)
    assert [each.run_id for each in log.dispatches()] == ["plain#r"]
    status = log.statuses()["job#r"]
    assert (status.state, status.reason_code, status.attempt) == (RunState.QUEUED, ReasonCode.NO_CAPABLE_EXECUTOR, 0)
    assert status.transitions[-1].reason_code is ReasonCode.NO_CAPABLE_EXECUTOR


def test_the_reason_names_what_is_missing() -> None:
    log, owner = defined(given=BASIC, **ASKS)
    ask(log, owner, "job")
    log.turn(owner)
    assert log.statuses()["job#r"].reason == WHY


def test_it_is_dispatched_as_soon_as_a_heartbeat_offers_what_it_asks_for() -> None:
    log, owner = defined(given=BASIC, **ASKS)
    ask(log, owner, "job")
    log.turn(owner)
    beat(log, owner, STRICT)
    log.turn(owner, 0.1)
    (dispatch,) = log.dispatches()
    assert dispatch.confinement == Confinement(sandbox=Sandbox.STRICT, memory=1 << 30)
    run_to_its_end(log, owner, dispatch)
    status = log.statuses()["job#r"]
    assert (status.state, status.reason_code) == (RunState.SUCCEEDED, None)


def test_the_reason_is_taken_back_when_it_waits_for_a_slot_of_an_executor_that_can() -> None:
    log, owner = defined(given=BASIC, **ASKS)
    ask(log, owner, "job")
    log.turn(owner)
    beat(log, owner, STRICT, size=0)
    log.turn(owner, 0.1)
    status = log.statuses()["job#r"]
    assert (status.state, status.reason_code, status.reason) == (RunState.QUEUED, None, None)
    beat(log, owner, BASIC, size=0)
    log.turn(owner, 0.1)
    assert log.statuses()["job#r"].reason == WHY


def test_it_is_dispatched_when_the_partition_moves_to_an_executor_that_can() -> None:
    log, owner = defined(given=BASIC, **ASKS)
    ask(log, owner, "job")
    log.turn(owner)
    log.now += S
    beat(log, owner, STRICT, executor_id="e.2")
    log.turn(owner, 0.1)
    assert [each.run_id for each in log.dispatches()] == ["job#r"]


def test_it_is_not_sent_to_an_executor_that_is_unknown() -> None:
    log = Log()
    log.define(job_id="plain")
    log.define(version=2, **ASKS)
    owner = log.recover()
    ask(log, owner, "job")
    ask(log, owner, "plain")
    log.turn(owner)
    assert [each.run_id for each in log.dispatches()] == ["plain#r"], "a probe"
    assert log.statuses()["job#r"].reason_code is None, "nothing is known about the executor yet"
    beat(log, owner, STRICT)
    log.turn(owner, 0.1)
    assert [each.run_id for each in log.dispatches()] == ["plain#r", "job#r"]


def test_the_next_owner_goes_on_waiting_and_says_it_no_second_time() -> None:
    log, owner = defined(given=BASIC, **ASKS)
    ask(log, owner, "job")
    log.turn(owner)
    said = len(log.history())
    owner = log.recover()
    beat(log, owner, BASIC)
    log.turn(owner, 1)
    log.turn(owner, 1)
    assert (len(log.history()), log.dispatches()) == (said, [])
    beat(log, owner, STRICT)
    log.turn(owner, 0.1)
    assert [each.run_id for each in log.dispatches()] == ["job#r"]


def test_a_job_that_asks_for_less_now_is_dispatched() -> None:
    log, owner = defined(given=BASIC, **ASKS)
    ask(log, owner, "job")
    log.turn(owner)
    owner.offer(log.define(version=3, sandbox=Sandbox.BASIC))
    log.turn(owner, 0.1)
    assert [each.confinement for each in log.dispatches()] == [Confinement(sandbox=Sandbox.BASIC)]


def test_a_job_that_asks_for_more_now_waits() -> None:
    log, owner = defined(given=BASIC)
    beat(log, owner, BASIC, size=0)
    ask(log, owner, "job")
    log.turn(owner)
    owner.offer(log.define(version=3, **ASKS))
    log.turn(owner, 0.1)
    beat(log, owner, BASIC)
    log.turn(owner, 0.1)
    assert log.dispatches() == []
    assert log.statuses()["job#r"].reason == WHY


def test_a_node_waits_for_an_executor_that_can_run_it() -> None:
    log = Log()
    log.define_dag(
        NodeSpec(node_id="a", executable="s3://tidemill/x"),
        NodeSpec(node_id="b", executable="s3://tidemill/x", network=Network.NONE),
    )
    owner = log.recover()
    beat(log, owner, BASIC)
    owner.offer(log.request_dag("r"))
    log.turn(owner)
    log.turn(owner, 0.1)
    assert [each.run_id for each in log.dispatches()] == ["dag#r/a"]
    assert log.statuses()["dag#r/b"].reason_code is ReasonCode.NO_CAPABLE_EXECUTOR
    beat(log, owner, Capabilities(limits=(Limit.NETWORK,)))
    log.turn(owner, 0.1)
    assert [each.run_id for each in log.dispatches()] == ["dag#r/a", "dag#r/b"]


def test_a_run_that_waits_so_may_be_cancelled_and_misses_its_deadline() -> None:
    log, owner = defined(given=BASIC, start_deadline=30 * S, schedule="@every 1h", **ASKS)
    ask(log, owner, "job")
    log.turn(owner)
    owner.offer(log.request("c", kind="cancel", run_id="job#r"))
    log.turn(owner, 0.1)
    assert log.statuses()["job#r"].state is RunState.CANCELLED
    log.turn(owner, 3600)
    log.turn(owner, 60)
    (missed,) = [each for each in log.statuses().values() if each.run_id.startswith("job@")]
    assert (missed.state, missed.reason_code) == (RunState.MISSED, ReasonCode.START_DEADLINE)


def test_an_attempt_that_its_executor_cannot_give_is_tried_again_at_no_charge() -> None:
    log, owner = defined(given=STRICT, max_infra_retries=0, **ASKS)
    log.turn(owner, 0.1)
    ask(log, owner, "job")
    log.turn(owner)
    (dispatch,) = log.dispatches()
    said = "the executor cannot give sandbox strict (it gives basic)"
    refused = Rejected(
        run_id=dispatch.run_id,
        attempt=dispatch.attempt,
        token=dispatch.token,
        at=log.now,
        reason=said,
        is_unmet=True,
    )
    owner.offer(log.report(refused))
    log.turn(owner)
    status = log.statuses()["job#r"]
    assert (status.attempts[-1].end, status.reason_code) == (AttemptEnd.REJECTED, ReasonCode.NO_CAPABLE_EXECUTOR)
    assert status.reason == f"waits for an executor that can run it: {said}"
    log.now += AFTER_UNMET
    beat(log, owner, STRICT, executor_id="e.3")
    log.turn(owner, 0.1)
    run_to_its_end(log, owner, log.dispatches()[-1])
    assert log.statuses()["job#r"].state is RunState.SUCCEEDED


def test_the_reason_of_many_runs_is_said_in_several_transactions() -> None:
    log = Log()
    log.bounds = Bounds(effects=8)
    log.define(overlap_policy="allow_all", **ASKS)
    owner = log.recover()
    beat(log, owner, BASIC)
    for number in range(20):
        ask(log, owner, "job", f"r{number}")
    sizes = []
    for _ in range(20):
        prepared = log.turn(owner, 0.1)
        sizes.append(len(prepared.records) if prepared else 0)
    assert {each.reason for each in log.statuses().values()} == {WHY}
    assert max(sizes) <= 2 * 8 + 4, "a run has two records; the clock has one"
    beat(log, owner, STRICT)
    for _ in range(20):
        log.turn(owner, 0.1)
    assert len(log.dispatches()) == 20


def test_runs_are_dispatched_in_their_order_whatever_they_ask_for() -> None:
    log, owner = defined(given=STRICT, **ASKS)
    beat(log, owner, STRICT, size=0)
    asked = []
    for number in range(6):
        name = ("job", "plain")[number % 2]
        ask(log, owner, name, f"r{number}")
        asked.append(f"{name}#r{number}")
        log.turn(owner, 0.1)
    for size in range(1, 7):
        beat(log, owner, STRICT, size=size)
        log.turn(owner, 0.1)
        assert [each.run_id for each in log.dispatches()] == asked[:size]
