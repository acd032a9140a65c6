"""After a long downtime: many short transactions, and each occurrence decided once, whatever the log holds."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from schemas.ids import occurrence_run_id
from schemas.topics import STATUS
from schemas.words import RunState
from streams.core.room import Bounds
from streams.core.settings import CoreSettings
from streams.owner.owner import Owner
from tests.support import checkers
from tests.support.simulated.dag_scenario import node
from tests.support.simulated.log import START, Log

EVERY_SECOND = {"schedule": "* * * * * *", "catchup_policy": "all", "overlap_policy": "allow_all"}


def until_idle(log: Log, owner: Owner) -> list[int]:
    """The number of records of each transaction, until the owner is idle."""
    sizes = []
    while owner.backlog or owner.state.durable.cursor or not sizes:
        prepared = log.turn(owner, 0.001)
        sizes.append(len(prepared.records) if prepared else 0)
    return sizes


def after_downtime(log: Log, hours: float, *changes: dict[str, object], **fields: object) -> Owner:
    """A new owner; `changes` were written in the middle of the downtime."""
    log.define(**fields)
    first = log.recover()
    log.turn(first)
    log.now += timedelta(hours=hours / 2)
    for number, change in enumerate(changes):
        log.define(version=2 + number, **{**fields, **change})
    log.now += timedelta(hours=hours / 2)
    return log.recover()


def seconds(count: int) -> set[str]:
    """The run ids of the first `count` seconds."""
    return {occurrence_run_id("job", START + timedelta(seconds=each)) for each in range(1, count + 1)}


def test_occurrences_before_a_waiting_edit_are_decided_once_over_many_transactions() -> None:
    log = Log()
    owner = after_downtime(log, 3, {"args": ("x",)}, **EVERY_SECOND)
    began = log.now
    sizes = until_idle(log, owner)
    assert max(sizes) <= 2 * Bounds().effects
    assert len(sizes) > 10_800 // Bounds().effects
    assert log.statuses().keys() >= seconds(3 * 3600)
    assert checkers.materialized_once(log.history()) == []
    assert owner.state.durable.jobs["job"].version == 2
    assert log.now - began < timedelta(minutes=1)


def test_the_next_owner_decides_the_rest_after_a_crash_between_transactions() -> None:
    log = Log()
    owner = after_downtime(log, 3, {"args": ("x",)}, **EVERY_SECOND)
    while owner.backlog or owner.state.durable.cursor:
        log.turn(owner, 0.001)
        owner = log.recover()
        if owner.state.durable.jobs["job"].version == 2 and not owner.state.durable.cursor:
            break
    until_idle(log, owner)
    assert log.statuses().keys() >= seconds(3 * 3600)
    assert checkers.materialized_once(log.history()) == []


def test_a_definition_hours_late_runs_a_limited_number_of_occurrences_and_records_the_rest() -> None:
    log = Log()
    owner = log.recover()
    log.turn(owner)
    record = log.define(**EVERY_SECOND)
    log.now += timedelta(hours=2)
    log.turn(owner)
    owner.offer(record)
    log.turn(owner)
    log.turn(owner)
    limit = CoreSettings().resume_limit
    (rest,) = [each for each in log.statuses().values() if each.missed]
    assert rest.reason == (
        f"more than {limit} occurrences before its definition arrived; request a backfill for the rest"
    )
    assert rest.missed.count + limit == 7200


def test_jobs_with_one_schedule_share_the_search_for_missed_occurrences() -> None:
    """Each search takes 16 ms for a day of minutes: a worker with many jobs could never start."""
    log = Log()
    for number in range(50):
        log.define(job_id=f"j{number:02}", schedule="* * * * *", jitter=timedelta(seconds=number % 2))
    first = log.recover()
    log.turn(first)
    log.now += timedelta(hours=24)
    owner = log.recover()
    log.turn(owner)
    (timer,) = owner.state.derived.timers
    assert timer.searched < 2 * 24 * 60 + 300
    assert sum(each.missed is not None for each in log.statuses().values()) == 50


def test_a_tick_with_a_long_search_continues_in_the_next_transaction() -> None:
    log = Log()
    for number in range(20):
        log.define(job_id=f"j{number:02}", schedule=f"{number} * * * * *")
    first = log.recover()
    log.turn(first)
    log.now += timedelta(hours=1)
    owner = log.recover(settings=CoreSettings(bounds=Bounds(work_us=1_000)))
    log.turn(owner)
    assert owner.state.durable.cursor is not None
    sizes = until_idle(log, owner)
    assert len(sizes) >= 5
    missed = [each for each in log.statuses().values() if each.missed]
    assert sorted(each.job_id for each in missed) == [f"j{number:02}" for number in range(20)]
    assert {each.missed.count for each in missed} <= {58, 59}


def test_an_interrupted_tick_considers_runs_started_since() -> None:
    """Two requests arrive while the tick is interrupted: one DAG run starts, the other is held; the occurrence was
    due before.
    """
    log = Log()
    log.define_dag(node("a"), schedule="0 00 13 * * *")
    for number in range(3_000):  # their timer is decided first, and interrupts the tick
        log.define(job_id=f"j{number}", schedule="0 0 13 * * *")
    owner = log.recover()
    for _ in range(4):
        log.turn(owner, 0.5)
    log.now = START.replace(hour=13)
    log.turn(owner)
    assert owner.state.durable.cursor is not None
    log.now += timedelta(seconds=0.2)
    for request_id in ("r1", "r2"):
        owner.offer(log.append_public(orjson.dumps({"request_id": request_id, "dag_id": "dag"}), key=b"dag"))
    for _ in range(4):
        log.turn(owner, 0.2)
    assert not owner.state.derived.unscheduled
    occurrence = log.statuses()["dag@2026-03-01T13:00:00Z"]
    assert (occurrence.state, occurrence.reason) == (RunState.QUEUED, "waits for the run before it")


@pytest.mark.parametrize("policy", ["latest", "all"])
def test_the_status_history_after_a_downtime_is_legal(policy: str) -> None:
    log = Log()
    fields = {**EVERY_SECOND, "catchup_policy": policy}
    owner = after_downtime(log, 1, {"args": ("x",)}, {"paused": True}, {"paused": False}, **fields)
    until_idle(log, owner)
    assert checkers.legal_history(log.history()) == []
    assert any(each.topic == STATUS for each in log.written)
