"""A DAG on the simulated log with an executor, and rerun and mark requests as the table's trigger completes them."""

from __future__ import annotations

import orjson

from schemas.codec import encode
from schemas.dag import NodeSpec
from schemas.heartbeat import Window
from schemas.ids import dag_run_of
from schemas.request import NodeEnd
from streams.core.inputs import HeartbeatHeard
from streams.owner.owner import Owner
from streams.owner.records import InRecord
from tests.support.simulated.heartbeats import heartbeat as plain_heartbeat
from tests.support.simulated.log import Log, ended, started


def node(node_id: str, *depends_on: str, **fields: object) -> NodeSpec:
    return NodeSpec(node_id=node_id, executable="s3://tidemill/x", depends_on=depends_on, **fields)


DIAMOND = (node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c"))


class DagScenario:
    """A log, its owner, and an executor that ends each node with its exit code in `codes`, or 0."""

    def __init__(self, log: Log, **codes: int) -> None:
        self.log, self.codes = log, codes
        self.owner: Owner = log.recover()
        self.executed = 0

    def turn(self, seconds: float = 0.1) -> None:
        self.log.turn(self.owner, seconds)

    def run(self, *, until: int = 40, holding: tuple[str, ...] = ()) -> None:
        """Takes `until` turns, and executes what is dispatched. `holding`: nodes whose processes do not end."""
        for _ in range(until):
            self.turn()
            dispatches = self.log.dispatches()
            for dispatch in dispatches[self.executed :]:
                name = dispatch.run_id.rpartition("/")[2]
                events = [started(dispatch, self.log.now)]
                if name not in holding:
                    events.append(ended(dispatch, self.log.now, self.codes.get(name, 0)))
                self.owner.offer(self.log.report(*events))
            self.executed = len(dispatches)

    def windows(self, size: int) -> None:
        heartbeat = plain_heartbeat(self.log.now, windows=(Window(timeout_class="10s", partition=0, size=size),))
        self.owner.learn(HeartbeatHeard(heartbeat=heartbeat, appended_at=self.log.now))

    def states(self) -> dict[str, str]:
        return {run_id: status.state.value for run_id, status in self.log.statuses().items()}


def requested_dag(*nodes: NodeSpec, codes: dict[str, int] | None = None, **fields: object) -> DagScenario:
    """The DAG `dag` with one request to run it."""
    log = Log()
    log.define_dag(*nodes, **fields)
    log.request_dag("r")
    return DagScenario(log, **(codes or {}))


def request_for_run(log: Log, request_id: str, kind: str, run_id: str, **fields: object) -> InRecord:
    """A rerun or a mark, with what the trigger adds from the read model (schemas/tables/0006_requests.sql)."""
    statuses = log.statuses()
    whole = statuses[dag_run_of(run_id)]
    seen = {"nominal_time": whole.nominal_time.isoformat()}
    if whole.state.is_final:
        nodes = {
            each.node_id: orjson.Fragment(
                encode(NodeEnd(state=each.state, attempt=each.attempt, result=each.result, next_nodes=each.next_nodes))
            )
            for each in statuses.values()
            if each.node_id and dag_run_of(each.run_id) == whole.run_id
        }
        seen |= {"nodes": orjson.dumps(nodes).decode(), "seen_version": whole.version}
        seen |= {"traceparent": whole.traceparent}
    named = {"kind": kind, "run_id": run_id, "dag_id": None, "job_id": "dag"}
    return log.request_dag(request_id, **named | seen | fields)
