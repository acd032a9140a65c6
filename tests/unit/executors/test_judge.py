"""A judge keeps the last verdict, says each change once, and does not wait for a look that hangs."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from executors import judge as module
from executors.judge import Judge

SOON_SECONDS = 10.0


def judged(look, story):
    """Run a judge beside `story(judge, changes)`; `changes.get()` waits for the next change of the reason."""

    async def body():
        judge, changes = Judge("the disk", look), asyncio.Queue()
        task = asyncio.create_task(judge.run(lambda: changes.put_nowait(judge.reason)))
        try:
            async with asyncio.timeout(SOON_SECONDS):
                await story(judge, changes)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            judge.close()
        assert changes.empty()

    asyncio.run(body())


def test_each_change_is_said_once_and_a_doubt_asks_at_once():
    found = iter(["full", "full", None])

    async def story(judge, changes):
        assert await changes.get() == "full"
        judge.doubt()
        assert await changes.get() is None

    judged(lambda: next(found, None), story)


def test_a_look_that_hangs_is_a_reason_until_it_returns(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    returns = threading.Event()

    def look():
        returns.wait()

    async def story(_, changes):
        assert "the disk has not answered" in await changes.get()
        returns.set()
        assert await changes.get() is None

    judged(look, story)
