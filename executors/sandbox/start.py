"""Looks at the host when the executor starts, and says what its sandboxes give and lack."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

from executors.sandbox.cgroups import Cgroups
from executors.sandbox.host import NoSandboxError, capabilities, check_places, look
from executors.sandbox.launch import Launcher
from executors.sandbox.limits import Limits, enforceable, without_groups
from executors.sandbox.steps import Step, become
from executors.sandbox.unveil import parse_list
from executors.sandbox.users import Users
from executors.settings import ExecutorSettings
from schemas.confinement import Capabilities, Limit, Sandbox

_LOG = structlog.get_logger()


def find_capabilities(
    settings: ExecutorSettings, launcher: Launcher, cgroups: Cgroups, users: Users | str
) -> Capabilities:
    """`users` may be the reason why there are none. Raises `NoSandboxError`."""
    limits = enforceable(cgroups.limits, has_own_user=not isinstance(users, str))
    _check_defaults(default_limits(settings), limits, cgroups.lacks)
    host = look(launcher, settings.work_dir, _become_one(users))
    found = capabilities(host, settings.sandbox, parse_list(settings.unveil), limits)
    lacks = (*cgroups.lacks, *without_groups(cgroups.limits), *((users,) if isinstance(users, str) else ()))
    found = msgspec.structs.replace(found, lacks=(*found.lacks, *lacks))
    if settings.sandbox is not Sandbox.NONE:
        places = {
            "TIDEMILL_WORK_DIR": settings.work_dir,
            "TIDEMILL_CACHE_DIR": settings.cache_dir,
            "TIDEMILL_SECRETS_DIR": settings.secrets_dir,
        }
        check_places(places, found.unveil)
    _LOG.info("sandbox", default=found.default.value, gives=[each.value for each in found.sandboxes])
    if found.default is Sandbox.NONE:
        _LOG.warning(
            "no sandbox", reason="TIDEMILL_SANDBOX=none: a job can read, change and kill all that this executor can"
        )
    for each in found.lacks:
        _LOG.warning("sandbox lacks", reason=each)
    return found


def _become_one(users: Users | str) -> tuple[Step, ...]:
    if isinstance(users, str):
        return ()
    user = users.take()
    users.give_back(user)
    return become(user.id)


def default_limits(settings: ExecutorSettings) -> Limits:
    return Limits(memory=settings.memory, disk=settings.disk, cpu=settings.cpu, pids=settings.pids)


def _check_defaults(default: Limits, enforced: frozenset[Limit], lacks: Sequence[str]) -> None:
    for each in sorted(default.asked - enforced, key=lambda each: each.value):
        reason = "; ".join(lacks)
        raise NoSandboxError(f"TIDEMILL_{each.value.upper()} is set, but cannot be enforced here: {reason}")
