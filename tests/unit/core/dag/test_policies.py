"""Policies of a DAG for its DAG runs: their number, when they stop, and the version of each."""

from __future__ import annotations

from datetime import timedelta

from schemas.dag import NodeSpec
from schemas.status import RunStatus
from schemas.topics import DEADLETTER
from schemas.words import OverlapPolicy, RunState
from tests.support.simulated.crashing_owner import CrashScenario, Fate
from tests.support.simulated.log import Log, ended, started

CHAIN = (NodeSpec(node_id="a", executable="s3://tidemill/x"), NodeSpec(node_id="b", executable="s3://tidemill/x"))


class TenSecondDag(CrashScenario):
    """The DAG `dag`, due every ten seconds; a test gives the exit code of node `b`."""

    def __init__(self, **fields: object) -> None:
        super().__init__(Log())
        self.fields = {"schedule": "@every 10s", **fields}
        self.log.define_dag(*CHAIN, **self.fields)
        self.owner = self.log.recover()
        self.turn(Fate.COMMITTED, 5)

    def change(self, version: int, **fields: object) -> None:
        self.fields |= fields
        self.owner.offer(self.log.define_dag(*CHAIN, version=version, **self.fields))

    def ten_seconds(self, code: int) -> RunStatus:
        """Returns the ended DAG run of the next occurrence; the owner crashes each turn."""
        known = set(self.log.statuses())
        for _ in range(10):
            self.turn(Fate.UNKNOWN, 1)
            dispatches = self.log.dispatches()
            for dispatch in dispatches[self.reported :]:
                now = self.log.now
                own = code if dispatch.run_id.endswith("b") else 0
                self.owner.offer(self.log.report(started(dispatch, now), ended(dispatch, now, own)))
            self.reported = len(dispatches)
        (run_id,) = {each for each in self.log.statuses() if "/" not in each} - known
        return self.log.statuses()[run_id]

    def reasons(self) -> list[str]:
        return [dict(each.headers)["reason"].decode() for each in self.log.written if each.topic == DEADLETTER]


def test_repeated_failures_stop_the_schedule_until_the_dag_changes() -> None:
    dag = TenSecondDag(pause_on_failure=2)
    assert [dag.ten_seconds(code).state.value for code in (1, 0, 1, 1)] == ["failed", "succeeded", "failed", "failed"]
    skipped = dag.ten_seconds(0)
    assert skipped.reason is not None
    assert skipped.reason.startswith("2 runs in a row ended badly; `tidemill dag resume`, or any")
    (reason,) = dag.reasons()
    assert reason.startswith("dag 'dag' is paused: 2 runs in a row ended badly")
    assert reason.endswith("1 of 2 nodes failed: b")
    dag.change(2, resumed_at=dag.log.now)
    assert dag.ten_seconds(1).state.value == "failed"
    assert dag.ten_seconds(0).state.value == "succeeded"


def test_max_runs_counts_scheduled_dag_runs_and_not_requested_ones() -> None:
    dag = TenSecondDag(max_runs=1)
    dag.owner.offer(dag.log.request_dag("r"))
    dag.turn(Fate.COMMITTED, 0)
    assert dag.ten_seconds(0).run_id.startswith("dag@")
    assert dag.ten_seconds(0).reason == "all 1 runs are made; nothing more is due"
    dag.change(2, max_runs=2)
    assert dag.ten_seconds(0).state.value == "succeeded"


def test_a_dag_run_records_its_definition_version() -> None:
    dag = TenSecondDag()
    assert dag.ten_seconds(0).dag_version == 1
    dag.change(7)
    assert dag.ten_seconds(0).dag_version == 7


def test_a_dag_run_that_does_not_open_by_its_deadline_is_missed_and_an_open_one_continues() -> None:
    dag = TenSecondDag(start_deadline=timedelta(seconds=5), overlap_policy=OverlapPolicy.BUFFER_ALL)
    for _ in range(21):
        dag.turn(Fate.UNKNOWN, 1)
    (first, second) = [each for each in dag.log.statuses().values() if each.node_id is None]
    assert (first.state, second.state) == (RunState.RUNNING, RunState.MISSED)
    assert second.reason == "not started within 0:00:05 of its time"
