"""The servers of an existing cluster: three brokers, Postgres with TLS, S3, and Connect as installed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import Signals

import msgspec
import psycopg
import trustme

from infra import connect, jars, postgres
from infra.credentials import credentials
from infra.jvm import properties_file
from infra.part import Part
from infra.ports import Ports
from infra.settings import InfraSettings
from tests.support.operator.brokers import Brokers, running_brokers
from tests.support.servers.collector import Collector, running_collector
from tests.support.servers.server_process import running_s3, start
from tests.support.servers.tls_proxy import running_tls_proxy

CONNECT_HEAP_MB = 192


class Site(msgspec.Struct, frozen=True, kw_only=True):
    folder: Path
    """Stands for `/etc/tidemill` and other directories in the documents."""
    names: Mapping[str, str]
    """Name in the documents -> name here."""
    brokers: Brokers
    superuser: str
    """The connection string of a Postgres superuser."""
    ports: Ports
    """A port for each listener of the operator's processes."""
    collector: Collector
    """The collector of traces."""
    restart_postgres: Callable[[], None]
    connect: Part
    """Connect; it reads `worker.properties` in the folder."""
    connect_defaults: str
    """The settings of Connect before the operator follows a document."""


@contextmanager
def running_site() -> Iterator[Site]:
    settings = InfraSettings()
    cache = settings.cache.expanduser()
    with ExitStack() as until_end:
        folder = Path(until_end.enter_context(_folder()))
        folder.chmod(0o755)  # Postgres's user has to enter it
        class_path = jars.class_paths(cache, print)["kafka"]
        authority, ca = trustme.CA(), folder / "ca.pem"
        authority.cert_pem.write_to_path(ca)
        ports = Ports(folder, cache, ["postgres", "postgres-tls", "connect"])
        until_end.callback(ports.close)
        server = until_end.enter_context(_postgres(folder, settings, ports.by_name, authority))
        brokers = until_end.enter_context(running_brokers(folder / "brokers", cache, class_path, authority, ca))
        s3, collector = until_end.enter_context(running_s3()), until_end.enter_context(running_collector())
        port = ports.by_name["connect"]
        yield Site(
            folder=folder,
            names={
                "/etc/systemd/system": str(folder),
                "/etc/tidemill": str(folder),
                "/var/lib/tidemill": str(folder / "work"),
                "/opt/tidemill/bin": str(Path(sys.executable).parent),
                "db.example.com:5432": f"127.0.0.1:{ports.by_name['postgres-tls']}",
                "kafka-1.example.com:9092,kafka-2.example.com:9092,kafka-3.example.com:9092": brokers.bootstrap,
                "http://connect.example.com:8083": f"http://127.0.0.1:{port}",
                "https://s3.example.com": str(s3.s3_endpoint),
                "http://collector.example.com:4318/v1/traces": collector.url,
                "127.0.0.1:8080": f"127.0.0.1:{ports.of('web')}",
                "s3-key": str(s3.s3_access_key),
                "s3-secret": str(s3.s3_secret_key),
                "TIDEMILL_PARTITIONS=8": "TIDEMILL_PARTITIONS=4",
            },
            brokers=brokers,
            superuser=server.superuser,
            ports=ports,
            collector=collector,
            restart_postgres=server.restart,
            connect=_connect(folder, port, class_path),
            connect_defaults=properties_file(connect.worker_properties(port, brokers.bootstrap)),
        )


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tidemill-cluster-", ignore_cleanup_errors=True)


class _Postgres:
    def __init__(self, part: Part) -> None:
        self._part, self._process = part, start(part)
        self.superuser = ""

    def restart(self) -> None:
        self._end(self._part.stop_signal)
        self._process = start(self._part)

    def drop(self) -> None:
        """Ends it fast; its data is not kept."""
        self._end(self._part.death_signal)

    def _end(self, signal: Signals) -> None:
        self._process.send_signal(signal)
        self._process.wait(self._part.stop_seconds)


@contextmanager
def _postgres(
    folder: Path, settings: InfraSettings, ports: Mapping[str, int], authority: trustme.CA
) -> Iterator[_Postgres]:
    keys = credentials(folder)
    part = postgres.part(folder, ports["postgres"], postgres.prepare(folder, settings.postgres_home, keys, print))
    server = _Postgres(part)
    try:
        server.superuser = _administrator(
            postgres.dsn(ports["postgres"], keys, postgres.SUPERUSER), keys.postgres_password
        )
        with running_tls_proxy(ports["postgres-tls"], ports["postgres"], authority.issue_cert("127.0.0.1")):
            yield server
    finally:
        server.drop()


def _administrator(dsn: str, password: str) -> str:
    """Creates another superuser and frees the names of role and database, which the documents create."""
    with psycopg.connect(dsn, autocommit=True) as first:
        first.execute(f"create role administrator superuser login password '{password}'")
    found = psycopg.conninfo.make_conninfo(dsn, user="administrator", dbname="postgres")
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(f"drop database {postgres.DATABASE}")
        connection.execute(f"drop role {postgres.ROLE}")
    return found


def _connect(folder: Path, port: int, class_path: str) -> Part:
    config = folder / "worker.properties"
    whole = connect.part(folder, port, config, class_path, ())
    heap = f"-Xmx{CONNECT_HEAP_MB}m"
    return msgspec.structs.replace(whole, argv=tuple(heap if each.startswith("-Xmx") else each for each in whole.argv))
