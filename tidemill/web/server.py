"""The server of the web page, which tells the health of its process."""

from __future__ import annotations

from datetime import timedelta
from socket import socket

import uvicorn

from observe.health import Health, Loop

LIMIT = timedelta(seconds=30)
"""Its loop turns ten times a second, because threads of their own make the pages."""


class Server(uvicorn.Server):
    """Ready from its first turn, which follows the opening of its port, until it begins to stop."""

    def __init__(self, config: uvicorn.Config, health: Health) -> None:
        super().__init__(config)
        self._health = health
        self._loop: Loop | None = None

    async def on_tick(self, counter: int) -> bool:
        if self._loop is None:
            self._loop = self._health.loop("web", LIMIT)
            self._health.ready()
        self._loop.turn()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        self._health.leave()
        await super().shutdown(sockets)
