"""`python -m streams` runs one stream worker."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from contextlib import suppress
from tempfile import TemporaryDirectory

import confluent_kafka
import structlog

from observe.health import Health
from observe.leave import leave
from observe.process import describe_process
from observe.registry import Registry
from observe.server import observed
from observe.settings import ObserveSettings
from schemas.cluster_record import settle
from schemas.errors import TidemillError
from schemas.logging import log_to_stderr
from schemas.own_name import OwnName, take_name
from schemas.ready_file import without_ready_file
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.topics import STREAM_TOPICS
from schemas.variables import check_variables
from streams.app import TURN_SECONDS, Delivery, make_app
from streams.core.settings import CoreSettings
from streams.groups import Groups
from streams.metrics import EVENT_LOOP_LIMIT, StreamMetrics
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


class _Ending:
    """The end of the worker: a signal, the watchdog or a broken thread begins it. Made in the event loop."""

    def __init__(self, health: Health) -> None:
        self.outcome = STOPPED
        self._health, self._loop, self._begun = health, asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.begin)

    def begin(self) -> None:
        """Not ready from now on: before the handover, so that nothing waits for this worker."""
        self._health.leave()
        self._begun.set()

    def fail(self) -> None:
        """Any thread may call it."""
        self.outcome = FAILED
        self._loop.call_soon_threadsafe(self.begin)

    async def turn_until_begun(self) -> None:
        """Show that the event loop turns, in which Faust runs."""
        turning = self._health.loop("faust", EVENT_LOOP_LIMIT)
        while not self._begun.is_set():
            turning.turn()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._begun.wait(), TURN_SECONDS)
        self._health.end(turning)


async def serve(
    connections: Connections,
    settings: StreamSettings,
    core_settings: CoreSettings,
    own: OwnName,
    folder: str,
    metrics: StreamMetrics,
) -> int:
    """Run until a signal arrives, Faust crashes or the watchdog stops the worker. Returns the exit code."""
    ending = _Ending(metrics.health)
    delivery = Delivery(connections)
    worker = Worker(connections, settings, core_settings, own.name, delivery.committed, ending.fail, metrics)
    app = make_app(connections, settings, own, worker, delivery, folder)
    ended = threading.Event()
    arguments = (connections, settings.stall_limit, worker, ending.fail, metrics.health, ended)
    threading.Thread(target=watch, args=arguments, name="watchdog", daemon=True).start()
    worker.start()
    await app.start()
    crashed = asyncio.ensure_future(app.wait_until_stopped())
    turning = asyncio.ensure_future(ending.turn_until_begun())
    await asyncio.wait({turning, crashed}, return_when=asyncio.FIRST_COMPLETED)
    ending.begin()
    await turning
    log.info("worker_stops", crashed=app.crashed)
    ended.set()
    if not app.crashed and ending.outcome is STOPPED:
        worker.start_handover()
        await app.stop()  # this worker leaves the group, so that the others take over
        await asyncio.to_thread(worker.wait_for_handover)
    worker.stop()
    await app.stop()
    return FAILED if app.crashed else ending.outcome


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
        settings, listen = read(StreamSettings), read(ObserveSettings).observe_listen
        folders, registry, health = TemporaryDirectory(prefix="tidemill-faust-"), Registry(), Health()
        metrics = StreamMetrics(registry, health, has_readers=listen is not None)
        with without_ready_file(settings.ready_file), folders as folder, observed(listen, registry, health):
            connections, cluster = settle(read(Connections), confluent_kafka, STREAM_TOPICS, with_runs=True)
            core_settings, own = settings.core(cluster), take_unique_name(connections, settings)
            describe_process(registry, health, kind="streams", name=own.name)
            gc.freeze()  # imported objects stay for ever, and a collection that visits them stops every thread
            return asyncio.run(serve(connections, settings, core_settings, own, folder, metrics))
    except TidemillError as error:
        log.error("worker_failed", error=str(error))  # noqa: TRY400 - the message explains it, a traceback does not
        return REFUSED if isinstance(error, InvalidSettingsError) else FAILED


if __name__ == "__main__":
    leave(main())
