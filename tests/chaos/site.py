"""Starts what chaos happens to: a stack with three brokers behind a proxy, with short leases."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from infra import stack
from infra.settings import InfraSettings
from infra.stack import StackOptions
from schemas.settings import read
from tests.chaos.network import Network, running_network
from tests.conftest import AGREED, EXECUTORS, MONITOR, STREAMS
from tests.support.stack_client import StackClient

WORKERS, EXECUTORS_COUNT, SINKS = 2, 3, 2
STOP_SECONDS = 90
LEASE_SECONDS = 12
"""As in `AGREED`."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    client: StackClient
    network: Network
    data: Path
    journals: Path


@contextmanager
def running_site() -> Iterator[Site]:
    """The stack stops when the block ends, and also if this process is killed."""
    with tempfile.TemporaryDirectory(prefix="tidemill-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # so that Postgres' user, and those of attempts, can enter it
        data, journals = folder / "stack", folder / "journals"
        data.mkdir()
        journals.mkdir()
        with running_network(data, read(InfraSettings).cache.expanduser()) as network:
            _start(data, journals, network)
            client = StackClient(data, journals)
            try:
                yield Site(client=client, network=network, data=data, journals=journals)
            finally:
                client.close()
                stack.stop(data, STOP_SECONDS)


def _start(data: Path, journals: Path, network: Network) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in AGREED.items():
            patch.setenv(variable, value)
        stack.start_detached(
            StackOptions(
                data=data,
                workers=WORKERS,
                executors=EXECUTORS_COUNT,
                sinks=SINKS,
                brokers=3,
                stream_env=STREAMS,
                executor_env={**EXECUTORS, "TIDEMILL_UNVEIL": f"rw:{journals}"},
                monitor_env=MONITOR,
                reached=network.reached,
                until_parent_exits=True,
            )
        )
