"""Starts the proxy of a stack, and gives it orders."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from infra import brokers, leash
from infra.ports import Ports
from tests.chaos.proxy import How, Order, Rule

SERVERS = ("postgres", "connect", "s3")


class Network:
    """The links of a stack. Rules hold until they are healed."""

    def __init__(self, process: subprocess.Popen[bytes], reached: dict[str, int]) -> None:
        self._process, self.reached = process, reached
        """Server -> the proxy's port, as `StackOptions.reached`."""
        self._lock, self._numbers = threading.Lock(), itertools.count()

    def begin(self, *rules: Rule) -> list[str]:
        """Returns names to heal the rules by."""
        names = [f"rule-{next(self._numbers)}" for _ in rules]
        for name, rule in zip(names, rules, strict=True):
            self._order(Order(name=name, rule=rule))
        return names

    def heal(self, names: list[str]) -> None:
        for name in names:
            self._order(Order(name=name, rule=None))

    def _order(self, order: Order) -> None:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == b"done\n", "the proxy has ended"


def isolation(name: str, how: How = "cut", seconds: float = 0) -> list[Rule]:
    """Rules for all links of one process: of a broker those with its clients, other brokers and other controllers."""
    whole = Rule(how=how, seconds=seconds)
    servers = {name, brokers.controller_of(name)}
    rules = [msgspec.structs.replace(whole, server=each) for each in sorted(servers)]
    return [msgspec.structs.replace(whole, client=name), *rules]


@contextmanager
def running_network(data: Path, cache: Path) -> Iterator[Network]:
    """A proxy in front of each server of a stack with three brokers, which starts in the same folder afterwards."""
    servers = (*SERVERS, *brokers.ports_of(len(brokers.NUMBERS)))
    ports = Ports(data, cache, [*servers, *(f"proxy of {each}" for each in servers)])
    reached = {each: ports.of(f"proxy of {each}") for each in servers}
    command = [
        sys.executable,
        "-m",
        "tests.chaos.proxy",
        str(data),
        *(f"{name}={port}" for name, port in reached.items()),
    ]
    leashed = [*leash.COMMAND, str(signal.SIGKILL.value), str(os.getpid()), *2 * [str(leash.KEEP_USER)], *command]
    process = subprocess.Popen(leashed, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", "the proxy did not start"
        ports.close()  # the stack takes its own, and the proxy's are bound
        yield Network(process, reached)
    finally:
        process.kill()
        process.wait()
