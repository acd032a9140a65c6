"""A payload reaches the standard input of its process unparsed: no byte changes."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from executors.results import stdin_of
from schemas.codec import decode, encode
from schemas.dispatch import Dispatch
from schemas.event import EndCause
from schemas.job import JobSpec
from schemas.raw import size_of
from schemas.result import Result
from tests.support.simulated.dag_scenario import node, requested_dag
from tests.support.simulated.log import Log, ended

PAYLOADS = [
    "0.1000000000000000055",
    '{"amount": 12345678901234567.890,  "b": 1, "a": 2, "b": 3}',
    "[1e400, 1e-400, 123456789012345678901234567890]",
    '"\\u00e9 \\/ \\ud83d\\ude00 é"',
]
every_payload = pytest.mark.parametrize("text", PAYLOADS)


def inputs(log: Log) -> list[bytes | None]:
    """The inputs of the processes, as executors read them from the dispatches."""
    return [stdin_of(decode(encode(each), Dispatch), {}) for each in log.dispatches()]


@every_payload
def test_each_attempt_gets_the_jobs_payload_also_after_a_takeover(text: str) -> None:
    log = Log()
    log.define(payload=msgspec.Raw(text.encode()), max_attempts=2, initial_interval="PT1S")
    owner = log.recover()
    owner.offer(log.request("r"))
    log.turn(owner)
    owner.offer(log.report(ended(log.dispatches()[0], log.now, exit_code=1)))
    log.turn(owner)
    owner = log.recover()
    log.turn(owner, 5)
    assert inputs(log) == [text.encode()] * 2


@every_payload
def test_a_request_by_table_or_topic_passes_its_payload_unchanged(text: str) -> None:
    log = Log()
    log.define(overlap_policy="allow_all")
    owner = log.recover()
    log.turn(owner)
    owner.offer(log.request("by-table", payload=text))
    owner.offer(log.append_public(b'{"request_id": "by-topic", "job_id": "job",  "payload":  %s }' % text.encode()))
    log.turn(owner)
    assert inputs(log) == [text.encode()] * 2


@every_payload
def test_a_rerun_passes_its_own_payload(text: str) -> None:
    log = Log()
    log.define()
    owner = log.recover()
    owner.offer(log.request("r"))
    log.turn(owner)
    owner.offer(log.report(ended(log.dispatches()[0], log.now, exit_code=1)))
    log.turn(owner)
    nominal = log.statuses()["job#r"].nominal_time.isoformat()
    owner.offer(log.request("s", kind="rerun", run_id="job#r", nominal_time=nominal, attempt=1, payload=text))
    log.turn(owner)
    assert inputs(log)[1:] == [text.encode()]


@every_payload
def test_a_node_passes_payload_and_results_unchanged(text: str) -> None:
    raw = msgspec.Raw(text.encode())
    scenario = requested_dag(node("a", payload=raw), node("b", "a", payload=raw))
    scenario.turn()
    (first,) = scenario.log.dispatches()
    result = Result(bytes=size_of(raw), value=raw)
    scenario.owner.offer(scenario.log.report(ended(first, scenario.log.now, 0, EndCause.EXITED, result=result)))
    scenario.turn()
    alone, with_result = inputs(scenario.log)
    assert alone == text.encode()
    assert with_result == b'{"payload":%s,"results":{"a":%s}}' % (text.encode(), text.encode())


def test_a_payload_owns_its_memory_and_null_is_none() -> None:
    record = b'{"job_id": "j", "executable": "x", "payload": [1], "more": "%s"}' % (b"x" * 1_000)
    payload = decode(record, JobSpec).payload
    assert payload is not None
    assert payload.copy() is payload, "it is a view of the record"
    assert decode(b'{"job_id": "j", "executable": "x", "payload": null}', JobSpec).payload is None


def test_a_record_of_the_former_release_has_its_payload_as_plain_json() -> None:
    spec = JobSpec(job_id="j", executable="x", payload=msgspec.Raw(b'{"a": 1.50}'))
    assert orjson.loads(encode(spec))["payload"] == {"a": 1.5}
    assert decode(encode(spec), JobSpec) == spec
