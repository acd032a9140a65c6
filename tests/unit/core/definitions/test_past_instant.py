"""Each committed row becomes a run or a reason, even if its only instant is in the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from schemas.codec import decode_captured
from schemas.job import Definition
from schemas.reasons import ReasonCode
from schemas.status import RunStatus
from schemas.times import epoch_ms, rfc3339
from schemas.words import RunState
from tests.support.simulated.dag_scenario import node
from tests.support.simulated.log import START, DrivenSession, Log

S = timedelta(seconds=1)


def at(seconds: float) -> str:
    return f"@at {rfc3339(START + seconds * S)}"


def begun() -> tuple[Log, DrivenSession]:
    log = Log()
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 600)
    return log, owner


def defined(log: Log, owner: DrivenSession, version: int = 1, **fields: object) -> list[RunStatus]:
    owner.offer(log.define(version, **fields))
    log.turn(owner, 0.1)
    log.turn(owner, 1)
    return list(log.statuses().values())


def test_an_instant_in_the_past_within_the_grace_runs_late() -> None:
    log, owner = begun()
    (run,) = defined(log, owner, schedule=at(597))
    assert (run.nominal_time, run.state) == (START + 597 * S, RunState.QUEUED)
    assert [each.run_id for each in log.dispatches()] == [run.run_id]


def test_an_instant_in_the_past_beyond_the_grace_is_missed_with_a_reason() -> None:
    log, owner = begun()
    (answer,) = defined(log, owner, schedule=at(10))
    assert answer.state is RunState.MISSED
    assert answer.reason == "over by 0:09:50 when it was written, more than misfire_grace, 0:01:00"
    assert answer.missed is not None
    assert (answer.missed.first, answer.missed.count) == (START + 10 * S, 1)


def test_a_past_instant_of_a_dag_follows_the_same_rule() -> None:
    log, owner = begun()
    owner.offer(log.define_dag(node("a"), schedule=at(597)))
    log.turn(owner, 0.1)
    log.turn(owner, 1)
    assert [each.run_id.partition("/")[2] for each in log.dispatches()] == ["a"]
    owner.offer(log.define_dag(node("a"), version=2, schedule=at(9)))
    log.turn(owner, 0.1)
    assert any(each.reason_code is ReasonCode.PAST for each in log.statuses().values())


def test_another_change_does_not_run_the_instant_again() -> None:
    log, owner = begun()
    defined(log, owner, schedule=at(597))
    assert len(defined(log, owner, 2, schedule=at(597), payload="x")) == 1
    assert len(log.dispatches()) == 1


@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_recreated_job_does_not_run_the_instant_again_and_says_so(*, is_recovered: bool) -> None:
    log, owner = begun()
    defined(log, owner, schedule=at(597))
    owner.offer(log.define(2, deleted=True))
    log.turn(owner)
    owner = log.recover() if is_recovered else owner
    ran, answer = sorted(defined(log, owner, 3, schedule=at(597)), key=lambda each: each.run_id)
    assert (ran.run_id, len(log.dispatches())) == (log.dispatches()[0].run_id, 1)
    assert answer.reason == "over by 0:00:04 when it was written, and a version before may have run it"


def test_an_instant_due_under_two_versions_is_decided_once() -> None:
    log, owner = begun()
    defined(log, owner, schedule="@every 10s", overlap_policy="allow_all")
    log.turn(owner, 20)
    last = max(each.nominal_time for each in log.statuses().values())
    before = len(log.statuses())
    defined(log, owner, 2, schedule=f"@at {rfc3339(last)}")
    assert len(log.statuses()) == before


def test_an_instant_outside_the_window_of_its_job_is_never_due() -> None:
    log, owner = begun()
    assert defined(log, owner, schedule=at(597), starts_at=START + 598 * S) == []


def captured(**extra: object) -> datetime:
    row = {
        "__table": "definitions",
        "owner": "job",
        "kind": "job",
        "version": 1,
        "valid_from": "2026-03-01T12:00:00.5Z",
        "deleted": False,
        "spec": orjson.dumps({"job_id": "job", "executable": "s3://tidemill/x"}).decode(),
    }
    definition = decode_captured(orjson.dumps(row | extra))
    assert isinstance(definition, Definition)
    return definition.valid_from


WRITTEN = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
COMMITTED = WRITTEN + timedelta(seconds=40)


@pytest.mark.parametrize(
    ("extra", "counts_from"),
    [
        ({"__op": "c", "__source_ts_ms": epoch_ms(COMMITTED)}, COMMITTED),
        ({"__op": "r", "__source_ts_ms": epoch_ms(COMMITTED)}, WRITTEN),
        ({"__op": "c", "__source_ts_ms": epoch_ms(WRITTEN - 1 * S)}, WRITTEN),
        ({"__op": "c"}, WRITTEN),
    ],
    ids=["committed later", "of a snapshot, which has another time", "a clock that went back", "of the version before"],
)
def test_a_version_is_valid_from_the_commit_of_its_transaction(extra: dict[str, object], counts_from: datetime) -> None:
    assert captured(**extra) == counts_from
