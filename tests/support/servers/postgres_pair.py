"""A primary and its standby, made by the blocks of docs/postgres-failover.md, and what an operator does to them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from infra import postgres as local
from infra.credentials import Credentials, credentials
from infra.part import Part
from infra.ports import Ports
from infra.postgres_installation import Installation, choose_installation
from infra.settings import InfraSettings
from tests.support.operator.document_blocks import blocks
from tests.support.servers.server_process import start
from tests.support.waiting import eventually

PAGE = "postgres-failover.md"
READY_SECONDS = 60
COMMAND_SECONDS = 120


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two: `number` is 1 or 2, as in the page's names db-1 and db-2."""

    number: int
    port: int
    files: Installation
    part: Part

    @property
    def pgdata(self) -> Path:
        return self.files.cluster / "pgdata"


class PostgresPair:
    def __init__(self, folder: Path, ports: Ports, keys: Credentials) -> None:
        self._keys = keys
        home = InfraSettings().postgres_home
        self._servers = {number: _server(folder / f"db-{number}", number, ports, home) for number in (1, 2)}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.primary = 1

    @property
    def standby(self) -> int:
        return 3 - self.primary

    def start_primary(self) -> None:
        server = self._servers[self.primary]
        local.prepare(server.part.log.parents[1], InfraSettings().postgres_home, self._keys, print)
        self._start(server)

    def add_standby(self) -> None:
        """Makes the other server a synchronous standby of the present primary; what it had is deleted."""
        self.follow("primary", "standby", "primary-and-standby")

    def follow(self, *targets: str) -> None:
        """Executes the page's blocks for these targets, with the present primary as its db-1."""
        for block in blocks(PAGE, self._names()):
            if block.target in targets:
                where = self.standby if block.target in {"standby", "promote"} else self.primary
                if block.language == "sh":
                    self._make_standby(block.text)
                else:
                    self._statements(where, block.text)

    def dsn(self) -> str:
        """The setting of the page, which names both servers."""
        (block,) = [each for each in blocks(PAGE, self._names()) if each.target == "/etc/tidemill/postgres.env"]
        return shlex.split(block.text)[0].partition("=")[2]

    def await_ready(self) -> None:
        """Until the standby has a copy of the connector's slot that survives a promotion."""
        (block,) = [each for each in blocks(PAGE, self._names()) if each.target == "ready"]
        eventually(lambda: self.ask(self.standby, block.text) == [(True,)], READY_SECONDS, "a copy of the slot")

    def signal_primary(self, number: signal.Signals) -> None:
        """Signals all processes of the primary, at once as when its machine dies."""
        self._signal(self.primary, number)

    def promote(self) -> None:
        self.follow("promote")
        self.primary = self.standby

    def end_old(self) -> None:
        """Ends the primary of before the promotion, if it is only frozen."""
        self._signal(self.standby, signal.SIGKILL)

    def _signal(self, server: int, number: signal.Signals) -> None:
        pid = self._processes[server].pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        for each in (pid, *map(int, children.read_text().split())) if children.exists() else ():
            os.kill(each, number)

    def ask(self, number: int, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._dsn_of(number), autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start(self, server: Server) -> None:
        self._processes[server.number] = start(server.part)

    def _make_standby(self, text: str) -> None:
        server = self._servers[self.standby]
        if (old := self._processes.pop(server.number, None)) is not None:
            old.kill()
            old.wait()
        subprocess.run(["rm", "-rf", server.pgdata], check=True)
        command = text.replace("systemctl start postgresql\n", "")
        program = shlex.join([*local.as_user(server.files.user), server.files.program("pg_basebackup")])
        subprocess.run(
            ["sh", "-ec", command.replace("pg_basebackup", f"exec {program}", 1)],
            check=True,
            timeout=COMMAND_SECONDS,
            cwd="/",
        )
        self._start(server)

    def _statements(self, number: int, text: str) -> None:
        with psycopg.connect(self._dsn_of(number), autocommit=True) as connection:
            for statement in filter(str.strip, text.split(";")):
                connection.execute(statement)

    def _dsn_of(self, number: int) -> str:
        return local.dsn(self._servers[number].port, self._keys, local.SUPERUSER)

    def _names(self) -> Mapping[str, str]:
        own, other = self._servers[self.primary], self._servers[self.standby]
        return {
            "host=db-1.example.com port=5432": f"host=127.0.0.1 port={own.port}",
            "db-1.example.com:5432": f"127.0.0.1:{own.port}",
            "db-2.example.com:5432": f"127.0.0.1:{other.port}",
            "sslmode=verify-full&sslrootcert=/etc/tidemill/ca.pem&": "",
            "postgres-secret": self._keys.postgres_password,
            "/var/lib/postgresql/18/main": str(other.pgdata),
            "db_2": f"db_{other.number}",
        }


def _server(data: Path, number: int, ports: Ports, home: Path) -> Server:
    data.mkdir()
    data.chmod(0o755)  # Postgres's user has to enter it
    files = choose_installation(data, home, print)
    port = ports.of(f"db-{number}")
    return Server(number=number, port=port, files=files, part=local.part(data, port, files))


@contextmanager
def running_pair(folder: Path, ports: Ports) -> Iterator[PostgresPair]:
    """A primary with a synchronous standby. No connector has made its slot yet."""
    pair = PostgresPair(folder, ports, credentials(folder))
    try:
        pair.start_primary()
        pair.follow("primary-once")
        pair.add_standby()
        yield pair
    finally:
        pair.stop()
