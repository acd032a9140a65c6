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


class KafkaNode:
    """One broker that a test can kill and restart; its data survives."""

    def __init__(self, part: Part, address: str, data: Path) -> None:
        self._part = part
        self.data = data
        self.address = address
        self._process = start(part)

    def kill(self) -> None:
        """Kills the broker with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        self._process = start(self._part)


@contextmanager
def running_node() -> Iterator[KafkaNode]:
    """A node whose data is deleted at the end."""
    cache = InfraSettings().cache.expanduser()
    with tempfile.TemporaryDirectory(prefix="tidemill-kafka-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        class_path = jars.class_paths(cache, print)["kafka"]
        ports = Ports(data, cache, ["kafka", "controller"])
        port = ports.by_name["kafka"]
        config = kafka.prepare(data, port, ports.by_name["controller"], class_path)
        node = KafkaNode(kafka.part(data, port, config, class_path), f"127.0.0.1:{port}", data)
        try:
            yield node
        finally:
            node.kill()  # its data is deleted, so a clean shutdown has no use
            ports.close()


@contextmanager
def running_kafka() -> Iterator[str]:
    """The bootstrap address of a node, for tests that do not kill it."""
    with running_node() as node:
        yield node.address
