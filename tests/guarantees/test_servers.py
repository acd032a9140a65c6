"""Kafka, Connect, Postgres and S3 killed under load: whatever was accepted runs, each request once."""

from __future__ import annotations

import pytest

from schemas.words import AttemptEnd
from tests.support.steady_load import SteadyLoad
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

LOAD = 50
"""Requests per second."""
BEFORE = 100
AFTER = 150
"""Requests before the kill and after the restart."""
EXCUSED = {AttemptEnd.LOST, AttemptEnd.EXPIRED}
"""Without a broker no lease is renewed and no claim reported."""


def more(load, count):
    wanted = len(load.accepted) + count
    eventually(lambda: len(load.accepted) >= wanted, 120, f"{count} more requests")


@pytest.mark.parametrize(("server", "excused"), [("kafka", EXCUSED), ("connect", ()), ("postgres", ()), ("s3", ())])
def test_a_server_killed_and_restarted_loses_nothing(stack, jobs, verdict, server, excused):
    with SteadyLoad(stack, jobs, LOAD) as load:
        more(load, BEFORE)
        stack.wait_for_restart(server, stack.kill(server))
        more(load, AFTER)
    assert verdict(load.accepted, excused) == []
