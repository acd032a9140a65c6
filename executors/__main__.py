"""`python -m executors`: claims runs, runs their processes and reports how they end."""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import sys
import traceback

import confluent_kafka
import structlog

from executors.assembly import Plan
from executors.attempt_dirs import PASSED_MODE
from executors.orphans import adopt_orphans, keep_memory_private
from executors.private_directory import UnsafeDirectoryError, make_private
from executors.sandbox.cgroups import Cgroups
from executors.sandbox.host import NoSandboxError
from executors.sandbox.launch import find_launcher
from executors.sandbox.start import find_capabilities
from executors.sandbox.users import NoUserError, Users, find_users
from executors.service import serve
from executors.settings import NOT_FOR_EXECUTORS, ExecutorSettings, parse_slots
from observe.health import Health
from observe.process import describe_process
from observe.registry import Registry
from observe.server import PortTakenError, observed
from observe.settings import ObserveSettings
from schemas.cluster import DisagreementError, check_margins
from schemas.cluster_record import settle
from schemas.confinement import Sandbox
from schemas.ids import ExecutorId
from schemas.logging import log_to_stderr
from schemas.own_name import take_name
from schemas.ready_file import without_ready_file
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.topics import EXECUTOR_TOPICS
from schemas.variables import check_variables

_REFUSALS = (InvalidSettingsError, NoSandboxError, NoUserError, UnsafeDirectoryError)
FAILED, REFUSED = 1, 2
"""Exit codes: FAILED for any error, REFUSED for a variable with an invalid value."""


def main() -> None:
    log_to_stderr()
    keep_memory_private()
    _raise_file_limit()
    # If the process supervisor is killed, this process becomes the parent of its processes and kills them.
    adopt_orphans()
    code = FAILED
    try:
        _warn_of_variables()
        code = _serve(read(ExecutorSettings), read(ObserveSettings), read(Connections))
    except (*_REFUSALS, DisagreementError, PortTakenError) as error:
        code = REFUSED if isinstance(error, _REFUSALS) else FAILED
        structlog.get_logger().error("executor failed", reason=str(error))
    except Exception as error:  # noqa: BLE001 - log it before the process exits
        structlog.get_logger().critical("executor crashed", reason=repr(error))
        traceback.print_exc()
    sys.stderr.flush()
    # Threads may still wait for Kafka or S3: do not wait for them.
    os._exit(code)


def _serve(settings: ExecutorSettings, port: ObserveSettings, connections: Connections) -> int:
    """Returns the exit code."""
    name = settings.executor_name or take_name("executor", connections.kafka_bootstrap).name
    registry, health = Registry(), Health()
    describe_process(registry, health, kind="executors", name=name)
    with without_ready_file(settings.ready_file), observed(port.observe_listen, registry, health):
        connections, cluster = settle(connections, confluent_kafka, EXECUTOR_TOPICS, with_runs=True)
        check_margins(cluster, [settings.margins(name)])
        users = _prepare_places(settings)
        launcher = find_launcher(from_memory=settings.start_from_memory)
        executor_id = ExecutorId(f"{name}.{secrets.token_hex(4)}")
        cgroups = Cgroups(executor_id)
        plan = Plan(
            connections=connections,
            settings=settings,
            cluster=cluster,
            name=name,
            executor_id=executor_id,
            per_class=parse_slots(settings.slots, connections.timeout_classes),
            registry=registry,
            health=health,
            launcher=launcher,
            capabilities=find_capabilities(settings, launcher, cgroups, users),
            cgroups=cgroups,
            users=None if isinstance(users, str) else users,
        )
        return asyncio.run(serve(plan))


def _warn_of_variables() -> None:
    log = structlog.get_logger()
    for warning in check_variables(os.environ):
        log.warning("unknown_variable", reason=warning)
    for each in filter(os.environ.get, NOT_FOR_EXECUTORS):
        log.warning("needless_variable", reason=f"executors do not use {each}: keep it from them")


def _prepare_places(settings: ExecutorSettings) -> Users | str:
    """Make the directories private, and find users for the attempts in them; or why there are none.

    Raises `UnsafeDirectoryError` or `OSError`.
    """
    make_private(settings.work_dir, PASSED_MODE, "TIDEMILL_WORK_DIR")
    make_private(settings.cache_place, PASSED_MODE, "TIDEMILL_CACHE_DIR")
    if settings.sandbox is Sandbox.NONE:
        return "attempts share the user of the executor: they have no sandbox"
    return find_users(settings.work_dir)


def _raise_file_limit() -> None:
    """Each running process needs a pipe, so raise the limit of open files to the maximum."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
