"""Attempts below a real process supervisor, each with the confinement that a function gives."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any

from executors.clock import boot_seconds
from executors.deadlines import ProcessTerms
from executors.sandbox.confined import Confined
from executors.supervisor_link import Exited, Spawned, Spec, SupervisorLink

WAIT_SECONDS = 20.0
TERMS = {"limit": 60.0, "grace": 5.0, "lease": 60.0, "margin": 5.0}


@dataclass
class Done:
    exited: Exited
    output: str

    @property
    def code(self):
        return self.exited.code


class Supervised:
    """Make it in an event loop."""

    def __init__(self, launcher):
        self.notices: list[Any] = []
        self._news = asyncio.Event()
        self._count = 0
        self.link = SupervisorLink(on_notice=self._hear, on_death=self._news.set, launcher=launcher)

    def _hear(self, notice):
        self.notices.append(notice)
        self._news.set()

    def next_number(self):
        self._count += 1
        return self._count

    def start(self, number, argv, cwd, confined=None, *, stdin=None, env=(), **terms):
        """Returns the read end of its output."""
        by = confined or Confined()
        spec = Spec(
            argv=(*by.prefix, *argv),
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **dict(env)},
            cwd=cwd,
            steps=by.steps,
            fds=by.fds,
            inner=by.inner,
        )
        rest = {"start_before": boot_seconds() + 60}
        fd = self.link.spawn(number, spec, ProcessTerms(**{**TERMS, **rest, **terms}), boot_seconds(), stdin)
        os.set_blocking(fd, True)
        return open(fd, "rb")  # noqa: PTH123 - a pipe

    async def notice(self, number, kind):
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                for each in self.notices:
                    if isinstance(each, kind) and each.number == number:
                        return each
                self._news.clear()
                await self._news.wait()

    async def spawned(self, number):
        return await self.notice(number, Spawned)

    async def end_of(self, number, pipe):
        exited = await self.notice(number, Exited)
        with pipe:
            return Done(exited, pipe.read().decode())

    def close(self):
        self.link.close()
