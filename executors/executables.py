"""Fetches the executables of jobs from S3 once, verifies them and keeps them in a bounded cache, by content."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from executors.cache import Cache, Stamp
from executors.clock import boot_seconds
from executors.etags import Etags, Hashes
from executors.metrics import Metrics
from executors.s3 import Address, Download, ObjectError, ObjectStore, UnreachableError, parse_address
from executors.threads import in_time, started_pool

_THREADS = 8
_ETAG_THREADS = 4
"""Separate threads ask for ETags, so that slow downloads do not delay cached executables."""
_NAME_BYTES = 200
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_LOOK_UP_SECONDS = 1.0
"""If S3 does not send the ETag within this time, the executor announces the claim and fetches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executable:
    sha256: str
    path: Path
    stamp: Stamp
    """Of the file with this hash."""
    name: str
    """The file name in the object's key, for users."""


@dataclass(slots=True, kw_only=True)
class _Fetch:
    task: asyncio.Task[str]
    """Its result, a SHA-256, is pinned in the cache while `waiting` > 0."""
    waiting: int = 0


class Executables:
    """Used from the event loop; threads access S3 and compute hashes."""

    def __init__(self, *, store: ObjectStore, cache: Cache, metrics: Metrics, fetch_timeout: timedelta) -> None:
        self._store, self._cache, self._metrics, self._fetch_timeout = store, cache, metrics, fetch_timeout
        self._threads = started_pool(_THREADS, "executables")
        self._etag_threads = started_pool(_ETAG_THREADS, "etags")
        self._etags = Etags(store.etag, self._etag_threads)
        self._hashes = Hashes()
        self._fetching: dict[tuple[Address, str | None], _Fetch] = {}
        self._files = itertools.count()

    def expect(self, uris: Iterable[str], since: float) -> None:
        """Ask for the ETags of these objects: dispatches without a hash name them, and were read at `since`."""
        for uri in uris:
            with suppress(ObjectError):
                self._etags.expect(parse_address(uri), since)

    def cached(self, uri: str, sha256: str | None, since: float) -> Executable | None:
        """The cached executable with this hash; without a hash, the object's content if S3 told its ETag after `since`.

        Does not wait. Raises `ObjectError`.
        """
        address = parse_address(uri)
        if sha256 is None and (etag := self._etags.known(address, since)):
            sha256 = self._hashes.get(address, etag)
        return self._held(address, sha256)

    async def look_up(self, uri: str, since: float) -> Executable | None:
        """The cached executable with the object's current content; None if it is not cached or S3 is too slow."""
        address = parse_address(uri)
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                etag = await self._etags.get(address, since)
        except (TimeoutError, UnreachableError):
            return None
        return self._held(address, self._hashes.get(address, etag))

    async def fetch(self, uri: str, sha256: str | None) -> Executable:
        """Fetch an object once, however many callers wait for it. Raises `ObjectError` or `UnreachableError`.

        The caller must link the executable before it awaits anything else: the cache may evict it after that.
        """
        address = parse_address(uri)
        self._metrics.missed()
        async with in_time(self._fetch_timeout, uri):
            return self._executable(address, await self._fetch_with_retries(address, sha256))

    def close(self) -> None:
        for each in (self._threads, self._etag_threads):
            each.shutdown(wait=False, cancel_futures=True)

    async def _fetch_with_retries(self, address: Address, sha256: str | None) -> str:
        pause, until = _FIRST_PAUSE_SECONDS, time.monotonic() + self._fetch_timeout.total_seconds()
        while True:
            try:
                return await self._fetch_once(address, sha256, until)
            except UnreachableError:
                if time.monotonic() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _fetch_once(self, address: Address, sha256: str | None, until: float) -> str:
        which = address, sha256 or await self._etags.get(address, boot_seconds())
        fetch = self._fetching.get(which)
        if fetch is None:
            fetch = self._fetching[which] = _Fetch(task=_shared(self._obtain(address, sha256, until)))
            fetch.task.add_done_callback(lambda _: self._release(self._fetching.pop(which)))
        fetch.waiting += 1
        try:
            return await asyncio.shield(fetch.task)
        finally:
            fetch.waiting -= 1
            self._release(fetch)

    def _release(self, fetch: _Fetch) -> None:
        task = fetch.task
        if not fetch.waiting and task.done() and not task.cancelled() and not task.exception():
            self._cache.unpin(task.result())

    async def _obtain(self, address: Address, sha256: str | None, until: float) -> str:
        if sha256 and (stamp := await self._in_thread(self._cache.verify, sha256)):
            with suppress(FileNotFoundError):  # evicted meanwhile
                self._cache.admit(sha256, stamp)
                return self._cache.pin(sha256)
        file = self._cache.scratch(next(self._files))
        try:
            found: Download = await self._in_thread(self._download, address, file, until)
            if sha256 and found.sha256 != sha256:
                raise ObjectError(f"{address} has the checksum {found.sha256}; the job asks for {sha256}")
            await self._keep(file, found.sha256)
        finally:
            file.unlink(missing_ok=True)
        self._hashes.remember(address, found.etag, found.sha256)
        return self._cache.pin(found.sha256)

    async def _keep(self, file: Path, sha256: str) -> None:
        """A good file in the cache stays: another executor may be about to start it, and knows it by its inode."""
        while not self._cache.adopt(file, sha256):
            if stamp := await self._in_thread(self._cache.verify, sha256):
                with suppress(FileNotFoundError):  # evicted meanwhile
                    self._cache.admit(sha256, stamp)
                    return

    def _download(self, address: Address, file: Path, until: float) -> Download:
        return self._store.download(address, file, max_bytes=self._cache.max_bytes, until=until)

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _held(self, address: Address, sha256: str | None) -> Executable | None:
        if sha256 is None or not self._cache.holds(sha256):
            return None
        self._metrics.hit()
        return self._executable(address, sha256)

    def _executable(self, address: Address, sha256: str) -> Executable:
        path, stamp = self._cache.use(sha256), self._cache.stamp(sha256)
        return Executable(sha256=sha256, path=path, stamp=stamp, name=_file_name(address))


def _file_name(address: Address) -> str:
    name = address.key.rpartition("/")[2]
    return name if name not in ("", ".", "..") and len(name.encode()) <= _NAME_BYTES else "executable"


def _shared(work: Coroutine[Any, Any, str]) -> asyncio.Task[str]:
    """A task that goes on if its callers stop waiting; its exception then counts as retrieved."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
