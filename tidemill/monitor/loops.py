"""Runs the loops of the monitor, each in a thread, until a stop is requested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import timedelta

import msgspec
import psycopg
import structlog
from confluent_kafka import KafkaException

from connectors.stopping import Stop
from observe.health import Health
from schemas.errors import TidemillError
from tidemill.doctor.facts import silent

STUCK = timedelta(minutes=5)
"""A loop that takes longer for a round hangs: each wait for a part has a limit of seconds."""
AWAY = (TidemillError, psycopg.Error, KafkaException, TimeoutError)
"""A part does not answer, or refuses the monitor. Any other error is a defect and ends the process."""

log = structlog.get_logger()


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    period: timedelta
    """Between the end of a round and the next one."""
    round: Callable[[], None]
    is_away: Callable[[], None]
    """Called if a round raises one of `AWAY`: show what is known then."""
    waits_first: bool = False


def run(loops: Sequence[Loop], health: Health, stop: Stop) -> None:
    """Returns after a stop. Raises the first error that is a defect."""
    with ThreadPoolExecutor(len(loops), "loop") as threads:
        futures = [threads.submit(_turn, each, health, stop) for each in loops]
        try:
            wait(futures, return_when=FIRST_COMPLETED)
        finally:
            health.leave()
            stop.request()
    for each in futures:
        each.result()


def _turn(loop: Loop, health: Health, stop: Stop) -> None:
    watched = health.loop(loop.name, loop.period + STUCK)
    said: str | None = None
    if loop.waits_first:
        stop.wait(loop.period)
    while not stop.requested:
        watched.turn()
        said = _round(loop, said)
        stop.wait(loop.period)


def _round(loop: Loop, said: str | None) -> str | None:
    """Returns why the round failed, so that the reason is logged once."""
    try:
        loop.round()
    except AWAY as error:
        loop.is_away()
        reason = silent(error).reason
        if reason != said:
            log.warning("part_away", loop=loop.name, reason=reason)
        return reason
    if said is not None:
        log.info("part_back", loop=loop.name)
    return None
