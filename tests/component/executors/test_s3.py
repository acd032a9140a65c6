"""A faulty S3: wrong and slow answers, through a real client."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
import time
from contextlib import closing
from datetime import timedelta

import pytest

from executors.attempt_dirs import AttemptDir
from executors.cache import Cache
from executors.checkpoints import Checkpoints
from executors.clock import boot_seconds
from executors.executables import Executables
from executors.results import Results
from executors.s3 import Address, DiskError, ObjectError, ObjectStore, UnreachableError, parse_address
from schemas.result import Result
from schemas.settings import Connections
from tests.support.attempt_runner import claim
from tests.support.executor_figures import new_metrics

HERE = Address(bucket="bucket", key="k")
URI = str(HERE)
LIMIT = timedelta(seconds=2)
"""Longer than S3 may take to answer about an object."""
SLOW_SECONDS = 0.1
"""Seconds between two bytes."""
DOWNLOADS = 8
"""The number of concurrent downloads."""
EXECUTABLES = 40
WAIT_SECONDS = 5.0


def whole(content):
    yield b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "x"\r\n\r\n%s' % (len(content), content)


class Server:
    """A server that answers each request with the pieces that `answer(path)` yields."""

    def __init__(self):
        self.answer = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while not self._over.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection:
            path = connection.recv(65536).split()[1].decode()
            try:
                for piece in self.answer(path):
                    connection.sendall(piece)
            except OSError:
                return

    def never_whole(self, _):
        yield b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: "x"\r\n\r\n'
        while not self._over.wait(SLOW_SECONDS):
            yield b"x"

    def close(self):
        self._over.set()
        self._socket.close()


@pytest.fixture
def server():
    with closing(Server()) as made:
        yield made


@pytest.fixture
def store(server):
    endpoint = f"http://127.0.0.1:{server.port}"
    return ObjectStore(Connections(s3_endpoint=endpoint, s3_access_key="a", s3_secret_key="b"))


@pytest.fixture
def executables(store, tmp_path):
    cache = Cache(tmp_path / "cache", max_bytes=10**9, scratch_prefix="x.1")
    with closing(Executables(store=store, cache=cache, metrics=new_metrics(), fetch_timeout=LIMIT)) as made:
        yield made


def soon():
    return time.monotonic() + WAIT_SECONDS


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("Transfer-Encoding: chunked\r\nETag: x\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "it has no Content-Length"),
        ("Content-Length: 3\r\n\r\nabc", "it has no ETag"),
        ("Content-Length: 30\r\nETag: x\r\n\r\nabc", "3 of 30 bytes received"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 30\r\nETag: x\r\n\r\nzz\r\nabc", "unreachable"),
    ],
    ids=["no length", "no ETag", "cut", "broken"],
)
def test_an_answer_that_is_not_from_s3_is_reported_in_a_sentence(server, store, tmp_path, head, why):
    server.answer = lambda _: [b"HTTP/1.1 200 OK\r\n" + head.encode()]
    with pytest.raises(UnreachableError, match=why):
        store.download(HERE, tmp_path / "file", max_bytes=100, until=soon())


def test_a_portal_page_is_not_an_answer_about_an_object(server, store):
    server.answer = lambda _: [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n"]
    with pytest.raises(UnreachableError, match="is not from S3: it has no ETag"):
        store.etag(HERE)


@pytest.mark.parametrize("uri", ["s3://[x/key", "s3://buck]et/key", "s3://a\u2100b/key", "s3://bucket/a\0b", "s3://b"])
def test_an_invalid_object_address_is_refused(uri):
    with pytest.raises(ObjectError, match="is not an address of the form"):
        parse_address(uri)


def test_a_download_ends_in_time_however_slowly_it_comes(server, store, tmp_path):
    server.answer = server.never_whole
    began = time.monotonic()
    with pytest.raises(UnreachableError, match=r"did not arrive in time: \d+ of 1000000 bytes"):
        store.download(HERE, tmp_path / "file", max_bytes=2**30, until=began + 0.5)
    with pytest.raises(UnreachableError, match="did not arrive in time"):
        store.read(HERE, 2**30, until=began + 0.5)
    assert time.monotonic() - began < WAIT_SECONDS


def test_no_wait_exceeds_the_fetch_timeout(server, store, executables, tmp_path):
    server.answer = server.never_whole
    directory = AttemptDir(path=tmp_path, executable=tmp_path / "executable")
    limits = {"keep_timeout": LIMIT, "fetch_timeout": LIMIT}
    far = {"a": Result(bytes=1_000_000, uri=URI, sha256="0" * 64)}

    async def body():
        with (
            closing(Checkpoints(store, "bucket", **limits)) as checkpoints,
            closing(Results(store, "bucket", **limits)) as results,
        ):
            return await asyncio.gather(
                executables.fetch(URI, "0" * 64),
                checkpoints.restore(URI, directory),
                results.fetch(claim(results=far).polled.dispatch),
                return_exceptions=True,
            )

    began = time.monotonic()
    assert [type(each) for each in asyncio.run(body())] == [UnreachableError] * 3
    assert time.monotonic() - began < WAIT_SECONDS


def test_slow_downloads_do_not_delay_cached_executables(server, executables):
    content, begun = b"#!/bin/sh\n", []

    def answer(path):
        if "slow" in path:
            begun.append(path)
            yield from server.never_whole(path)
        yield from whole(content)

    server.answer = answer

    async def body():
        await executables.fetch(URI, None)
        slow = [executables.fetch(f"s3://bucket/slow{number}", "0" * 64) for number in range(DOWNLOADS)]
        downloads = asyncio.gather(*slow, return_exceptions=True)
        while len(begun) < DOWNLOADS:  # noqa: ASYNC110 - they are under way when a thread of the server says so
            await asyncio.sleep(0.01)
        found = await executables.look_up(URI, boot_seconds())
        await downloads
        return found

    assert asyncio.run(body()).sha256 == hashlib.sha256(content).hexdigest()


def test_an_awaited_executable_is_not_evicted_before_it_is_used(server, store, tmp_path):
    server.answer = lambda path: whole(path.encode() * 10)
    cache = Cache(tmp_path / "cache", max_bytes=150, scratch_prefix="x.1")

    async def links_it(executables, name):
        executable = await executables.fetch(f"s3://bucket/{name}", None)
        (tmp_path / name).hardlink_to(executable.path)

    async def body():
        with closing(Executables(store=store, cache=cache, metrics=new_metrics(), fetch_timeout=LIMIT)) as executables:
            await asyncio.gather(*(links_it(executables, f"{number:03}") for number in range(EXECUTABLES)))

    asyncio.run(body())
    assert not cache._pinned
    for file in tmp_path.glob("???"):
        assert file.read_bytes() == f"/bucket/{file.name}".encode() * 10


def test_a_file_that_cannot_be_written_is_no_fault_of_s3(store, server, tmp_path):
    server.answer = lambda _: whole(b"abc")
    target = tmp_path / "gone" / "file"
    with pytest.raises(DiskError, match=f"{target} cannot be written: No such file or directory"):
        store.download(Address(bucket="b", key="k"), target, max_bytes=10, until=soon())


def test_s3_is_asked_again_only_after_a_request_without_an_answer(store, server):
    asked = []

    def broken(path):
        asked.append(path)
        yield b"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    server.answer = broken
    assert store.probe("b") is None
    assert asked == []
    with pytest.raises(UnreachableError):
        store.etag(Address(bucket="b", key="k"))
    assert "unreachable" in store.probe("b")
    server.answer = lambda _: [b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"]
    assert store.probe("b") is None
    server.answer = broken
    assert store.probe("b") is None
