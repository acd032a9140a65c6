"""A real stack for the integration tests and one for the guarantees, with limits short enough to be reached."""

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
"""The tests of each share a stack."""
OWN_SERVERS = {"tests/integration/test_cdc.py"}
"""They use no stack."""
_numbers = itertools.count()


class SharedStack:
    """Two workers, two executors, eight partitions. It ends with the test run, even after a crash."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._client: StackClient | None = None

    def client(self) -> StackClient:
        """Starts the stack if it does not run."""
        self._client = self._client or self._started()
        return self._client

    def stop(self) -> None:
        client, self._client = self._client, None
        if client:
            client.close()
            local.stop(client.data, STOP_SECONDS)

    def _started(self) -> StackClient:
        data, journals = self._folders.mktemp("stack"), self._folders.mktemp("journals")
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in AGREED.items():
                patch.setenv(variable, value)
            local.start_detached(
                StackOptions(
                    data=data,
                    workers=2,
                    executors=2,
                    stream_env=STREAMS,
                    executor_env={**EXECUTORS, "TIDEMILL_UNVEIL": f"rw:{journals}"},
                    monitor_env=MONITOR,
                    until_parent_exits=True,
                )
            )
        return StackClient(data, journals)


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory):
    shared = SharedStack(tmp_path_factory)
    yield shared
    shared.stop()


@pytest.fixture(scope="module")
def stack(request, shared_stack):
    """The stack of a tier. It stops after the last file of the tier, to free the machine for later tests."""
    yield shared_stack.client()
    items = request.session.items
    last = max(number for number, item in enumerate(items) if item.path == request.path)
    if not any("stack" in each.fixturenames and tier(each) == tier(request.node) for each in items[last + 1 :]):
        shared_stack.stop()


def tier(node):
    return node.nodeid.split("/")[1]


@pytest.fixture
def journal(stack):
    """A file to which jobs of the stack may append."""
    path = stack.journals / f"journal-{next(_numbers)}"
    path.touch()
    path.chmod(0o666)
    return path


class ByServers(LoadScopeScheduling):
    """Tests that share a stack or servers run in one process; other files go to any worker."""

    def _split_scope(self, nodeid):
        path = nodeid.partition("::")[0]
        _, tier, room, *_ = path.split("/")
        if tier == "component":  # its rooms need different servers; a Postgres starts in 2 s
            return f"{tier}/{room}"
        if tier == "hostile":  # its attempts share servers, and an executor for each way to isolate
            return tier
        return tier if tier in STACK_TIERS and path not in OWN_SERVERS else path


def pytest_xdist_make_scheduler(config, log):
    return ByServers(config, log)


@pytest.fixture
def name(request):
    """An id that no other test uses, and that is no prefix of another one."""
    return f"{request.node.originalname.removeprefix('test_')[:40]}-{next(_numbers)}."
