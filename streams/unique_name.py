"""Gives each worker a unique name: static members of one name evict each other (protocol O12)."""

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
"""The coordinator may remove a dead member this much later than its session timeout."""
CHECK_SECONDS = 0.25


def ensure_unique_name(own: OwnName, groups: Groups, session_timeout: timedelta) -> OwnName:
    """Wait until no member on another machine has the name: a dead one disappears after its session timeout.

    Raises `NameTakenError` if it stays. Returns another name at once if the operator did not choose the name.
    """
    deadline = time.monotonic() + (session_timeout + EXPIRY).total_seconds()
    is_logged = False
    while _is_elsewhere(own, groups):
        if not own.is_chosen:
            return msgspec.structs.replace(own, name=f"{own.name}-{secrets.token_hex(2)}")
        if time.monotonic() > deadline:
            raise NameTakenError(
                f"a stream worker on another machine runs under the same name, {own.name!r}: give each worker "
                "its own TIDEMILL_WORKER_ID, or unset it, and each gets a name"
            )
        if not is_logged:
            log.info("worker_waits", note="a member on another machine, which may be dead, has its name", name=own.name)
        is_logged = True
        time.sleep(CHECK_SECONDS)
    return own


def _is_elsewhere(own: OwnName, groups: Groups) -> bool:
    try:
        return bool(groups.stamps_of(own.name) - {own.stamp})
    except LogUnreachableError:
        return False  # the worker joins; a member that it replaces notices that and ends
