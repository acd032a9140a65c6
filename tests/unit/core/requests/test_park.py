"""Parked requests are limited by number and by bytes, and counted only while they wait."""

from __future__ import annotations

import pytest

from schemas.topics import DEADLETTER
from streams.core.settings import CoreSettings
from tests.support.simulated.log import DrivenSession, Log

LARGE = '"' + "x" * 1_000 + '"'


def problems(log: Log) -> list[str]:
    return [dict(r.headers)["reason"].decode() for r in log.written if r.topic == DEADLETTER]


def ask(log: Log, owner: DrivenSession, number: int, **fields: object) -> None:
    owner.offer(log.request(f"q{number}", job_id=f"j{number}", owner=f"j{number}", **fields))
    log.turn(owner)


def define(log: Log, owner: DrivenSession, number: int) -> None:
    owner.offer(log.define(number + 1, job_id=f"j{number}"))
    log.turn(owner)


@pytest.mark.parametrize("settings", [CoreSettings(max_parked=2), CoreSettings(max_parked_bytes=2_900)])
@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_released_request_does_not_count_as_parked(settings: CoreSettings, *, is_recovered: bool) -> None:
    log = Log()
    owner = log.recover(settings=settings)
    log.turn(owner)
    for number in range(15):
        ask(log, owner, number, payload=LARGE)
        owner = log.recover(settings=settings) if is_recovered else owner
        define(log, owner, number)
    assert problems(log) == []
    assert sorted(log.statuses()) == sorted(f"j{number}#q{number}" for number in range(15))
    assert (len(owner.state.derived.park), owner.state.derived.park.bytes_taken) == (0, 0)


def test_a_request_refused_for_its_age_does_not_count_as_parked() -> None:
    log = Log()
    settings = CoreSettings(max_parked=2)
    owner = log.recover(settings=settings)
    log.turn(owner)
    for number in range(6):
        ask(log, owner, number)
        log.turn(owner, settings.park_limit.total_seconds() + 1)
    assert len(problems(log)) == 6
    assert all("none was defined within 0:01:00" in each for each in problems(log))


@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_request_beyond_the_park_limit_is_refused_at_once_with_a_reason(*, is_recovered: bool) -> None:
    log = Log()
    settings = CoreSettings(max_parked=2)
    owner = log.recover(settings=settings)
    log.turn(owner)
    for number in range(2):
        ask(log, owner, number)
    owner = log.recover(settings=settings) if is_recovered else owner
    ask(log, owner, 2)
    (problem,) = problems(log)
    assert problem == (
        "request 'q2' is refused: 'j2' is not defined yet, and 2 requests wait for their definitions already; "
        "at most 2 may; define it, then ask again under another id"
    )
    for number in range(3):
        define(log, owner, number)
    assert sorted(log.statuses()) == ["j0#q0", "j1#q1"]


@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_request_beyond_the_byte_limit_is_refused_and_a_smaller_one_waits(*, is_recovered: bool) -> None:
    log = Log()
    settings = CoreSettings(max_parked_bytes=2_900)
    owner = log.recover(settings=settings)
    log.turn(owner)
    for number in range(2):
        ask(log, owner, number, payload=LARGE)
    owner = log.recover(settings=settings) if is_recovered else owner
    ask(log, owner, 2, payload=LARGE)
    ask(log, owner, 3)
    (problem,) = problems(log)
    assert problem.startswith("request 'q2' is refused: 'j2' is not defined yet, and the requests that wait")
    assert "at most 2900 may wait" in problem
    define(log, owner, 3)
    assert sorted(log.statuses()) == ["j3#q3"]
