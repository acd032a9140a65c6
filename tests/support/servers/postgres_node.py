"""A throwaway Postgres as in the local stack, without fsync unless a benchmark needs it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from infra import postgres as local
from infra.credentials import credentials
from infra.ports import Ports
from infra.settings import InfraSettings
from tests.support.servers.server_process import start

_NO_WAIT = ("-c", "fsync=off", "-c", "full_page_writes=off")
"""Tests do not keep the data, and flushing hundreds of databases would exceed the shutdown time."""


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[Callable[[str], str]]:
    """Yields a function from a database's name to its connection string, as the superuser."""
    settings = InfraSettings()
    with tempfile.TemporaryDirectory(prefix="tidemill-postgres-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        data.chmod(0o755)  # Postgres's user has to enter it
        keys = credentials(data)
        ports = Ports(data, settings.cache.expanduser(), ["postgres"])
        place = local.prepare(data, settings.postgres_home, keys, print)
        server = local.part(data, ports.by_name["postgres"], place)
        server = server if durable else msgspec.structs.replace(server, argv=(*server.argv, *_NO_WAIT))
        process = start(server)
        try:
            dsn = local.dsn(ports.by_name["postgres"], keys, local.SUPERUSER)
            yield lambda name: dsn.removesuffix(local.DATABASE) + name
        finally:
            process.send_signal(server.death_signal)
            process.wait(timeout=server.stop_seconds)
            ports.close()
