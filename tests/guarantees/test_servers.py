"""Kafka, Connect, Postgres and S3 killed under load: whatever was accepted runs, each request once."""

from __future__ import annotations

import pytest

from schemas.words import AttemptEnd
from tests.support.steady_load import Load
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

LOAD = 50
"""Requests a second."""
BEFORE = 100
AFTER = 150
"""Requests before a server is killed, and after it is back."""
EXCUSED = {AttemptEnd.LOST, AttemptEnd.EXPIRED}
"""Without a broker no lease can be renewed and no claim be told."""


def more(load, count):
    wanted = len(load.accepted) + count
    eventually(lambda: len(load.accepted) >= wanted, 120, f"{count} more requests")


@pytest.mark.parametrize(("server", "excused"), [("kafka", EXCUSED), ("connect", ()), ("postgres", ()), ("s3", ())])
def test_killed_and_started_again_a_server_loses_nothing(stack, jobs, verdict, server, excused):
    with Load(stack, jobs, LOAD) as load:
        more(load, BEFORE)
        stack.restarted(server, stack.kill(server))
        more(load, AFTER)
    assert verdict(load.accepted, excused) == []
