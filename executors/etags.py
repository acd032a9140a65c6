"""Asks S3 for the current ETags of objects: one request at a time for each object, its answer shared by all callers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from executors.clock import boot_seconds
from executors.s3 import Address

FRESH_SECONDS = 1.0
"""Forget an answer this long after it arrived."""
MOST_HASHES = 10_000
"""Remember so many hashes: more than a cache of 2 GB usually holds, in a few megabytes."""


@dataclass(slots=True, kw_only=True)
class _Question:
    asked: float
    """CLOCK_BOOTTIME."""
    answer: asyncio.Task[str]


class Etags:
    """Used from the event loop; a thread calls `ask`, which raises `ObjectError` or `UnreachableError`."""

    def __init__(self, ask: Callable[[Address], str], threads: Executor) -> None:
        self._ask, self._threads = ask, threads
        self._latest: dict[Address, _Question] = {}
        """By object: the latest question, in flight or answered less than `FRESH_SECONDS` ago."""
        self._next: dict[Address, asyncio.Task[str]] = {}
        """By object: the task that asks once the latest question is answered."""

    def known(self, address: Address, since: float) -> str | None:
        """The answer to a question that was asked at `since` or later, if it has arrived."""
        question = self._latest.get(address)
        if question is None or question.asked < since or not question.answer.done() or question.answer.exception():
            return None
        return question.answer.result()

    async def get(self, address: Address, since: float) -> str:
        """Raises `ObjectError` or `UnreachableError`."""
        return await asyncio.shield(self.expect(address, since))

    def expect(self, address: Address, since: float) -> asyncio.Task[str]:
        """Start to ask, unless a question was asked at `since` or later; returns the task with the answer."""
        question = self._latest.get(address)
        if question and question.asked >= since:
            return question.answer
        waiting = self._next.get(address)
        if waiting is None:
            waiting = self._next[address] = asyncio.create_task(self._ask_next(address, question))
            waiting.add_done_callback(_retrieve)
        return waiting

    async def _ask_next(self, address: Address, before: _Question | None) -> str:
        if before:
            await asyncio.wait([before.answer])
        question = _Question(asked=boot_seconds(), answer=self._next.pop(address))
        self._latest[address] = question
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._ask, address)
        finally:
            loop.call_later(FRESH_SECONDS, self._forget, address, question)

    def _forget(self, address: Address, question: _Question) -> None:
        if self._latest.get(address) is question:
            del self._latest[address]


class Hashes:
    """The ETags and hashes of fetched objects; forgets the least recently used, which are then fetched again."""

    def __init__(self, limit: int = MOST_HASHES) -> None:
        self._limit = limit
        self._found: OrderedDict[Address, tuple[str, str]] = OrderedDict()
        """(ETag, SHA-256), least recently used first."""

    def remember(self, address: Address, etag: str, sha256: str) -> None:
        self._found[address] = etag, sha256
        self._found.move_to_end(address)
        if len(self._found) > self._limit:
            self._found.popitem(last=False)

    def get(self, address: Address, etag: str) -> str | None:
        """The object's SHA-256 if its last fetch saw this ETag."""
        known, sha256 = self._found.get(address, (None, None))
        if known != etag:
            return None
        self._found.move_to_end(address)
        return sha256


def _retrieve(done: asyncio.Task[str]) -> None:
    """Mark the exception as retrieved: all callers may have stopped waiting, and asyncio would log it then."""
    if not done.cancelled():
        done.exception()
