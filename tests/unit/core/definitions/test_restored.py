"""A database restored from a backup reuses versions: a definition that is not applied becomes a problem."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from schemas.codec import decode, encode
from schemas.topics import DEADLETTER, STATE
from streams.core.stored import StoredClock
from streams.owner.records import InRecord, OutRecord
from streams.owner.transaction_records import CLOCK_KEY
from tests.support.simulated.log import Log


def problems(log: Log) -> list[str]:
    return [dict(r.headers)["reason"].decode() for r in log.written if r.topic == DEADLETTER]


def clock(log: Log) -> StoredClock:
    return decode(log.stored()[CLOCK_KEY], StoredClock)


def apply(log: Log, record: InRecord) -> None:
    owner = log.recover()
    owner.offer(record)
    log.turn(owner, 1)


@pytest.fixture
def known() -> tuple[Log, InRecord]:
    log = Log()
    record = log.define(9)
    apply(log, record)
    log.now += timedelta(hours=1)
    return log, record


@pytest.mark.parametrize("version", [5, 9])
def test_a_reused_version_with_a_later_time_is_a_problem_with_a_remedy(known, version):
    log, _ = known
    apply(log, log.define(version, schedule="0 5 * * *"))
    (said,) = problems(log)
    assert f"version {version} of " in said
    assert "version 9 of " in said
    assert "restored from a backup; `tidemill restored`" in said


def test_a_copy_of_an_applied_definition_is_no_problem(known):
    log, record = known
    apply(log, log.append_copy(record))
    assert problems(log) == []


def test_the_clock_record_keeps_the_highest_version_across_owners(known):
    log, _ = known
    assert clock(log).newest_version == 9
    apply(log, log.define(4, job_id="another"))
    assert clock(log).newest_version == 9


def test_a_clock_record_of_an_older_release_is_completed_from_the_jobs(known):
    log, _ = known
    older = msgspec.structs.replace(clock(log), newest_version=0)
    log.written.append(OutRecord(topic=STATE, key=CLOCK_KEY, value=encode(older)))
    assert log.recover().state.durable.newest_version == 9
