"""A generated partition in the middle of its work: its input and what its owner has written."""

from __future__ import annotations

from datetime import timedelta

import orjson

from schemas.codec import encode
from schemas.confinement import Capabilities, Limit, Network, Sandbox
from schemas.dag import NodeSpec
from schemas.heartbeat import Window
from schemas.topics import CDC, EVENTS, REQUESTS, STATE
from streams.core.inputs import HeartbeatHeard
from streams.core.stored import StoredQuarantine
from streams.owner.records import OutRecord
from tests.support.formats import Sample
from tests.support.raw_json import raw
from tests.support.simulated.driven_session import DrivenSession
from tests.support.simulated.heartbeats import heartbeat
from tests.support.simulated.log import Log, ended, started

INPUTS = (CDC, REQUESTS, EVENTS)
HELD = ("dag#r/d", "job#held")
"""Runs whose processes do not end."""
GIVEN = Capabilities(sandboxes=(Sandbox.BASIC,), limits=tuple(Limit), unveil=("r:/srv",))
CONFINED = {"sandbox": Sandbox.BASIC, "memory": 1 << 29, "network": Network.NONE, "unveil": ("r:/srv/www",)}
USED = {"peak_memory": 9 << 20, "cpu_seconds": 0.25}
FAILING = {"dag#r/b": 3, "weak#w": 1}


def node(node_id: str, *depends_on: str) -> NodeSpec:
    return NodeSpec(node_id=node_id, executable="s3://tidemill/x", depends_on=depends_on)


def history_log() -> Log:
    """A log with jobs that succeed, fail and are stopped, a marked DAG run, a backfill, refused and parked requests."""
    log = Log()
    log.define(1, schedule="* * * * *", max_attempts=3, max_runs=1000, payload=raw({"day": 1}), overlap_policy="skip")
    log.define(2, job_id="weak", pause_on_failure=1, max_attempts=1, **CONFINED)
    log.define(3, job_id="bad")
    log.define_dag(node("a"), node("b", "a"), node("c", "a"), node("d", "c"), version=4)
    log.request("held", payload='{"day": 3}', note="by hand")
    log.request("stopped")
    log.request("w", owner="weak", job_id="weak")
    log.request("early", owner="ghost", job_id="ghost")
    log.request_dag("r")
    log.request("bf", **backfill(log))
    log.request_by_topic("foreign")
    log.append_cdc(b"no JSON")
    owner = log.recover()
    beat = heartbeat(log.now, windows=(Window(timeout_class="10s", partition=0, size=100),), capabilities=GIVEN)
    owner.learn(HeartbeatHeard(heartbeat=beat, appended_at=log.now))
    work(log, owner, turns=12)
    owner.offer(log.request("stop", kind="cancel", run_id="job#stopped"))
    owner.offer(log.request_dag("m", kind="mark", run_id="dag#r/b", dag_id=None, job_id="dag", mark_as="succeeded"))
    owner.offer(log.define_dag(node("a"), node("e"), version=5))
    for _ in range(4):
        log.turn(owner, 30)
    owner.offer(log.request("late", owner="ghost", job_id="ghost", payload='{"day": 4}'))
    log.turn(owner)
    log.written.append(quarantined("bad"))
    return log


def backfill(log: Log) -> dict[str, object]:
    begin, end = log.now - timedelta(minutes=9), log.now - timedelta(minutes=4)
    row = {"backfill_from": begin.isoformat(), "backfill_to": end.isoformat(), "reprocess": "none", "ran": "{}"}
    return {"kind": "backfill", "max_active_runs": 2, "run_backwards": True, "dry_run": False, **row}


def work(
    log: Log, owner: DrivenSession, turns: int, *, holding: tuple[str, ...] = (*HELD, "job#stopped", "job@")
) -> None:
    """Starts each dispatched run, and ends it unless its id starts with one of `holding`."""
    executed = 0
    for _ in range(turns):
        log.turn(owner, 0.1)
        for dispatch in log.dispatches()[executed:]:
            events = [started(dispatch, log.now)]
            if not dispatch.run_id.startswith(holding):
                events.append(ended(dispatch, log.now, FAILING.get(dispatch.run_id, 0), **USED))
            owner.offer(log.report(*events))
        executed = len(log.dispatches())


def quarantined(owner: str) -> OutRecord:
    stored = StoredQuarantine(reason="RuntimeError: more than we can take", tried_version=3)
    return OutRecord(topic=STATE, key=f"quarantine/{owner}", value=encode(stored))


def as_records(log: Log) -> list[Sample]:
    """The input records, then the written ones, in offset order."""
    read = [each for topic in INPUTS for each in log.inputs[topic]]
    inputs = [Sample(topic=each.topic, key=text(each.key), value=text(each.value)) for each in read]
    return inputs + [
        Sample(
            topic=each.topic,
            key=each.key,
            value=text(each.value),
            headers=tuple((name, value.decode()) for name, value in each.headers),
        )
        for each in log.written
    ]


def text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def as_log(records: list[Sample]) -> Log:
    """The log of these records, two minutes later."""
    log = Log()
    log.now += timedelta(minutes=2, seconds=5)
    for each in records:
        value = None if each.value is None else each.value.encode()
        if each.topic in INPUTS:
            log._append(each.topic, value, key=each.key and each.key.encode())
            continue
        fields = orjson.loads(each.value) if each.topic.startswith("runs.") and each.value else None
        dispatch = (fields["run_id"], fields["token"]) if fields else None
        log.written.append(OutRecord(topic=each.topic, key=each.key or "", value=value, dispatch=dispatch))
    return log
