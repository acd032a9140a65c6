"""What objects are now: one question to S3 at a time for each, its answer shared by all who may go by it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from executors.clock import boot_seconds
from executors.s3 import Address

FRESH_SECONDS = 1.0
"""An answer is of use for so long after its question."""
MOST_HASHES = 10_000
"""Objects whose hashes are remembered: more than a cache of 2 GB usually holds, in a few megabytes."""


@dataclass(slots=True, kw_only=True)
class _Question:
    asked: float
    """CLOCK_BOOTTIME."""
    answer: asyncio.Task[str]


class Etags:
    """Used from the event loop; `ask` is called in a thread, and raises `ObjectError` or `UnreachableError`."""

    def __init__(self, ask: Callable[[Address], str], threads: Executor) -> None:
        self._ask, self._threads = ask, threads
        self._latest: dict[Address, _Question] = {}
        """By object: the question whose answer is under way, or fresh."""
        self._next: dict[Address, asyncio.Task[str]] = {}

    def known(self, address: Address, since: float) -> str | None:
        """The answer to a question that was asked at `since` or later, if it is there."""
        question = self._latest.get(address)
        if question is None or question.asked < since or not question.answer.done() or question.answer.exception():
            return None
        return question.answer.result()

    async def get(self, address: Address, since: float) -> str:
        """Raises `ObjectError` or `UnreachableError`."""
        return await asyncio.shield(self.expect(address, since))

    def expect(self, address: Address, since: float) -> asyncio.Task[str]:
        """Somebody will want to know, as of `since` or later."""
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
    """What objects were when they were fetched. The least recently used are forgotten, and fetched again."""

    def __init__(self, most: int = MOST_HASHES) -> None:
        self._most = most
        self._found: OrderedDict[Address, tuple[str, str]] = OrderedDict()
        """ETag and SHA-256, the least recently used first."""

    def remember(self, address: Address, etag: str, sha256: str) -> None:
        self._found[address] = etag, sha256
        self._found.move_to_end(address)
        if len(self._found) > self._most:
            self._found.popitem(last=False)

    def get(self, address: Address, etag: str) -> str | None:
        """The SHA-256 of the object, if it was fetched with this ETag last."""
        known, sha256 = self._found.get(address, (None, None))
        if known != etag:
            return None
        self._found.move_to_end(address)
        return sha256


def _retrieve(done: asyncio.Task[str]) -> None:
    """A question outlives those who stop waiting; what it raises is then nobody's news."""
    if not done.cancelled():
        done.exception()
