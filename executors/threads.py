"""What blocks runs in threads of its own; S3 is asked again as long as that may help."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar

from executors.s3 import UnreachableError

_T = TypeVar("_T")
_THREADS = 4
_PAUSE_SECONDS = 0.5


class Threads:
    """Used from the event loop."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, name)

    async def run(self, function: Callable[[], _T], until: float = 0.0) -> _T:
        """What `function` returns or raises; `UnreachableError` only after `until` (`time.monotonic`)."""
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._pool, function)
            except UnreachableError:
                if time.monotonic() + _PAUSE_SECONDS > until:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def in_time(limit: timedelta, what: str) -> AsyncIterator[None]:
    """Raises `UnreachableError` once the limit is over; a thread that is at work then ends by a limit of its own."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except TimeoutError as error:
        raise UnreachableError(f"{what} did not come within {limit}") from error
