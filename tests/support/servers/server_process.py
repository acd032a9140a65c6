"""Starts one server of the local stack for a test, and waits until it is ready."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.objects import Objects
from infra import jars, s3
from infra.credentials import credentials
from infra.part import Part
from infra.ports import Ports
from infra.process import last_lines, spawn
from infra.settings import InfraSettings
from schemas.settings import Connections
from tests.support.waiting import eventually

START_SECONDS = 60


def start(part: Part) -> subprocess.Popen[bytes]:
    process = spawn(part)
    wait_ready(part, process)
    return process


def wait_ready(part: Part, process: subprocess.Popen[bytes], seconds: float = START_SECONDS) -> None:
    def is_ready() -> bool:
        assert process.poll() is None, last_lines(part.log)
        return part.is_ready()

    eventually(is_ready, seconds, lambda: last_lines(part.log))


@contextmanager
def running_s3() -> Iterator[Connections]:
    """S3 with an empty bucket; its data is deleted at the end."""
    cache = InfraSettings().cache.expanduser()
    with tempfile.TemporaryDirectory(prefix="tidemill-s3-", ignore_cleanup_errors=True) as folder:
        data = Path(folder)
        keys, ports = credentials(data), Ports(data, cache, ["s3"])
        port = ports.by_name["s3"]
        process = start(s3.part(data, port, s3.prepare(data, port, keys), jars.class_paths(cache, print)["s3"]))
        place = Connections(
            s3_endpoint=f"http://127.0.0.1:{port}", s3_access_key=keys.s3_access_key, s3_secret_key=keys.s3_secret_key
        )
        try:
            Objects(place).make_bucket()
            yield place
        finally:
            process.kill()
            process.wait()
            ports.close()
