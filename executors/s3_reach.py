"""Says whether S3 answers this executor, and whether the runs that need it have another executor to go to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from executors.judge import Judge

_AGAIN_SECONDS = 0.5
"""One lost request is no illness."""
_ASK_OTHERS_SECONDS = 5.0


class S3Reach:
    """Used from the event loop; any thread may read `reason` and `has_elsewhere`."""

    def __init__(self, probe: Callable[[], str | None], others_are_well: Callable[[], bool]) -> None:
        """Both may block; each has a thread of its own, so that a slow Kafka does not look like a slow S3."""
        self.has_elsewhere = False
        """Runs that need S3 have another executor to go to. Without one, programs in the cache still run here."""
        self._probe, self._others_are_well = probe, others_are_well
        self._judge = Judge("S3", self._look)
        self._is_changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "ask others")

    @property
    def reason(self) -> str | None:
        """Why S3 is out of reach; None: it is not, as far as the last request tells."""
        return self._judge.reason

    def doubt(self) -> None:
        """A request failed: look at once."""
        self._judge.doubt()

    async def run(self, on_change: Callable[[], None]) -> None:
        """Look each second, and call `on_change` after each change of `reason`."""

        def changed() -> None:
            self._is_changed.set()
            on_change()

        await asyncio.gather(self._judge.run(changed), self._ask_others())

    def close(self) -> None:
        self._judge.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> str | None:
        if self._probe() is None:
            return None
        time.sleep(_AGAIN_SECONDS)
        return self._probe()

    async def _ask_others(self) -> None:
        """Ask every few seconds while S3 is out of reach."""
        while True:
            self._is_changed.clear()
            if self.reason is None:
                self.has_elsewhere = False
                await self._is_changed.wait()
            else:
                loop = asyncio.get_running_loop()
                self.has_elsewhere = await loop.run_in_executor(self._thread, self._others_are_well)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._is_changed.wait(), _ASK_OTHERS_SECONDS)
