"""Houses for hostile attempts: an executor for each way to isolate and each user, with a real broker and S3."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from executors.removal import remove_tree
from tests.component.executors.conftest import make_connections, shared_servers
from tests.support.hostile.house import House

__all__ = ["shared_servers"]  # a fixture


def pytest_generate_tests(metafunc):
    attempt = getattr(metafunc.function, "attempt", None)
    if attempt:
        metafunc.parametrize("house", attempt.keys, indirect=True, ids=str, scope="session")


@pytest.fixture(scope="session")
def house(request, shared_servers):
    """One house at a time; it tries all attempts that are to be judged in it, some at once."""
    key = request.param
    attempts = [each.function.attempt for each in request.session.items if _house_of(each) == key]
    folder = Path(tempfile.mkdtemp(prefix="tidemill-hostile-"))
    folder.chmod(0o755)
    try:
        with closing(House(key, folder, shared_servers, make_connections(shared_servers.environment), attempts)) as it:
            yield it
    finally:
        remove_tree(folder)


def _house_of(item):
    return getattr(item, "callspec", None) and item.callspec.params.get("house")
