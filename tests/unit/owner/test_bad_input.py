"""Two thousand bad records of each input topic: the owner goes on, and each refusal is one clear sentence."""

from __future__ import annotations

import pytest

from schemas.topics import CDC, DEADLETTER, EVENTS, REQUESTS
from tests.support.bad_input.records import VICTIM, bad_records
from tests.support.bad_input.sentences import problem_with
from tests.support.simulated.log import Log

COUNT = 2_000
SEED = 1
AT_ONCE = 50


@pytest.mark.parametrize("door", [REQUESTS, CDC, EVENTS])
def test_the_owner_of_bad_records_fails_on_none_and_then_takes_good_ones(door: str) -> None:
    log = Log()
    owner = log.recover()
    owner.offer(log.define(job_id=VICTIM))
    log.turn(owner)
    for number, each in enumerate(bad_records(SEED, COUNT, 1, doors=(door,))):
        owner.offer(log.append_bytes(door, each.value, each.key))
        if number % AT_ONCE == 0:
            log.turn(owner, seconds=1)
    log.turn(owner, seconds=1)
    owner.offer(log.define(version=2**40, job_id="canary"))
    owner.offer(log.request("good", job_id="canary", owner="canary"))
    log.turn(owner, seconds=1)
    assert "canary#good" in log.statuses()
    sentences = [dict(each.headers)["reason"].decode() for each in log.written if each.topic == DEADLETTER]
    assert len(sentences) > COUNT // 2
    assert [each for each in sentences if problem_with(each)] == []
