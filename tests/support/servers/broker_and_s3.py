"""A broker and an S3 server as in the local stack, for tests of executors."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path

from infra import jars, kafka, s3
from infra.credentials import credentials
from infra.ports import Ports
from infra.process import spawn
from infra.settings import InfraSettings
from tests.support.servers.server_process import wait_ready

BUCKET = "tidemill"


class Servers:
    """A broker and S3; a test can kill and restart each."""

    def __init__(self, data: Path, ports: Ports) -> None:
        port, keys = ports.by_name, credentials(data)
        paths = jars.class_paths(InfraSettings().cache, print)
        broker = kafka.prepare(data, port["kafka"], port["controller"], paths["kafka"])
        buckets = s3.prepare(data, port["s3"], keys)
        self._parts = {
            "kafka": kafka.part(data, port["kafka"], broker, paths["kafka"]),
            "s3": s3.part(data, port["s3"], buckets, paths["s3"]),
        }
        self._running = {}
        self.environment = {
            "TIDEMILL_KAFKA_BOOTSTRAP": f"127.0.0.1:{port['kafka']}",
            "TIDEMILL_S3_ENDPOINT": f"http://127.0.0.1:{port['s3']}",
            "TIDEMILL_S3_ACCESS_KEY": keys.s3_access_key,
            "TIDEMILL_S3_SECRET_KEY": keys.s3_secret_key,
            "TIDEMILL_S3_BUCKET": BUCKET,
        }

    def start(self, *names: str) -> None:
        self._running |= {name: spawn(self._parts[name]) for name in names}
        for name in names:
            wait_ready(self._parts[name], self._running[name])

    def kill(self, *names: str) -> None:
        for name in names:
            process = self._running.pop(name)
            process.kill()
            process.wait()

    def kill_all(self) -> None:
        self.kill(*list(self._running))


@contextmanager
def running_servers():
    with tempfile.TemporaryDirectory(prefix="tidemill-executors-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        ports = Ports(data, InfraSettings().cache.expanduser(), ["kafka", "controller", "s3"])
        servers = Servers(data, ports)
        try:
            servers.start("kafka", "s3")
            yield servers
        finally:
            servers.kill_all()
            ports.close()
