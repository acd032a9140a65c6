"""A throwaway Kafka node for tests, the same as the local stack's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra import jars, kafka
from infra.part import Part
from infra.ports import Ports
from infra.settings import InfraSettings
from tests.support.servers.server_process import start


class Node:
    """One broker that a test may kill and start again, with its data."""

    def __init__(self, part: Part, address: str, data: Path) -> None:
        self._part = part
        self.data = data
        self.address = address
        self._process = start(part)

    def kill(self) -> None:
        """As kill -9 does."""
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        self._process = start(self._part)


@contextmanager
def running_node() -> Iterator[Node]:
    """Its data is thrown away."""
    cache = InfraSettings().cache.expanduser()
    with tempfile.TemporaryDirectory(prefix="tidemill-kafka-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        class_path = jars.class_paths(cache, print)["kafka"]
        ports = Ports(data, cache, ["kafka", "controller"])
        port = ports.by_name["kafka"]
        config = kafka.prepare(data, port, ports.by_name["controller"], class_path)
        node = Node(kafka.part(data, port, config, class_path), f"127.0.0.1:{port}", data)
        try:
            yield node
        finally:
            node.kill()  # its data is thrown away: there is nothing to end well
            ports.close()


@contextmanager
def running_kafka() -> Iterator[str]:
    """The bootstrap address of a node that nobody kills."""
    with running_node() as node:
        yield node.address
