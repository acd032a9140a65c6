"""`python -m streams` runs one stream worker."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from tempfile import TemporaryDirectory

import confluent_kafka
import structlog

from schemas.cluster_record import settle
from schemas.errors import TidemillError
from schemas.logging import log_to_stderr
from schemas.own_name import OwnName, take_name
from schemas.ready_file import without_ready_file
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.topics import STREAM_TOPICS
from schemas.variables import check_variables
from streams.app import Delivery, make_app
from streams.core.settings import CoreSettings
from streams.groups import Groups
from streams.no_new_topics import forbid_new_topics
from streams.settings import StreamSettings
from streams.unique_name import ensure_unique_name
from streams.watchdog import watch
from streams.worker import Worker

log = structlog.get_logger()

STOPPED, FAILED, REFUSED = 0, 1, 2
"""The exit codes. `REFUSED`: a variable has an invalid value."""
SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter. A transaction needs it several times: with the default of 5 ms, due runs
wait each time for seven busy partition threads."""


async def serve(
    connections: Connections, settings: StreamSettings, core_settings: CoreSettings, own: OwnName, folder: str
) -> int:
    """Run until a signal arrives, Faust crashes or the watchdog stops the worker. Returns the exit code."""
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    outcome = STOPPED

    def stop_as_failed() -> None:
        nonlocal outcome
        outcome = FAILED
        loop.call_soon_threadsafe(ending.set)

    delivery = Delivery(connections)
    worker = Worker(connections, settings, core_settings, own.name, delivery.committed, stop_as_failed)
    app = make_app(connections, settings, own, worker, delivery, folder)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    ended = threading.Event()
    arguments = (connections, settings.stall_limit, worker.applied, worker.recovering, stop_as_failed, ended)
    threading.Thread(target=watch, args=arguments, name="watchdog", daemon=True).start()
    worker.start()
    await app.start()
    crashed = asyncio.ensure_future(app.wait_until_stopped())
    await asyncio.wait({asyncio.ensure_future(ending.wait()), crashed}, return_when=asyncio.FIRST_COMPLETED)
    log.info("worker_stops", crashed=app.crashed)
    ended.set()
    if not app.crashed and outcome is STOPPED:
        worker.start_handover()
        await app.stop()  # this worker leaves the group, so that the others take over
        await asyncio.to_thread(worker.wait_for_handover)
    worker.stop()
    await app.stop()
    return FAILED if app.crashed else outcome


def take_unique_name(connections: Connections, settings: StreamSettings) -> OwnName:
    """Raises `NameTakenError`."""
    place = f"{connections.kafka_bootstrap} {settings.stream_group}"
    own = take_name("stream worker", place, settings.worker_id)
    return ensure_unique_name(own, Groups(connections, settings.stream_group, own.name), settings.session_timeout)


def main() -> int:
    log_to_stderr()
    sys.setswitchinterval(SWITCH_SECONDS)
    forbid_new_topics()
    try:
        for warning in check_variables(os.environ):
            log.warning("unknown_variable", reason=warning)
        settings = read(StreamSettings)
        folders = TemporaryDirectory(prefix="tidemill-faust-")
        with without_ready_file(settings.ready_file), folders as folder:
            connections, cluster = settle(read(Connections), confluent_kafka, STREAM_TOPICS, with_runs=True)
            core_settings, own = settings.core(cluster), take_unique_name(connections, settings)
            gc.freeze()  # imported objects stay for ever, and a collection that visits them stops every thread
            return asyncio.run(serve(connections, settings, core_settings, own, folder))
    except TidemillError as error:
        log.error("worker_failed", error=str(error))  # noqa: TRY400 - the message explains it, a traceback does not
        return REFUSED if isinstance(error, InvalidSettingsError) else FAILED


if __name__ == "__main__":
    sys.exit(main())
