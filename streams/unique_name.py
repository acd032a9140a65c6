"""Two machines must not run a worker of one name: as static members they throw each other out (protocol O12)."""

from __future__ import annotations

import secrets
import time
from datetime import timedelta

import msgspec
import structlog

from schemas.own_name import NameTakenError, OwnName
from streams.groups import Groups, LogUnreachableError

log = structlog.get_logger()

EXPIRY = timedelta(seconds=3)
"""So much later than a session timeout may the coordinator notice that a member is gone."""
LOOK_AGAIN_SECONDS = 0.25


def ensure_unique_name(own: OwnName, groups: Groups, session_timeout: timedelta) -> OwnName:
    """Of this machine one process alone has the name; a member of another machine may be dead, and is then gone within
    its session timeout. Raises `NameTakenError` if it stays; a name that nobody chose is then another one.
    """
    deadline = time.monotonic() + (session_timeout + EXPIRY).total_seconds()
    is_said = False
    while _is_elsewhere(own, groups):
        if not own.is_chosen:
            return msgspec.structs.replace(own, name=f"{own.name}-{secrets.token_hex(2)}")
        if time.monotonic() > deadline:
            raise NameTakenError(
                f"a stream worker of another machine is at work under the name {own.name!r} of this one: give each "
                "worker a TIDEMILL_WORKER_ID of its own, or unset it, and each gets one"
            )
        if not is_said:
            log.info("worker_waits", note="its name is a member's on another machine, which may be dead", name=own.name)
        is_said = True
        time.sleep(LOOK_AGAIN_SECONDS)
    return own


def _is_elsewhere(own: OwnName, groups: Groups) -> bool:
    try:
        return bool(groups.stamps_of(own.name) - {own.stamp})
    except LogUnreachableError:
        return False  # it joins, as ever; who is replaced then sees it
