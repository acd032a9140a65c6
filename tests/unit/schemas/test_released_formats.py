"""Later releases read what a release wrote: its migrations, records and owner state."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import orjson
import pytest
from packaging.version import Version

from connectors.batch import collect
from schemas.codec import encode
from schemas.event import Event, EventBatch
from schemas.job import Definition
from schemas.request import Request
from schemas.topics import CLUSTER, DEADLETTER, SINK_TOPICS, STATE, STATUS, STREAM_TOPICS
from schemas.words import OPEN_STATES, RequestKind, RunState
from streams.owner import transaction_records
from tests.support.formats import READERS, RUNS, WRITTEN, Sample, whole_records
from tests.support.release import TOPIC_IDS, folders, manifest, read_by_sink, records_of
from tests.support.release_story import as_log, as_records, history_log
from tests.support.simulated.log import ended

ROOT = Path(__file__).parents[3]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
EVERY = pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
WHOLE = tuple(kind for _, _, kind in WRITTEN)
PARTS = {"Anything", "kind", "Nodes", "JobSpec", "_Captured", "_Source"}
"""Types that are decoded only as a part of another record in the samples."""
AGAIN = "run `make samples`, or raise the version in pyproject.toml: a released format does not change"


@EVERY
def test_no_released_migration_has_changed(folder):
    released = (folder / "migrations.sha256").read_text().splitlines()
    assert manifest().splitlines()[: len(released)] == released


@EVERY
@pytest.mark.parametrize("name", ["records.jsonl", "history.jsonl"])
def test_every_released_record_is_read(folder, name):
    for record in records_of(folder, name):
        if record.value != "no JSON":
            for value in record.read():
                assert keeps(record.value, value), f"{record} is read as {value}"


@EVERY
def test_the_sink_understands_what_was_released(folder):
    records = [
        read_by_sink(each, offset)
        for name in ("records.jsonl", "history.jsonl")
        for offset, each in enumerate(records_of(folder, name))
        if each.topic in SINK_TOPICS
    ]
    batch = collect(records, STATUS, TOPIC_IDS)
    assert len(batch.problems) == sum(each.topic == DEADLETTER for each in records)
    assert batch.runs


@EVERY
def test_an_owner_goes_on_from_what_was_released(folder):
    log = as_log(records_of(folder, "history.jsonl"))
    before = {run_id for run_id, each in log.statuses().items() if each.state in OPEN_STATES}
    owner = log.recover()
    assert {str(each) for each in owner.state.durable.runs} == before
    assert set(owner.state.durable.quarantined) == {"bad"}
    owner.offer(log.define(9, job_id="ghost"))
    for _ in range(20):
        log.turn(owner, 1)
        owner.offer(log.report(*(ended(each, log.now) for each in log.dispatches())))
    parked = "ghost#late"
    assert {log.statuses()[run_id].state for run_id in before | {parked}} == {RunState.SUCCEEDED}


def test_the_version_has_its_samples_or_is_newer_than_all_that_have():
    assert Version(VERSION) >= Version(folders()[-1].name)


@pytest.mark.skipif(folders()[-1].name != VERSION, reason="this version is not released yet")
def test_the_samples_of_this_version_are_what_it_writes():
    assert records_of(folders()[-1], "records.jsonl") == whole_records(), AGAIN
    assert (folders()[-1] / "migrations.sha256").read_text() == manifest(), AGAIN
    assert kinds(records_of(folders()[-1], "history.jsonl")) == kinds(as_records(history_log())), AGAIN


def test_every_topic_and_every_key_of_state_has_a_sample():
    keys = {value for name, value in vars(transaction_records).items() if name.endswith(("_PREFIX", "CLOCK_KEY"))}
    for records in (whole_records(), as_records(history_log())):
        assert {
            each for each in keys if not any(known.topic == STATE and known.key.startswith(each) for known in records)
        } == set()
    assert {each.topic for each in whole_records()} == {*STREAM_TOPICS, CLUSTER, RUNS}


def test_every_type_of_a_record_that_is_decoded_anywhere_reads_the_samples():
    readers = {getattr(reader, "__name__", "") for _, _, reader in READERS}
    assert set(decoded()) - readers - PARTS == set()


def test_every_kind_of_event_and_of_request_has_a_sample():
    read = [each for record in whole_records() for each in record.read()]
    events = [event for batch in read if isinstance(batch, EventBatch) for event in batch.events]
    assert {type(each) for each in events} == set(get_args(Event))
    assert {each.kind for each in read if isinstance(each, Request)} == set(RequestKind)


def keeps(written: str, read: object) -> bool:
    """Whether a record that is decoded and encoded again keeps all its fields."""
    then = orjson.loads(written)
    if isinstance(read, Definition) and read.spec:
        return covers(orjson.loads(encode(read.spec)), orjson.loads(then["spec"]))
    return not isinstance(read, WHOLE) or covers(orjson.loads(encode(read)), then)


def covers(now: object, then: object) -> bool:
    match then:
        case dict():
            return all(each is None or covers(now.get(name), each) for name, each in then.items())
        case list():
            return len(now) == len(then) and all(map(covers, now, then))
        case _:
            return now == then


def kinds(records: list[Sample]) -> set[tuple[str, str]]:
    return {(each.topic, (each.key or "").partition("/")[0] if each.topic == STATE else "") for each in records}


def decoded() -> Iterator[str]:
    """The types that any call of `decode` names."""
    for package in ("schemas", "connectors", "streams", "executors", "tidemill"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "decode" and len(node.args) == 2:
                    kind = node.args[1]
                    if isinstance(kind, ast.Name):
                        yield kind.id
