"""Requests by topic, without Kafka: each becomes one run or a reason, wherever it arrives."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from schemas.event import EndCause
from schemas.partition import partition_of
from schemas.topics import DEADLETTER, MAX_REQUEST_BYTES, REQUESTS
from schemas.words import RunState
from streams.core.room import Bounds
from streams.core.settings import CoreSettings
from streams.owner.owner import Owner
from streams.owner.transaction_records import MAX_DEAD_BYTES
from tests.support.raw_json import plain
from tests.support.simulated.log import Log, ended

PARTITIONS = 2
HOME = partition_of("job", PARTITIONS)
AWAY = 1 - HOME


def running(log: Log) -> Owner:
    log.define()
    owner = log.recover()
    log.turn(owner)
    return owner


def ran(log: Log) -> list[str]:
    return [dispatch.run_id for dispatch in log.dispatches()]


def dead(log: Log) -> list[dict[str, str]]:
    return [{name: value.decode() for name, value in r.headers} for r in log.written if r.topic == DEADLETTER]


def away() -> tuple[Log, Owner]:
    """A partition that is not the one of `job`, and its owner."""
    log = Log(AWAY, PARTITIONS)
    owner = log.recover()
    log.turn(owner)
    return log, owner


def test_a_request_by_topic_runs_once_however_often_it_arrives() -> None:
    log = Log()
    owner = running(log)
    first = log.request_by_topic("r", payload={"a": 1})
    owner.offer(first)
    owner.offer(log.append_copy(first))
    log.turn(owner)
    owner = log.recover()
    owner.offer(log.append_copy(first))
    log.turn(owner)
    assert ran(log) == ["job#r"]
    assert plain(log.dispatches()[0].payload) == {"a": 1}


@pytest.mark.parametrize("is_table_first", [True, False])
def test_the_same_id_by_table_and_by_topic_is_one_run(is_table_first) -> None:
    log = Log()
    owner = running(log)
    writers = [log.request, log.request_by_topic] if is_table_first else [log.request_by_topic, log.request]
    for write in writers:
        owner.offer(write("r"))
        log.turn(owner)
    owner = log.recover()
    log.turn(owner)
    assert ran(log) == ["job#r"]


def test_a_request_without_a_key_is_placed_by_its_job() -> None:
    log = Log()
    owner = running(log)
    owner.offer(log.append_public(b'{"request_id": "r", "job_id": "job"}', key=None))
    owner.offer(log.append_public(b'{"request_id": "s", "job_id": "job"}', key=b"somebody else"))
    log.turn(owner)
    assert ran(log) == ["job#r", "job#s"]


def test_a_created_at_in_the_future_is_replaced_by_the_append_time() -> None:
    log = Log()
    owner = running(log)
    soon = (log.now + timedelta(seconds=5)).isoformat()
    owner.offer(log.request_by_topic("r", created_at=(log.now + timedelta(days=400)).isoformat(), run_at=soon))
    log.turn(owner)
    owner.offer(log.request_by_topic("s"))
    log.turn(owner, 5)
    assert sorted(ran(log)) == ["job#r", "job#s"]


@pytest.mark.parametrize("value", [None, b"{", b'{"request_id": "r"}', b"\xff" * (MAX_REQUEST_BYTES + 1)])
def test_a_refused_request_has_its_offset_and_reason(value) -> None:
    log = Log()
    owner = running(log)
    owner.offer(log.append_public(value, key=b"k" * 300))
    log.turn(owner)
    (letter,) = dead(log)
    assert (letter["source_topic"], letter["source_partition"], letter["source_offset"]) == ("requests", "0", "0")
    assert letter["reason"].startswith("record requests@0 ")
    (record,) = [r for r in log.written if r.topic == DEADLETTER]
    assert record.key == "k" * 200
    assert len(record.value or b"") <= MAX_DEAD_BYTES
    assert log.recover().state.durable.applied[REQUESTS].offset == 0


def test_a_refused_parked_request_has_its_offset() -> None:
    log = Log()
    owner = log.recover()
    owner.offer(log.request_by_topic("r"))
    log.turn(owner)
    owner = log.recover()
    log.turn(owner, CoreSettings().park_limit.total_seconds() + 1)
    (letter,) = dead(log)
    assert (letter["source_topic"], letter["source_offset"]) == ("requests", "0")
    assert "job 'job' does not exist" in letter["reason"]


def test_a_request_in_the_wrong_partition_is_forwarded_and_marked() -> None:
    log, owner = away()
    owner.offer(log.append_public(b'{"request_id": "r", "job_id": "job"}', key=b"other"))
    log.turn(owner)
    (moved,) = log.forwarded
    assert (moved.topic, moved.partition, moved.key) == (REQUESTS, HOME, "job")
    assert moved.value == b'{"request_id": "r", "job_id": "job"}'
    assert moved.found_at == f"{AWAY}@0"
    assert dead(log) == []
    log.turn(log.recover())
    assert len(log.forwarded) == 1


def test_a_forwarded_request_is_deduplicated_in_its_partition() -> None:
    log = Log(HOME, PARTITIONS)
    owner = running(log)
    value = orjson.dumps({"request_id": "r", "job_id": "job"})
    for is_forwarded in (False, True, True):
        owner.offer(log.append_public(value, is_forwarded=is_forwarded))
    log.turn(owner)
    assert ran(log) == ["job#r"]
    assert dead(log) == []


def test_a_forwarded_request_in_a_wrong_partition_is_a_problem() -> None:
    log, owner = away()
    owner.offer(log.append_public(b'{"request_id": "r", "job_id": "job"}', is_forwarded=True))
    log.turn(owner)
    assert log.forwarded == []
    assert f"of 'job' is in partition {AWAY}, its home is partition {HOME}" in dead(log)[0]["reason"]


def test_an_invalid_request_in_the_wrong_partition_is_refused_there() -> None:
    log, owner = away()
    owner.offer(log.append_public(b'{"request_id": "r@", "job_id": "job"}'))
    log.turn(owner)
    assert log.forwarded == []
    assert dead(log)[0]["source_partition"] == str(AWAY)


def test_requests_delayed_by_the_connector_are_not_refused_for_their_age() -> None:
    log = Log()
    owner = running(log)
    held_back = log.now.isoformat()
    log.now += timedelta(days=30)
    owner.offer(log.request_by_topic("by topic"))
    log.turn(owner)
    owner.offer(log.request("by table", created_at=held_back))
    log.turn(owner)
    assert sorted(ran(log)) == ["job#by table", "job#by topic"]
    assert dead(log) == []


def test_a_copy_of_an_open_runs_request_changes_nothing_after_its_id_is_forgotten() -> None:
    log = Log()
    owner = running(log)
    asked_at = log.now.isoformat()
    owner.offer(log.request_by_topic("r", run_at=(log.now + timedelta(days=60)).isoformat()))
    log.turn(owner)
    log.now += timedelta(days=30)
    owner.offer(log.request_by_topic("other"))
    log.turn(owner)
    assert "req/r" not in log.stored()
    before = log.statuses()["job#r"]
    owner.offer(log.request_by_topic("r", created_at=asked_at))
    owner.offer(log.request_by_topic("r"))
    log.turn(owner)
    assert log.statuses()["job#r"] == before
    assert dead(log) == []


def test_a_run_can_be_stopped_and_rerun_by_topic() -> None:
    log = Log()
    log.define(schedule="@every 5s")
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 5)
    (run_id,) = ran(log)
    owner.offer(log.request_by_topic("stop", kind="cancel", run_id=run_id, note="by mistake"))
    log.turn(owner, 0.1)
    assert log.statuses()[run_id].state is RunState.CANCELLING
    (dispatch,) = log.dispatches()
    owner.offer(log.report(ended(dispatch, log.now, None, EndCause.CANCELLED)))
    log.turn(owner, 0.1)
    owner.offer(log.request_by_topic("again", kind="rerun", run_id=run_id, attempt=1))
    log.turn(owner, 0.1)
    assert ran(log) == [run_id, run_id]


def test_a_run_that_is_not_due_cannot_be_rerun() -> None:
    log = Log()
    log.define(schedule="@every 5s")
    owner = log.recover()
    log.turn(owner)
    owner.offer(log.request_by_topic("again", kind="rerun", run_id="job@2026-03-01T12:00:05Z"))
    log.turn(owner, 5)
    assert ran(log) == ["job@2026-03-01T12:00:05Z"]
    assert "run 'job@2026-03-01T12:00:05Z' is not due yet" in dead(log)[0]["reason"]


def test_due_work_is_decided_while_requests_keep_coming(monkeypatch) -> None:
    monkeypatch.setattr(Log, "bounds", Bounds(effects=10))
    log = Log()
    log.define(schedule="@every 1s", overlap_policy="allow_all")
    owner = log.recover()
    log.turn(owner)
    for number in range(100):
        owner.offer(log.request_by_topic(f"r{number}"))
    log.turn(owner, 1)
    assert owner.backlog > 0
    assert "job@2026-03-01T12:00:01Z" in log.statuses()
