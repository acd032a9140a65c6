"""Executes the blocks of a document as an operator would; it knows only the host commands that the documents use."""

from __future__ import annotations

import shlex
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import psycopg
from confluent_kafka.admin import AclBinding

from infra.files import write_private
from infra.part import Part
from infra.process import last_lines, spawn
from tests.support.operator import kafka_commands
from tests.support.operator.brokers import START_SECONDS
from tests.support.operator.cluster import Site
from tests.support.operator.document_blocks import Block, blocks
from tests.support.servers.server_process import wait_ready

HOSTS = ("host-1", "host-2")
COMMAND_SECONDS = 120
STOP_SECONDS = 60
PROBE_SECONDS = 3
CONNECT = "kafka-connect"
RESTART = "systemctl restart"
ENDED_BY_TERM = {0, 128 + signal.SIGTERM, -signal.SIGTERM}
"""The exit codes that systemd counts as clean after a stop."""
LISTEN = "TIDEMILL_OBSERVE_LISTEN"
SOONER = {"TIDEMILL_CANARY_INTERVAL": "PT10S"}
"""Nobody waits for the first canary run as long as an operator does: a minute."""
SHARED = "shared"
"""A folder of the site that jobs may write to, if they ask for it."""
ENVIRONMENT = "set -a; "
"""The line that loads settings starts like this; it stays in force for later blocks, as in one shell."""


class Operator:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.allowed: list[AclBinding] = []
        self._environment = ""
        self._restarted_later: set[str] = set()
        self._parts: dict[str, Part] = {}
        self._observed: dict[tuple[str, str], str] = {}
        """Host and documented port -> the unit that listens there."""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._elsewhere = _other_package(site.folder)

    def follow(self, *documents: str) -> str:
        """Executes all blocks; returns the output of the operator's shell.

        A unit that several blocks restart is restarted only in the last one, to save time.
        """
        todo = [block for each in documents for block in blocks(each, self.site.names)]
        printed = ""
        while todo:
            block = todo.pop(0)
            self._restarted_later = {line for each in todo for line in each.text.splitlines() if RESTART in line}
            printed += self._do(block)
        return printed

    def shell(self, text: str) -> str:
        """Runs `text` and returns its output. The working directory has a package named like one of ours."""
        lines = text.splitlines()
        self._environment = next((line for line in lines if line.startswith(ENVIRONMENT)), self._environment)
        script = "\n".join(["set -eu", self._environment, *lines])
        done = subprocess.run(
            ["sh", "-c", script],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
            cwd=self._elsewhere,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def log_text(self, name: str) -> str:
        """The log of one of our processes."""
        return self._parts[name].log.read_text()

    def address(self, name: str) -> str:
        """Where one of our processes serves its metrics and its health."""
        return f"http://127.0.0.1:{self.site.ports.of(name)}"

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    def kill(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _do(self, block: Block) -> str:
        match block.target:
            case "operator":
                return self.shell(block.text)
            case "superuser":
                self._statements(self.site.superuser, block.text)
            case "owner":
                self._statements(self._owner(), block.text)
            case "kafka-admin":
                self._allow(block.text)
            case "root" | "connect-host" | "first-host":
                self._host(block.text, HOSTS[:1])
            case "each-host":
                self._host(block.text, HOSTS)
            case path:
                assert path.startswith("/"), f"unknown target of a block: {path}"
                write_private(Path(path), block.text.encode())
        return ""

    def _owner(self) -> str:
        return variables((self.site.folder / "operator.env").read_text())["TIDEMILL_POSTGRES_DSN"]

    def _statements(self, dsn: str, text: str) -> None:
        """Runs each statement separately: `create database` cannot run in a transaction."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in filter(str.strip, text.split(";\n")):
                connection.execute(statement)

    def _allow(self, text: str) -> None:
        admin, allowed = self.site.brokers.admin, kafka_commands.grants(text)
        kafka_commands.set_passwords(admin, text)
        kafka_commands.grant(admin, allowed)
        self.allowed += allowed

    def _host(self, text: str, hosts: tuple[str, ...]) -> None:
        started = []
        for host in hosts:
            for line in text.splitlines():
                if line in self._restarted_later:
                    continue
                match shlex.split(line):
                    case ["systemctl", "enable", "--now", unit]:
                        started.append(self._start(unit, host))
                    case ["systemctl", "restart", unit]:
                        self._wait(self._restart(unit, host))
                    case ["curl", "--fail", url]:
                        self._fetch(host, urlsplit(url))
                    case ["curl", "-X", "POST", url]:
                        urllib.request.urlopen(urllib.request.Request(url, method="POST")).close()
                    case ["sed", "-i", *_] | ["chmod", *_]:
                        subprocess.run(["sh", "-c", line], check=True)
                    case other:
                        raise AssertionError(f"unknown command: {other}")
        for name in started:
            self._wait(name)

    def _fetch(self, host: str, url: SplitResult) -> None:
        """Raises `urllib.error.HTTPError` if the answer is not 200."""
        name = _name(self._observed[host, str(url.port)], host)
        urllib.request.urlopen(f"{self.address(name)}{url.path}").close()

    def _restart(self, unit: str, host: str) -> str:
        name = _name(unit, host)
        process = self._processes.pop(name, None)
        if process is not None:
            process.terminate()
            code = process.wait(STOP_SECONDS)
            assert code in ENDED_BY_TERM, f"{name} ended with {code}:\n{last_lines(self._parts[name].log)}"
        return self._start(unit, host)

    def _start(self, unit: str, host: str) -> str:
        name = _name(unit, host)
        self._parts[name] = self._connect_part() if unit == CONNECT else self._part(unit.partition("@")[2], host, name)
        self._processes[name] = spawn(self._parts[name])
        return name

    def _wait(self, name: str) -> None:
        wait_ready(self._parts[name], self._processes[name], START_SECONDS)

    def _connect_part(self) -> Part:
        """The documented settings come last, so they win."""
        documented = (self.site.folder / "connect.properties").read_text()
        write_private(self.site.folder / "worker.properties", (self.site.connect_defaults + documented).encode())
        return self.site.connect

    def _part(self, module: str, host: str, name: str) -> Part:
        folder = self.site.folder
        unit = Unit((folder / "tidemill@.service").read_text().replace("%i", module).replace("%H", host))
        environment = unit.environment()
        _, _, port = environment[LISTEN].rpartition(":")
        assert self._observed.setdefault((host, port), module) == module, f"two processes use {port}"
        return Part(
            name=name,
            argv=("sh", "-c", f"cd {shlex.quote(str(self._elsewhere))} && exec {unit.command}"),
            env={
                **environment,
                **SOONER,
                LISTEN: self.address(name).removeprefix("http://"),
                "TIDEMILL_UNVEIL": f"rw:{folder / SHARED}",
                "PYTHONUNBUFFERED": "1",
            },
            log=folder / "logs" / f"{name}.log",
            is_ready=lambda: self._is_ready(name),
        )

    def _is_ready(self, name: str) -> bool:
        try:
            urllib.request.urlopen(f"{self.address(name)}/readyz", timeout=PROBE_SECONDS).close()
        except OSError:
            return False
        return True


class Unit:
    """The documented systemd unit: its command and its environment."""

    def __init__(self, text: str) -> None:
        self._lines = [line.split("=", 1) for line in text.splitlines() if "=" in line]
        (self.command,) = self._all("ExecStart")

    def environment(self) -> dict[str, str]:
        files = [Path(each.removeprefix("-")) for each in self._all("EnvironmentFile")]
        texts = [*(path.read_text() for path in files if path.exists()), *self._all("Environment")]
        return {name: value for text in texts for name, value in variables(text).items()}

    def _all(self, name: str) -> list[str]:
        return [value for key, value in self._lines if key == name]


def variables(text: str) -> dict[str, str]:
    """The variables of a file that both a shell and systemd read."""
    return dict(_pair(word) for word in shlex.split(text))


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _name(unit: str, host: str) -> str:
    return f"{unit.partition('@')[2] or unit}@{host}"


def _other_package(folder: Path) -> Path:
    """Creates a folder with a package `schemas` that must not be imported."""
    package = folder / "elsewhere" / "schemas"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('this is not ours')\n")
    return package.parent


@contextmanager
def operator_of(site: Site) -> Iterator[Operator]:
    """An operator whose processes end with the context."""
    operator = Operator(site)
    try:
        yield operator
    finally:
        operator.kill()
