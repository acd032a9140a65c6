"""Repeats a look at something that may be broken in a thread, and keeps the last verdict for the claimers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

_LOG = structlog.get_logger()
_PERIOD_SECONDS = 1.0
_PATIENCE_SECONDS = 5.0
"""A look that takes longer waits for a disk or a network file system that hangs."""


class Judge:
    """Used from the event loop; any thread may read `reason`."""

    def __init__(self, what: str, look: Callable[[], str | None]) -> None:
        """`look` returns why `what` does not work; it may block."""
        self.reason: str | None = None
        """Why `what` does not work, as of the last look; None: it works."""
        self._what, self._look = what, look
        self._is_doubted = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, f"judge {what}")

    def doubt(self) -> None:
        """Something failed: look at once."""
        self._is_doubted.set()

    async def run(self, on_change: Callable[[], None]) -> None:
        """Look each second, and call `on_change` after each change of `reason`."""
        while True:
            self._is_doubted.clear()
            look = asyncio.get_running_loop().run_in_executor(self._thread, self._look)
            done, _ = await asyncio.wait({look}, timeout=_PATIENCE_SECONDS)
            if not done:
                self._note(f"{self._what} has not answered for {_PATIENCE_SECONDS:.0f} s", on_change)
            self._note(await look, on_change)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_doubted.wait(), _PERIOD_SECONDS)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _note(self, reason: str | None, on_change: Callable[[], None]) -> None:
        if reason == self.reason:
            return
        if reason is None:
            _LOG.info("well again", what=self._what)
        elif self.reason is None:
            _LOG.error("ill", reason=reason)
        self.reason = reason
        on_change()
