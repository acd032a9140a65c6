"""Reads the output of a process, keeps it for the ENDED event, and streams it to S3 if it is too long for the event."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from executors.metrics import Dropped, Metrics
from executors.output import Bounded, as_text, is_text
from executors.s3 import Address, ObjectStore, UnreachableError
from executors.secrets.masking import MaskedStream, Masker
from executors.threads import started_pool
from schemas.event import MAX_OUTPUT_BYTES
from schemas.ids import RunId
from schemas.log_chunks import chunk_key

_LOG = structlog.get_logger()
_READ_BYTES = 64 * 1024
_READS_AT_ONCE = 8
"""The reads of one callback; after them other tasks of the event loop run first. One, if secrets must be masked: 64 KB
take up to 20 ms then."""
_DRAIN_SECONDS = 0.5
"""How long to read the pipe after the process ended: a descendant may keep it open for longer."""
CHUNK_BYTES = 256 * 1024
_RETRY_SECONDS = 0.5
_LAST_UPLOAD_SECONDS = 5.0
"""The longest time that a slow or silent S3 delays the ENDED event."""
_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    text: str
    total_bytes: int
    log_uri: str | None


class LogStore:
    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store, self._bucket = store, bucket
        self._threads = started_pool(_THREADS, "logs")

    async def put(self, run_id: RunId, attempt: int, chunk: int, data: bytes) -> str:
        """Store a chunk; returns the log's URI prefix. Raises `ObjectError` or `UnreachableError`."""
        address = Address(bucket=self._bucket, key=chunk_key(run_id, attempt, chunk))
        await asyncio.get_running_loop().run_in_executor(self._threads, self._store.put, address, data)
        return str(address).rpartition("/")[0] + "/"

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class LogStream:
    """Stores one attempt's log in S3 as chunk objects; retries while S3 is unreachable, stops if S3 refuses a chunk."""

    def __init__(self, logs: LogStore, run_id: RunId, attempt: int) -> None:
        self._logs, self.run_id, self._attempt = logs, run_id, attempt
        self._pending = bytearray()
        self._written = self._stored = 0
        self._chunk = 1
        self._uploading = asyncio.Lock()
        self._is_refused = False
        self.uri: str | None = None

    @property
    def pending_bytes(self) -> int:
        return len(self._pending)

    @property
    def missing_bytes(self) -> int:
        """Bytes that were written and are not in S3."""
        return self._written - self._stored

    @property
    def is_uploading(self) -> bool:
        return self._uploading.locked()

    def write(self, data: bytes) -> None:
        self._written += len(data)
        if not self._is_refused:
            self._pending += data

    async def upload(self) -> None:
        async with self._uploading:
            while self._pending:
                data = bytes(self._pending[:CHUNK_BYTES])
                try:
                    self.uri = await self._logs.put(self.run_id, self._attempt, self._chunk, data)
                except UnreachableError:
                    return
                except Exception:  # noqa: BLE001 - a log that cannot be stored must not crash the executor
                    _LOG.exception("log refused", run_id=self.run_id)
                    self._is_refused = True
                    self._pending.clear()
                    return
                self._chunk += 1
                self._stored += len(data)
                del self._pending[: len(data)]


class Output:
    """Reads one process's pipe until it is closed, or until the process has ended and the pipe is empty."""

    def __init__(
        self, fd: int, stream: LogStream, metrics: Metrics, *, log_max_bytes: int, masker: Masker | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd, self._stream, self._metrics = fd, stream, metrics
        self._head = bytearray()
        self._event, self._log = Bounded(MAX_OUTPUT_BYTES), Bounded(log_max_bytes)
        self._on_end: Callable[[], None] | None = None
        self._missing_bytes = 0
        """Bytes that the log in S3 lacks; known after `finish_log`."""
        self._masked = MaskedStream(masker) if masker else None
        self._open = True
        self._loop.add_reader(fd, self._read)

    @property
    def streams(self) -> bool:
        """Whether the output goes to S3: it is too long for an event, or some of it is there already."""
        return self._log.total > MAX_OUTPUT_BYTES or self._stream.uri is not None

    @property
    def has_to_be_stored(self) -> bool:
        """After the process ended: whether the event cannot hold the whole output byte for byte."""
        return self.streams or not is_text(bytes(self._head) + self._event.rest())

    @property
    def total_bytes(self) -> int:
        return self._log.total

    async def upload(self) -> None:
        """Upload the output so far, unless an upload is still running; called regularly while the process runs."""
        if not self._stream.is_uploading:
            await self._stream.upload()

    def at_end(self, callback: Callable[[], None]) -> None:
        """The process has ended: call `callback` once the pipe is empty."""
        self._read()
        if self._open:
            self._on_end = callback
            self._loop.call_later(_DRAIN_SECONDS, self._close)
        else:
            callback()

    def read_rest(self) -> None:
        """The process has ended: what it wrote is in the pipe."""
        self._read()

    async def finish_log(self) -> None:
        """After the process ended: upload the rest, within `_LAST_UPLOAD_SECONDS`."""
        self._stream.write(self._log.rest())
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_UPLOAD_SECONDS):
                await self._stream.upload()
                while self._stream.pending_bytes:
                    await asyncio.sleep(_RETRY_SECONDS)
                    await self._stream.upload()
        self._missing_bytes = self._stream.missing_bytes
        self._metrics.dropped(Dropped.LIMIT, self._log.left_out)
        self._metrics.dropped(Dropped.STORAGE, self._missing_bytes)
        if self._missing_bytes:
            _LOG.warning("log cut", run_id=self._stream.run_id, missing_bytes=self._missing_bytes)

    def collected(self) -> Collected:
        remark = f"{self._missing_bytes} bytes of the log did not reach S3" if self._missing_bytes else ""
        text = as_text(bytes(self._head) + self._event.rest(remark))
        return Collected(text=text, total_bytes=self._log.total, log_uri=self._stream.uri)

    def add(self, line: bytes) -> None:
        """The process has ended, and the executor has something to say."""
        self._keep(line)

    def close(self) -> None:
        """Stop reading, without calling back; also for a process that never started."""
        self._on_end = None
        self._close()

    def _read(self) -> None:
        if not self._open:
            return
        for _ in range(1 if self._masked else _READS_AT_ONCE):
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._close()
                return
            self._metrics.wrote(len(data))
            self._keep(self._masked.write(data) if self._masked else data)

    def _keep(self, data: bytes) -> None:
        self._head += self._event.write(data)
        self._stream.write(self._log.write(data))

    def _close(self) -> None:
        if self._open:
            self._open = False
            if self._masked:
                self._keep(self._masked.finish())
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            if self._on_end:
                self._on_end()
