"""After an outage of the broker, executors report pending ends, claim again, and receive kills."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from schemas.event import EndCause, Started

BACK_SECONDS = 15.0
"""From the broker's return to the first new claim."""


@pytest.fixture
def servers(own_servers):
    return own_servers.environment


def test_an_end_during_a_broker_outage_is_reported_afterwards_and_claiming_continues(
    own_servers, owner, executors, objects, tmp_path, until
):
    executors.start()
    done = tmp_path / "done"
    order = owner.order(objects.script(f"sleep 1; touch {done}"), lease=timedelta(seconds=60))
    owner.dispatch(order)
    owner.first(order, Started)
    own_servers.kill("kafka")
    until(done.exists)
    own_servers.start("kafka")
    back = time.monotonic()
    ended = owner.end_of(order)
    assert (ended.cause, ended.exit_code) == (EndCause.EXITED, 0)
    assert owner.run(objects.script("true")).exit_code == 0
    assert time.monotonic() - back < BACK_SECONDS
    killed = owner.order(objects.script("sleep 60"))
    owner.dispatch(killed)
    owner.first(killed, Started)
    owner.kill(killed)
    assert owner.end_of(killed).cause is EndCause.CANCELLED
