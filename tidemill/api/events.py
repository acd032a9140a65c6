"""`GET /v1/events`: changes of runs as server-sent events.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
The id of an event is the place in `status` behind it, so a reader that comes back with Last-Event-ID misses nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress

import msgspec
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from schemas.words import RunState
from tidemill.api.problem import problem
from tidemill.api.tail import Places, RunEvent, Seen, Tail, UnreadableError
from tidemill.output import compact_json
from tidemill.queries import one
from tidemill.web.backend import Backend

RETRY_MS = 2000
SILENCE_SECONDS = 15.0
LONGEST_SECONDS = 600.0
"""Then the reader connects again, so one that vanished unnoticed is forgotten."""
MOST_READERS = 200
MOST_WAITING = 10_000
"""A reader that has so many records not sent yet is cut off: it comes back, and reads them from Kafka."""
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

log = structlog.get_logger()


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True):
    job: str | None = None
    dag: str | None = None
    """Its DAG runs and their nodes."""
    run: str | None = None
    """The stream ends with the run: the last event is `end`."""
    tenant: str | None = None
    state: tuple[RunState, ...] = ()
    """Repeat it for more states."""


class Reader:
    """One connection: what it wants, and what waits to be sent."""

    def __init__(self, asked: EventsQuery, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = asked
        self._loop = loop
        self._waiting: asyncio.Queue[list[Seen] | None] = asyncio.Queue()
        self._records = 0
        self.places: dict[int, int] = {}
        self.is_done = False

    def offer(self, found: list[Seen]) -> None:
        """Called by the thread that reads; never waits."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._put, found)

    def _put(self, found: list[Seen]) -> None:
        self._records += len(found)
        self._waiting.put_nowait(found if self._records <= MOST_WAITING else None)

    async def following(self, seconds: float) -> list[Seen] | None:
        """The next records; none after `seconds`. None: too many wait."""
        try:
            found = await asyncio.wait_for(self._waiting.get(), seconds)
        except TimeoutError:
            return []
        self._records -= len(found or ())
        return found

    def told(self, found: Iterable[Seen]) -> Iterator[bytes]:
        """The events of records, each behind its place."""
        for each in found:
            if each.offset < self.places.get(each.partition, 0):
                continue
            self.places[each.partition] = each.offset + 1
            if each.event is not None and wants(self.asked, each.event):
                yield event("run", each.event, self.places)
                if self.asked.run is not None and RunState(each.event.state).is_final:
                    yield event("end", {"run_id": each.event.run_id}, self.places)
                    self.is_done = True
                    return


def wants(asked: EventsQuery, run: RunEvent) -> bool:
    return (
        asked.run in (None, run.run_id)
        and asked.job in (None, run.job_id)
        and asked.dag in (None, run.dag_id)
        and asked.tenant in (None, run.tenant)
        and (not asked.state or run.state in {each.value for each in asked.state})
    )


class Events:
    def __init__(self, backend: Backend, tail: Tail) -> None:
        self._backend = backend
        self._tail = tail
        self._readers = 0

    async def serve(self, request: Request, asked: EventsQuery) -> Response:
        if self._readers >= MOST_READERS:
            raise problem("unavailable", f"{MOST_READERS} readers are connected already", retry="60")
        begin = read_places(request.headers.get("last-event-id"))
        reader = Reader(asked, asyncio.get_running_loop())
        self._readers += 1
        try:
            now = await run_in_threadpool(self._tail.listen, reader.offer)
            starts = await run_in_threadpool(self._tail.starts) if begin else {}
        except UnreadableError as error:
            self._left(reader)
            raise problem("unavailable", f"events cannot be read: {error}", retry="5") from error
        was_lost = begin is not None and not is_readable(begin, starts, now)
        stream = self._stream(request, reader, now, None if was_lost else begin, was_lost=was_lost)
        return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)

    def _left(self, reader: Reader) -> None:
        self._tail.leave(reader.offer)
        self._readers -= 1

    async def _stream(
        self, request: Request, reader: Reader, now: Places, begin: Places | None, *, was_lost: bool
    ) -> AsyncIterator[bytes]:
        try:
            reader.places = dict(begin or now)
            yield f"retry: {RETRY_MS}\n: connected\n\n".encode()
            yield event("reset", {}, reader.places) if was_lost else place(reader.places)
            if begin is None:
                async for each in self._already_ended(reader):
                    yield each
            else:
                async for each in self._missed(reader, begin, now):
                    yield each
            async for each in self._live(request, reader):
                yield each
        finally:
            self._left(reader)

    async def _already_ended(self, reader: Reader) -> AsyncIterator[bytes]:
        """A stream about a run that has ended says so, and ends."""
        run_id = reader.asked.run
        if run_id is None:
            return
        run = await run_in_threadpool(self._run, run_id)
        if run is not None and RunState(run.state).is_final:
            yield event("run", run, reader.places)
            yield event("end", {"run_id": run_id}, reader.places)
            reader.is_done = True

    def _run(self, run_id: str) -> RunEvent | None:
        with self._backend.reading() as postgres:
            row = one(postgres, "run", {"run_id": run_id})
        return None if row is None else msgspec.convert(row, RunEvent)

    async def _missed(self, reader: Reader, begin: Places, now: Places) -> AsyncIterator[bytes]:
        batches = self._tail.between(begin, now)
        while not reader.is_done:
            found = await run_in_threadpool(next, batches, None)
            if found is None:
                return
            for each in reader.told(found):
                yield each

    async def _live(self, request: Request, reader: Reader) -> AsyncIterator[bytes]:
        until = time.monotonic() + LONGEST_SECONDS * random.uniform(0.9, 1.0)
        while not reader.is_done and time.monotonic() < until and not await request.is_disconnected():
            found = await reader.following(SILENCE_SECONDS)
            if found is None:
                return
            sent = False
            for each in reader.told(found):
                sent = True
                yield each
            if not sent:
                yield place(reader.places)


def event(name: str, value: object, places: Places) -> bytes:
    shown = msgspec.structs.asdict(value) if isinstance(value, RunEvent) else value
    return f"id: {written(places)}\nevent: {name}\ndata: ".encode() + compact_json(shown) + b"\n\n"


def place(places: Places) -> bytes:
    """No event, but the reader remembers the id; and a proxy sees that the connection lives."""
    return f": still here\nid: {written(places)}\n\n".encode()


def written(places: Places) -> str:
    """`0` for each partition in its order: the next offsets, as text that fits a header."""
    raw = msgspec.json.encode([places[number] for number in sorted(places)])
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read_places(text: str | None) -> Places | None:
    """Raises `ProblemError` (400)."""
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        offsets = msgspec.json.decode(raw, type=list[int])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise problem("malformed", "Last-Event-ID is not the id of an event: leave it out to begin anew") from error
    return dict(enumerate(offsets))


def is_readable(begin: Places, starts: Places, now: Places) -> bool:
    """Whether the topic still has what was written from `begin` on."""
    return begin.keys() == now.keys() and all(starts[each] <= begin[each] <= now[each] for each in begin)
