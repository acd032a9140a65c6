"""A throwaway Postgres, the same as the local stack's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra import postgres as local
from infra.credentials import credentials
from infra.ports import Ports
from infra.settings import InfraSettings
from tests.servers import start


@contextmanager
def running_postgres() -> Iterator[Callable[[str], str]]:
    """On a port of its own; its data is thrown away. What it gives makes a database's name its connection string."""
    settings = InfraSettings()
    with tempfile.TemporaryDirectory(prefix="tidemill-postgres-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        data.chmod(0o755)  # so that the user whom Postgres runs as can enter it
        keys = credentials(data)
        ports = Ports(data, settings.cache.expanduser(), ["postgres"])
        place = local.prepare(data, settings.postgres_home, keys, print)
        server = local.part(data, ports.by_name["postgres"], place)
        process = start(server)
        try:
            yield lambda name: local.dsn(ports.by_name["postgres"], keys).removesuffix(local.DATABASE) + name
        finally:
            process.send_signal(server.stop_signal)
            process.wait(timeout=server.stop_seconds)
            ports.close()
