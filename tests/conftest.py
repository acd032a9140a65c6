"""One real stack for the integration tests and the guarantees, with limits short enough to be reached."""

from __future__ import annotations

import itertools

import pytest
from xdist.scheduler import LoadScopeScheduling

from infra import stack as local
from infra.stack import StackOptions
from tests.support.browser import browser
from tests.support.stack_client import StackClient

__all__ = ["browser"]  # a fixture for all tiers

STOP_SECONDS = 60
CLASSES = "2s,10s,1m,1h,24h"
"""The smallest class makes promotion quick; the largest has to work too."""
AGREED = {"TIDEMILL_TIMEOUT_CLASSES": CLASSES, "TIDEMILL_LEASE": "PT12S", "TIDEMILL_CLAIM_GRACE": "PT12S"}
"""Settings of all processes."""
STREAMS = {"TIDEMILL_PARK_LIMIT": "PT6S"}
EXECUTORS = {
    "TIDEMILL_HEARTBEAT_INTERVAL": "PT2S",
    "TIDEMILL_LEASE_MARGIN": "PT3S",
    "TIDEMILL_TERM_GRACE": "PT1S",
}
MONITOR = {"TIDEMILL_CANARY_INTERVAL": "PT0S"}
"""Some tests compare all rows of a table."""
STACK_TIERS = {"integration", "guarantees"}
_numbers = itertools.count()


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """Two workers, two executors, eight partitions. The stack ends with the test run, even after a crash."""
    data = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in AGREED.items():
            patch.setenv(variable, value)
        local.start_detached(
            StackOptions(
                data=data,
                workers=2,
                executors=2,
                stream_env=STREAMS,
                executor_env=EXECUTORS,
                monitor_env=MONITOR,
                until_parent_exits=True,
            )
        )
    client = StackClient(data)
    yield client
    client.close()
    local.stop(data, STOP_SECONDS)


class ByStack(LoadScopeScheduling):
    """Tests that share a stack or servers run in one process; other files go to any worker."""

    def _split_scope(self, nodeid):
        path = nodeid.partition("::")[0]
        _, tier, room, *_ = path.split("/")
        if tier == "component":  # its rooms need different servers; a Postgres starts in 2 s
            return f"{tier}/{room}"
        return "stack" if tier in STACK_TIERS else path


def pytest_xdist_make_scheduler(config, log):
    return ByStack(config, log)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    """Stops the stack after the last test that uses it, to free the machine for later tests."""
    users = [each for each in item.session.items if "stack" in each.fixturenames]
    client = item.funcargs.get("stack")
    if client and item is users[-1]:
        local.stop(client.data, STOP_SECONDS)


@pytest.fixture
def name(request):
    """An id that no other test uses, and that is no prefix of another one."""
    return f"{request.node.originalname.removeprefix('test_')[:40]}-{next(_numbers)}."
