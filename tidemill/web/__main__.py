"""Serves the web page: `python -m tidemill.web`."""

from __future__ import annotations

import os
import socket
import sys

import structlog
import uvicorn

from observe.health import Health
from observe.process import describe_process
from observe.registry import Registry
from observe.server import observed
from observe.settings import ObserveSettings
from schemas.logging import log_to_stderr
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.variables import check_variables
from tidemill.monitor.settings import MonitorSettings
from tidemill.web.app import application
from tidemill.web.backend import Backend
from tidemill.web.background import Background
from tidemill.web.parts import tasks
from tidemill.web.settings import WebSettings, address_of, door_of

REFUSED = 2
"""The exit code for a variable with an invalid value."""
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
    with observed(observe.observe_listen, registry, health):
        health.ready()
        log.info("web_listens", address=f"http://{settings.web_listen}/")
        uvicorn.run(
            application(Backend(target, settings.web_connections, background), door, registry, settings.web_grafana),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
