"""Looks at the host when the executor starts, and says what its sandboxes give and lack."""

from __future__ import annotations

import structlog

from executors.sandbox.host import capabilities, check_places, look
from executors.sandbox.launch import Launcher
from executors.sandbox.unveil import parse_list
from executors.settings import ExecutorSettings
from schemas.confinement import Capabilities, Sandbox

_LOG = structlog.get_logger()


def find_capabilities(settings: ExecutorSettings, launcher: Launcher) -> Capabilities:
    """Raises `NoSandboxError`."""
    found = capabilities(look(launcher), settings.sandbox, parse_list(settings.unveil))
    if settings.sandbox is not Sandbox.NONE:
        places = {
            "TIDEMILL_WORK_DIR": settings.work_dir,
            "TIDEMILL_CACHE_DIR": settings.cache_dir,
            "TIDEMILL_SECRETS_DIR": settings.secrets_dir,
        }
        check_places(places)
    _LOG.info("sandbox", default=found.default.value, gives=[each.value for each in found.sandboxes])
    if found.default is Sandbox.NONE:
        _LOG.warning(
            "no sandbox", reason="TIDEMILL_SANDBOX=none: a job can read, change and kill all that this executor can"
        )
    for each in found.lacks:
        _LOG.warning("sandbox lacks", reason=each)
    return found
