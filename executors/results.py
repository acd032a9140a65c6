"""Results: reads `$TIDEMILL_RESULT`, stores large results in S3, and fetches the results that a node depends on."""

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

from executors.attempt_dirs import AttemptDir
from executors.s3 import Address, ObjectError, ObjectStore, UnreachableError, parse_address
from executors.secrets.json_masking import mask_json
from executors.secrets.masking import Masker
from executors.supervisor_link import Exited, memory_file
from executors.threads import Threads, in_time
from schemas.codec import decode, join_json, member, read_result
from schemas.dispatch import Dispatch
from schemas.errors import TidemillError, UndecodableError
from schemas.event import EndCause
from schemas.ids import dag_run_of
from schemas.raw import json_bytes, size_of
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
_LARGE_AT_ONCE = 2
"""Each large result takes up to three times `MAX_RESULT_BYTES` of memory, from its reading until S3 has it."""
_LARGE_STDIN_BYTES = 256 * 1024
"""More takes a millisecond, and at most 64 MB for each node that it depends on."""
_ALLOWED = f"allowed is one JSON value of at most {MAX_RESULT_BYTES} bytes"


class ResultError(TidemillError):
    """`$TIDEMILL_RESULT` does not contain a valid result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultOutcome:
    """A process's result, or why there is none."""

    result: Result | None = None
    next_nodes: tuple[str, ...] | None = None
    problem: str | None = None
    """Why the file is not a valid result: the job's fault."""
    lost: str | None = None
    """Why S3 did not store the result; a later attempt may succeed."""
    refused: str | None = None
    """Why S3 will never store it; what it could not store is missing in `result`."""


NO_RESULT = ResultOutcome()
FetchedResults = dict[str, bytes | None]
"""By node: its result as JSON, or None if it has none."""


class Results:
    """Used from the event loop; threads access files and S3."""

    def __init__(self, store: ObjectStore, bucket: str, *, keep_timeout: timedelta, fetch_timeout: timedelta) -> None:
        self._store, self._bucket = store, bucket
        self._keep_timeout, self._fetch_timeout = keep_timeout, fetch_timeout
        self._threads = Threads("results")
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def collect(self, dispatch: Dispatch, directory: AttemptDir, masker: Masker | None = None) -> ResultOutcome:
        """Read the result. Store it in S3 if it is too large for the records that carry it."""
        try:
            async with asyncio.timeout(self._keep_timeout.total_seconds()):
                until = time.monotonic() + self._keep_timeout.total_seconds()
                if _is_small(directory.result):
                    return await self._collect(dispatch, directory, masker, until)
                async with self._large:
                    return await self._collect(dispatch, directory, masker, until)
        except TimeoutError:
            return result_not_stored(f"S3 did not take it within {self._keep_timeout}")

    async def _collect(
        self, dispatch: Dispatch, directory: AttemptDir, masker: Masker | None, until: float
    ) -> ResultOutcome:
        is_node = dag_run_of(dispatch.run_id) != dispatch.run_id
        try:
            json, next_nodes = await self._threads.run(partial(_read, directory, masker, is_node))
        except ResultError as error:
            return ResultOutcome(problem=f"its result is refused: {error}")
        inline = msgspec.Raw(json) if len(json) <= MAX_INLINE_BYTES else None
        result = Result(bytes=len(json), value=inline)
        if len(json) > (MAX_PASSED_BYTES if is_node else MAX_INLINE_BYTES):
            address = Address(bucket=self._bucket, key=result_key(dispatch.run_id, dispatch.token))
            try:
                digest = await self._threads.run(partial(self._put, address, json), until)
            except ObjectError as error:
                return result_refused(result, next_nodes, str(error))
            except UnreachableError as error:
                return result_not_stored(str(error))
            result = Result(bytes=len(json), value=inline, uri=str(address), sha256=digest)
        return ResultOutcome(result=result, next_nodes=next_nodes)

    def _put(self, address: Address, json: bytes) -> str:
        """Returns the checksum."""
        self._store.put(address, json, _TYPE)
        return hashlib.sha256(json).hexdigest()

    async def fetch(self, dispatch: Dispatch) -> FetchedResults:
        """Fetch the results of which the dispatch has only the URI. Raises `ObjectError` or `UnreachableError`."""
        until = time.monotonic() + self._fetch_timeout.total_seconds()
        stored = {node_id: each for node_id, each in (dispatch.results or {}).items() if each and each.uri}
        work = (self._threads.run(partial(self._get, each, until), until) for each in stored.values())
        async with in_time(self._fetch_timeout, "results of others"):
            found = await asyncio.gather(*work)
        return dict(zip(stored, found, strict=True))

    async def stdin_file(self, dispatch: Dispatch) -> int:
        """A file in memory with what the process reads; the caller closes it. Raises `OSError`, and as `fetch` does."""
        fetched = await self.fetch(dispatch)
        return await self._threads.run(partial(_stdin_file, dispatch, fetched))

    def close(self) -> None:
        self._threads.close()

    def _get(self, result: Result, until: float) -> bytes:
        address = parse_address(result.uri or "")
        json = self._store.read(address, result.bytes, until)
        if hashlib.sha256(json).hexdigest() != result.sha256:
            raise ObjectError(f"{address} has another content than was written: its checksum is not {result.sha256}")
        return json


def result_not_stored(reason: str) -> ResultOutcome:
    return ResultOutcome(lost=f"its result was not stored: {reason}")


def result_refused(result: Result, next_nodes: tuple[str, ...] | None, reason: str) -> ResultOutcome:
    return ResultOutcome(result=result, next_nodes=next_nodes, refused=f"its result is not kept: {reason}")


def has_result(exited: Exited | None, directory: AttemptDir | None) -> bool:
    """Whether the process succeeded and left a result file."""
    if directory is None or exited is None or exited.cause is not EndCause.EXITED or exited.code != 0:
        return False
    return os.path.lexists(directory.result)


def needs_fetch(dispatch: Dispatch) -> bool:
    """Whether S3 holds results that the process gets."""
    return any(each and each.uri for each in (dispatch.results or {}).values())


def needs_stdin_file(dispatch: Dispatch) -> bool:
    """Whether the event loop must not write what the process reads: it is not at hand, or large."""
    size = sum(each.bytes for each in (dispatch.results or {}).values() if each)
    size += 0 if dispatch.payload is None else size_of(dispatch.payload)
    return size > _LARGE_STDIN_BYTES or needs_fetch(dispatch)


def stdin_of(dispatch: Dispatch, fetched: FetchedResults) -> bytes | None:
    """What the process reads: its payload, for a node with the results that it depends on (docs/jobs.md)."""
    if dispatch.results is None:
        return None if dispatch.payload is None else bytes(dispatch.payload)
    inline = {node_id: json_bytes(each.value) if each else None for node_id, each in dispatch.results.items()}
    return join_json(dispatch.payload, inline | fetched)


def _stdin_file(dispatch: Dispatch, fetched: FetchedResults) -> int:
    return memory_file("stdin", stdin_of(dispatch, fetched) or b"")


def _is_small(path: Path) -> bool:
    """A file that grows after this is read up to the limit, one of `_THREADS` at a time."""
    try:
        return path.lstat().st_size <= MAX_INLINE_BYTES
    except OSError:
        return True  # reading it says what is wrong


def _read(
    directory: AttemptDir,
    masker: Masker | None,
    is_node: bool,  # noqa: FBT001 - `run` passes no names
) -> tuple[bytes, tuple[str, ...] | None]:
    """The JSON without secrets, and the dependent nodes that it chooses. Runs in a thread."""
    value = _read_file(directory.result, directory.owner)
    value = mask_json(masker, value) if masker else value
    return bytes(value), _next_nodes(value) if is_node else None


def _read_file(path: Path, owner: int) -> msgspec.Raw:
    """Reads only a plain file: a pipe or a device would block the thread.

    A file of another user may be one that the job has linked and must not read.
    """
    try:
        with open(path, "rb", opener=_open_no_link) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ResultError(f"$TIDEMILL_RESULT is not a plain file; {_ALLOWED}")
            if found.st_uid != owner:
                raise ResultError(f"$TIDEMILL_RESULT belongs to another user; {_ALLOWED}")
            data = file.read(MAX_RESULT_BYTES + 1)
    except OSError as error:
        raise ResultError(f"$TIDEMILL_RESULT cannot be read: {error.strerror}; {_ALLOWED}") from error
    if len(data) > MAX_RESULT_BYTES:
        raise ResultError(f"$TIDEMILL_RESULT has more than {MAX_RESULT_BYTES} bytes; {_ALLOWED}")
    try:
        return read_result(data)
    except UndecodableError as error:
        raise ResultError(f"$TIDEMILL_RESULT {error}; {_ALLOWED}") from error


def _open_no_link(path: str, flags: int) -> int:
    """Neither the file nor its directory may be a link: the job may have put one to what only the executor may read."""
    parent, _, name = path.rpartition("/")
    directory = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        return os.open(name, flags | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=directory)
    finally:
        os.close(directory)


def _next_nodes(value: msgspec.Raw) -> tuple[str, ...] | None:
    """The node ids in `tidemill_next`; the owner checks whether they depend on this node."""
    found = member(value, NEXT)
    if found is None:
        return None
    if size_of(found) > MAX_NEXT_BYTES:
        raise ResultError(f"{NEXT} has more than {MAX_NEXT_BYTES} bytes; name each node once, by its id")
    try:
        node_ids = decode(bytes(found), list[str])
    except UndecodableError as error:
        shown = bytes(found).decode()[:_SHOWN_CHARACTERS]
        raise ResultError(f"{NEXT} is {shown}; allowed is a list of ids of nodes that depend on this one") from error
    return tuple(dict.fromkeys(node_ids))
