"""What a process hands on, and what it gets of others: `$TIDEMILL_RESULT` is read, S3 holds what no record should."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec

from executors.places import Place
from executors.process import Exited
from executors.s3 import Address, ObjectError, ObjectStore, UnreachableError, parse_address
from executors.threads import Threads, in_time
from schemas.codec import decode, encode_json, join_json, members, read_result
from schemas.dispatch import Dispatch
from schemas.errors import TidemillError, UndecodableError
from schemas.event import EndCause
from schemas.ids import dag_run_of
from schemas.raw import json_bytes
from schemas.result import (
    MAX_INLINE_BYTES,
    MAX_NEXT_BYTES,
    MAX_PASSED_BYTES,
    MAX_RESULT_BYTES,
    NEXT,
    Result,
    result_key,
)

_TYPE = "application/json"
_SHOWN_CHARACTERS = 60
_ALLOWED = f"allowed is one JSON value of at most {MAX_RESULT_BYTES} bytes"


class ResultError(TidemillError):
    """What a process wrote is no result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of what a process wrote."""

    result: Result | None = None
    next_nodes: tuple[str, ...] | None = None
    problem: str | None = None
    """Of the process: why it is no result."""
    lost: str | None = None
    """Of S3: why it was not stored."""


NOTHING_WRITTEN = Written()
Given = dict[str, bytes | None]
"""By node: its result as JSON; None: it has none."""


class Results:
    """Used from the event loop; files and S3 are dealt with in threads."""

    def __init__(self, store: ObjectStore, bucket: str, *, keep_timeout: timedelta, fetch_timeout: timedelta) -> None:
        self._store, self._bucket = store, bucket
        self._keep_timeout, self._fetch_timeout = keep_timeout, fetch_timeout
        self._threads = Threads("results")

    async def collect(self, dispatch: Dispatch, place: Place) -> Written:
        """What others get is stored in S3, unless it is small enough to be in every dispatch."""
        is_node = dag_run_of(dispatch.run_id) != dispatch.run_id
        try:
            value = await self._threads.run(partial(_read, place.result))
            next_nodes = _next_nodes(value) if is_node else None
        except ResultError as error:
            return Written(problem=f"its result is refused: {error}")
        json = bytes(value)
        inline = value if len(json) <= MAX_INLINE_BYTES else None
        if len(json) <= (MAX_PASSED_BYTES if is_node else MAX_INLINE_BYTES):
            return Written(result=Result(bytes=len(json), value=inline), next_nodes=next_nodes)
        address = Address(bucket=self._bucket, key=result_key(dispatch.run_id, dispatch.token))
        try:
            async with asyncio.timeout(self._keep_timeout.total_seconds()):
                until = time.monotonic() + self._keep_timeout.total_seconds()
                await self._threads.run(partial(self._store.put, address, json, _TYPE), until)
        except TimeoutError:
            return not_stored(f"S3 did not take it within {self._keep_timeout}")
        except (ObjectError, UnreachableError) as error:
            return not_stored(str(error))
        digest = hashlib.sha256(json).hexdigest()
        result = Result(bytes=len(json), value=inline, uri=str(address), sha256=digest)
        return Written(result=result, next_nodes=next_nodes)

    async def fetch(self, dispatch: Dispatch) -> Given:
        """Those that the dispatch has only the address of. Raises `ObjectError` or `UnreachableError`."""
        until = time.monotonic() + self._fetch_timeout.total_seconds()
        far = {node_id: each for node_id, each in (dispatch.results or {}).items() if each and each.uri}
        work = (self._threads.run(partial(self._get, each, until), until) for each in far.values())
        async with in_time(self._fetch_timeout, "results of others"):
            found = await asyncio.gather(*work)
        return dict(zip(far, found, strict=True))

    def close(self) -> None:
        self._threads.close()

    def _get(self, result: Result, until: float) -> bytes:
        address = parse_address(result.uri or "")
        json = self._store.read(address, result.bytes, until)
        if hashlib.sha256(json).hexdigest() != result.sha256:
            raise ObjectError(f"{address} is not what was written there: its checksum is not {result.sha256}")
        return json


def not_stored(reason: str) -> Written:
    return Written(lost=f"its result was not stored: {reason}")


def is_written(exited: Exited | None, place: Place | None) -> bool:
    """Only what has succeeded hands something on."""
    if place is None or exited is None or exited.cause is not EndCause.EXITED or exited.code != 0:
        return False
    return os.path.lexists(place.result)


def is_far(dispatch: Dispatch) -> bool:
    """Whether results of others have to be fetched."""
    return any(each and each.uri for each in (dispatch.results or {}).values())


def stdin_of(dispatch: Dispatch, fetched: Given) -> bytes | None:
    """What the process reads: its payload, or that and what those have written that it depends on (docs/jobs.md)."""
    if dispatch.results is None:
        return None if dispatch.payload is None else bytes(dispatch.payload)
    near = {node_id: json_bytes(each.value) if each else None for node_id, each in dispatch.results.items()}
    return join_json(dispatch.payload, near | fetched)


def _read(path: Path) -> msgspec.Raw:
    """Whatever lies there: a pipe or a device would hold us up."""
    try:
        with open(path, "rb", opener=_as_it_is) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ResultError(f"$TIDEMILL_RESULT is no plain file; {_ALLOWED}")
            data = file.read(MAX_RESULT_BYTES + 1)
    except OSError as error:
        raise ResultError(f"$TIDEMILL_RESULT cannot be read: {error.strerror}; {_ALLOWED}") from error
    if len(data) > MAX_RESULT_BYTES:
        raise ResultError(f"$TIDEMILL_RESULT has more than {MAX_RESULT_BYTES} bytes; {_ALLOWED}")
    try:
        return read_result(data)
    except UndecodableError as error:
        raise ResultError(f"$TIDEMILL_RESULT {error}; {_ALLOWED}") from error


def _as_it_is(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _next_nodes(value: msgspec.Raw) -> tuple[str, ...] | None:
    """Whether they are children of the node, its owner knows."""
    said = members(value).get(NEXT)
    if said is None:
        return None
    try:
        named = decode(bytes(said), list[str])
    except UndecodableError as error:
        shown = bytes(said).decode()[:_SHOWN_CHARACTERS]
        raise ResultError(f"{NEXT} is {shown}; allowed is a list of ids of nodes that depend on this one") from error
    if len(encode_json(named)) > MAX_NEXT_BYTES:
        raise ResultError(f"{NEXT} has more than {MAX_NEXT_BYTES} bytes; no list of nodes needs so many")
    return tuple(dict.fromkeys(named))
