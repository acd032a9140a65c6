"""One owner's partition in the middle of its work: what it has written, and what the next owner finds."""

from __future__ import annotations

from datetime import timedelta

import orjson

from schemas.codec import encode
from schemas.dag import NodeSpec
from schemas.heartbeat import Window
from schemas.topics import CDC, EVENTS, REQUESTS, STATE
from streams.core.inputs import HeartbeatHeard
from streams.core.stored import StoredQuarantine
from streams.owner.records import OutRecord
from tests.support.formats import Kept
from tests.support.raw_json import raw
from tests.support.simulated.driven_session import Driven
from tests.support.simulated.heartbeats import heartbeat
from tests.support.simulated.log import Log, ended, started

INPUTS = (CDC, REQUESTS, EVENTS)
HELD = ("dag#r/d", "job#held")
"""Runs whose processes do not end."""
FAILING = {"dag#r/b": 3, "weak#w": 1}


def node(node_id: str, *depends_on: str) -> NodeSpec:
    return NodeSpec(node_id=node_id, executable="s3://tidemill/x", depends_on=depends_on)


def told() -> Log:
    """Jobs that run, fail and are told to stop; a DAG run with an order; a backfill; what is refused or parked."""
    log = Log()
    log.define(1, schedule="* * * * *", max_attempts=3, max_runs=1000, payload=raw({"day": 1}), overlap_policy="skip")
    log.define(2, job_id="weak", pause_on_failure=1, max_attempts=1)
    log.define(3, job_id="bad")
    log.define_dag(node("a"), node("b", "a"), node("c", "a"), node("d", "c"), version=4)
    log.request("held", payload='{"day": 3}', note="by hand")
    log.request("stopped")
    log.request("w", owner="weak", job_id="weak")
    log.request("early", owner="ghost", job_id="ghost")
    log.request_dag("r")
    log.request("bf", **backfill(log))
    log.foreign("foreign")
    log.garbage(b"no JSON")
    owner = log.recover()
    beat = heartbeat(log.now, windows=(Window(timeout_class="10s", partition=0, size=100),))
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


def work(log: Log, owner: Driven, turns: int, *, holding: tuple[str, ...] = (*HELD, "job#stopped", "job@")) -> None:
    """Executors start what is dispatched, and end it if it is not held."""
    done = 0
    for _ in range(turns):
        log.turn(owner, 0.1)
        for dispatch in log.dispatches()[done:]:
            events = [started(dispatch, log.now)]
            if not dispatch.run_id.startswith(holding):
                events.append(ended(dispatch, log.now, FAILING.get(dispatch.run_id, 0)))
            owner.offer(log.report(*events))
        done = len(log.dispatches())


def quarantined(owner: str) -> OutRecord:
    stored = StoredQuarantine(reason="RuntimeError: more than we can take", tried_version=3)
    return OutRecord(topic=STATE, key=f"quarantine/{owner}", value=encode(stored))


def as_records(log: Log) -> list[Kept]:
    """The inputs, and then what was written, in the order of their offsets."""
    read = [each for topic in INPUTS for each in log.inputs[topic]]
    inputs = [Kept(topic=each.topic, key=text(each.key), value=text(each.value)) for each in read]
    return inputs + [
        Kept(
            topic=each.topic,
            key=each.key,
            value=text(each.value),
            headers=tuple((name, value.decode()) for name, value in each.headers),
        )
        for each in log.written
    ]


def text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def as_log(records: list[Kept]) -> Log:
    """The partition as it was, a moment later."""
    log = Log()
    log.now += timedelta(minutes=2, seconds=5)
    for each in records:
        value = None if each.value is None else each.value.encode()
        if each.topic in INPUTS:
            log._append(each.topic, value, key=each.key and each.key.encode())
            continue
        said = orjson.loads(each.value) if each.topic.startswith("runs.") and each.value else None
        dispatch = (said["run_id"], said["token"]) if said else None
        log.written.append(OutRecord(topic=each.topic, key=each.key or "", value=value, dispatch=dispatch))
    return log
