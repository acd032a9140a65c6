"""Starts what chaos happens to: a stack with three brokers behind a proxy, with short leases."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from infra import stack
from infra.settings import InfraSettings
from infra.stack import StackOptions
from schemas.settings import read
from tests.chaos.clocks import Clocks, clocks
from tests.chaos.disk import SmallDisk, small_disk
from tests.chaos.load.client_program import unveiled
from tests.chaos.network import Network, running_network
from tests.chaos.schedule import BROKERS, EXECUTORS, ON_SMALL_DISK, SINKS, SKEWED, WORKERS
from tests.conftest import AGREED, MONITOR, STREAMS
from tests.conftest import EXECUTORS as EXECUTOR_SETTINGS
from tests.support.stack_client import StackClient

STOP_SECONDS = 90
PARTITIONS = 4
"""Fewer than by default: each partition of each topic has three replicas, and two cores have enough to do."""
CLASSES = "TIDEMILL_TIMEOUT_CLASSES"
LEASE_SECONDS = 12
"""As in `AGREED`; a change of the setting makes it longer for a while."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    client: StackClient
    network: Network
    clocks: Clocks | None
    disk: SmallDisk | None
    data: Path
    journals: Path


@contextmanager
def running_site(say: Callable[[str], None]) -> Iterator[Site]:
    """The stack stops when the block ends, and also if this process is killed."""
    settings = read(InfraSettings)
    with tempfile.TemporaryDirectory(prefix="tidemill-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # so that Postgres' user, and those of attempts, can enter it
        data, journals = folder / "stack", folder / "journals"
        data.mkdir()
        journals.mkdir()
        found = clocks(folder / "clocks", settings, say)
        with small_disk(folder / "disk") as disk, running_network(data, settings.cache.expanduser()) as network:
            if disk is None:
                say("No disk is filled: only root can mount a small one.")
            _start(data, journals, network, found, disk)
            client = StackClient(data, journals)
            try:
                yield Site(client=client, network=network, clocks=found, disk=disk, data=data, journals=journals)
            finally:
                client.close()
                stack.stop(data, STOP_SECONDS)


def _start(data: Path, journals: Path, network: Network, clock: Clocks | None, disk: SmallDisk | None) -> None:
    """Only the start knows the agreed settings, so that `tidemill cluster set` can change them."""
    first = {f"prepare:{variable}": value for variable, value in AGREED.items() if variable != CLASSES}
    small = {f"{ON_SMALL_DISK}:TIDEMILL_WORK_DIR": str(disk.folder / "work")} if disk else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CLASSES, AGREED[CLASSES])
        stack.start_detached(
            StackOptions(
                data=data,
                workers=len(WORKERS),
                executors=len(EXECUTORS),
                sinks=len(SINKS),
                brokers=len(BROKERS),
                partitions=PARTITIONS,
                stream_env=STREAMS,
                executor_env={**EXECUTOR_SETTINGS, "TIDEMILL_UNVEIL": unveiled(journals)},
                monitor_env=MONITOR,
                part_env={**first, **small, **(clock.variables(SKEWED) if clock else {})},
                reached=network.reached,
                until_parent_exits=True,
            )
        )
