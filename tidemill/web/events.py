"""Server-sent events: they say what changed in the read model, and the page gets its own fragment again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec
import orjson
import psycopg
import structlog
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tidemill.queries import one
from tidemill.web.backend import Backend
from tidemill.web.changes import Change

LOOK_SECONDS = 1.0
"""The read model is looked at once in this time, for all readers together."""
SILENCE_SECONDS = 15.0
"""After this time without an event, a comment keeps proxies from closing the connection."""
LONGEST_SECONDS = 600.0
"""Then the browser connects again; so a reader that vanished unnoticed is forgotten."""
MOST_READERS = 200
RETRY_MS = 2000

log = structlog.get_logger()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How far the read model is: a value differs from the one before if something was written."""

    runs: int = 0
    problems: int = 0
    background: int = 0


class _Events(StreamingResponse):
    """Says when its reader has left."""

    def __init__(
        self, content: AsyncIterator[bytes], left: Callable[[], None], *, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._left()


class Watch:
    """Looks at the read model while there are readers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._readers = 0
        self._seen = Seen()
        self._looked_at = 0.0
        self._lock = asyncio.Lock()

    async def serve(self, request: Request) -> Response:
        if self._readers >= MOST_READERS:
            return PlainTextResponse("Too many pages are live.\n", 503, headers={"retry-after": "60"})
        run_id = request.query_params.get("run")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        self._readers += 1  # here, not at the first byte: many readers may come at once
        events = self._stream(request, run_id)
        return _Events(events, self._left, media_type="text/event-stream", headers=headers)

    def _left(self) -> None:
        self._readers -= 1

    async def _stream(self, request: Request, run_id: str | None) -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n: connected\n\n".encode()
        began = spoke = time.monotonic()
        before, version = await self._look(), await self._version(run_id)
        while time.monotonic() - began < LONGEST_SECONDS and not await request.is_disconnected():
            await asyncio.sleep(LOOK_SECONDS)
            now = await self._look()
            changed = changes(before, now)
            if run_id is not None and "runs" in changed:
                latest = await self._version(run_id)
                changed += ["run"] if latest != version else []
                version = latest
            before = now
            if changed or time.monotonic() - spoke > SILENCE_SECONDS:
                spoke = time.monotonic()
                yield event(changed) if changed else b": still here\n\n"

    async def _look(self) -> Seen:
        async with self._lock:
            if time.monotonic() - self._looked_at >= LOOK_SECONDS * 0.9:
                self._seen = await run_in_threadpool(self._read, self._seen)
                self._looked_at = time.monotonic()
            return self._seen

    def _read(self, before: Seen) -> Seen:
        """What the sink has written; while the database does not answer, nothing changes."""
        try:
            with self._backend.reading() as postgres:
                found = msgspec.convert(one(postgres, "web_written"), Seen)
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("events_wait", error=str(error).strip())
            found = before
        return msgspec.structs.replace(found, background=self._backend.background.version)

    async def _version(self, run_id: str | None) -> int | None:
        return None if run_id is None else await run_in_threadpool(self._version_of, run_id)

    def _version_of(self, run_id: str) -> int | None:
        try:
            with self._backend.reading() as postgres:
                found = one(postgres, "run", {"run_id": run_id})
        except (psycopg.Error, PoolTimeout):
            return None
        return int(found["version"]) if found else None


def changes(before: Seen, now: Seen) -> list[Change]:
    found: Mapping[Change, bool] = {
        "runs": before.runs != now.runs,
        "problems": before.problems != now.problems,
        "background": before.background != now.background,
    }
    return [change for change, is_new in found.items() if is_new]


def event(changed: list[Change]) -> bytes:
    return b"event: changed\ndata: " + orjson.dumps(changed) + b"\n\n"
