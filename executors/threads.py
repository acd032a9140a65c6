"""Runs blocking functions in threads, and retries them while S3 is unreachable."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from executors.s3 import UnreachableError

_T = TypeVar("_T")
_THREADS = 4
_RETRY_SECONDS = 0.5


def started_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """A pool whose threads run already: later, jobs may have used up the threads that the host allows.

    Raises `RuntimeError` if a thread cannot start.
    """
    pool, all_run = ThreadPoolExecutor(threads, name), threading.Barrier(threads)
    try:
        wait([pool.submit(all_run.wait) for _ in range(threads)])
    except RuntimeError:
        all_run.abort()
        pool.shutdown(wait=False)
        raise
    return pool


class Threads:
    """Used from the event loop."""

    def __init__(self, name: str) -> None:
        self._pool = started_pool(_THREADS, name)

    async def run(self, function: Callable[[], _T], until: float = 0.0) -> _T:
        """Run `function` in a thread; retry it after `UnreachableError` until the time `until` (`time.monotonic`)."""
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._pool, function)
            except UnreachableError:
                if time.monotonic() + _RETRY_SECONDS > until:
                    raise
            await asyncio.sleep(_RETRY_SECONDS)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def in_time(limit: timedelta, what: str) -> AsyncIterator[None]:
    """Raises `UnreachableError` after the limit. It does not stop a running thread: that has its own time limit."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except TimeoutError as error:
        raise UnreachableError(f"{what} did not arrive within {limit}") from error
