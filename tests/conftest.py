"""The one real stack that the integration tests and the guarantees share, with limits short enough to see them bite."""

from __future__ import annotations

import itertools

import pytest
from xdist.scheduler import LoadScopeScheduling

from infra import stack as local
from infra.stack import StackOptions
from tests.support.stack_client import StackClient

STOP_SECONDS = 60
CLASSES = "2s,10s,1m,1h,24h"
"""The smallest makes promotion quick to see; the largest has to work too."""
AGREED = {"TIDEMILL_TIMEOUT_CLASSES": CLASSES, "TIDEMILL_LEASE": "PT12S", "TIDEMILL_CLAIM_GRACE": "PT12S"}
"""Of all processes."""
STREAMS = {"TIDEMILL_PARK_LIMIT": "PT6S"}
EXECUTORS = {
    "TIDEMILL_HEARTBEAT_INTERVAL": "PT2S",
    "TIDEMILL_LEASE_MARGIN": "PT3S",
    "TIDEMILL_TERM_GRACE": "PT1S",
}
STACK_TIERS = {"integration", "guarantees"}
_numbers = itertools.count()


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """Two workers, two executors, eight partitions. It ends with the test run, however that ends."""
    data = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in AGREED.items():
            patch.setenv(variable, value)
        local.start_detached(
            StackOptions(
                data=data, workers=2, executors=2, stream_env=STREAMS, executor_env=EXECUTORS, until_parent_exits=True
            )
        )
    client = StackClient(data)
    yield client
    client.close()
    local.stop(data, STOP_SECONDS)


class ByStack(LoadScopeScheduling):
    """`make test` runs in one process what shares a stack or servers; other files go where there is room."""

    def _split_scope(self, nodeid):
        path = nodeid.partition("::")[0]
        tier = path.split("/")[1]
        return "stack" if tier in STACK_TIERS else "component" if tier == "component" else path


def pytest_xdist_make_scheduler(config, log):
    return ByStack(config, log)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    """The stack ends with the last test that uses it: those that follow have the machine to themselves."""
    users = [each for each in item.session.items if "stack" in each.fixturenames]
    client = item.funcargs.get("stack")
    if client and item is users[-1]:
        local.stop(client.data, STOP_SECONDS)


@pytest.fixture
def name(request):
    """An id that no other test uses; it begins no other one's."""
    return f"{request.node.originalname.removeprefix('test_')[:40]}-{next(_numbers)}."
