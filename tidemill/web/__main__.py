"""Serves the web page: `python -m tidemill.web`."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import structlog
import uvicorn
from starlette.applications import Starlette

from observe.health import Health
from observe.leave import leave
from observe.process import describe_process
from observe.registry import Registry
from observe.server import PortTakenError, observed
from observe.settings import ObserveSettings
from schemas.logging import log_to_stderr
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.variables import check_variables
from tidemill.monitor.settings import MonitorSettings
from tidemill.web.app import application
from tidemill.web.backend import Backend
from tidemill.web.background import Background
from tidemill.web.parts import tasks
from tidemill.web.server import Server
from tidemill.web.settings import WebSettings, address_of, door_of

FAILED, REFUSED = 1, 2
"""Exit codes: FAILED if it cannot start, REFUSED for a variable with an invalid value."""
STOP_SECONDS = 3
"""Streams of events never end by themselves: they are cut off after this time."""

log = structlog.get_logger()


def main() -> int:
    log_to_stderr()
    try:
        for warning in check_variables(os.environ):
            log.warning("unknown_variable", reason=warning)
        settings, target, observe = read(WebSettings), read(Connections), read(ObserveSettings)
        background = Background(tasks(target, read(MonitorSettings)))
        (host, port), door = address_of(settings), door_of(settings)
    except InvalidSettingsError as error:
        log.error("web_failed", error=str(error))  # noqa: TRY400 - the sentence is enough
        return REFUSED
    registry, health = Registry(), Health()
    describe_process(registry, health, kind="web", name=socket.gethostname())
    try:
        with observed(observe.observe_listen, registry, health), suppress(KeyboardInterrupt):
            app = application(
                Backend(target, settings.web_connections, background), door, registry, settings.web_grafana
            )
            log.info("web_listens", address=f"http://{settings.web_listen}/")
            server = server_of(app, host, port, health)
            server.run()
            return 0 if server.started else FAILED
    except PortTakenError as error:
        log.error("web_failed", error=str(error))  # noqa: TRY400 - the sentence is enough
        return FAILED
    return 0


def server_of(app: Starlette, host: str, port: int, health: Health) -> Server:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return Server(config, health)


if __name__ == "__main__":
    leave(main())
