"""Judges a deployment from outside its stream workers and executors: `python -m tidemill.monitor`."""

from __future__ import annotations

import os
from datetime import timedelta

import structlog

from connectors.stopping import leave_when_requested, stop_on_signals
from observe.health import Health
from observe.leave import leave
from observe.process import describe_process
from observe.registry import Registry
from observe.server import PortTakenError, observed
from observe.settings import ObserveSettings
from schemas.logging import log_to_stderr
from schemas.own_name import take_name
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.variables import check_variables
from tidemill.monitor import fleet, judge, parts, readers
from tidemill.monitor.canary import Canary
from tidemill.monitor.deployment import Deployment
from tidemill.monitor.loops import Loop, run
from tidemill.monitor.settings import MonitorSettings
from tidemill.monitor.shown import Shown

FAILED, REFUSED = 1, 2

log = structlog.get_logger()


def main() -> int:
    log_to_stderr()
    registry, health = Registry(), Health()
    try:
        for warning in check_variables(os.environ):
            log.warning("unknown_variable", reason=warning)
        connections, settings = read(Connections), read(MonitorSettings)
        describe_process(registry, health, kind="monitor", name=take_name("monitor", connections.kafka_bootstrap).name)
        with observed(read(ObserveSettings).observe_listen, registry, health):
            stop = stop_on_signals()
            leave_when_requested(stop, health)
            made = loops(connections, settings, registry, health)
            run(made, health, stop)
            # To destroy a client that still waits for an answer can end the process (docs/facts.md).
            os._exit(0)
    except (InvalidSettingsError, PortTakenError) as error:
        log.error("monitor_failed", error=str(error))  # noqa: TRY400 - the sentence is enough
        return REFUSED if isinstance(error, InvalidSettingsError) else FAILED


def loops(connections: Connections, settings: MonitorSettings, registry: Registry, health: Health) -> list[Loop]:
    shown, sink, deployment = Shown(), judge.SinkPosition(), Deployment(connections)
    registry.add(shown)
    judging = judge.Judge(connections, settings.overdue_after, sink, shown)
    reading = readers.Readers(deployment, sink, shown)
    counting = fleet.Fleet(deployment, shown)
    asking = parts.Parts(deployment, shown, health)
    comparing = parts.Clocks(deployment, shown)
    made = [
        Loop(name="overdue", period=judge.PERIOD, round=judging.round, is_away=judging.is_away),
        Loop(name="readers", period=readers.PERIOD, round=reading.round, is_away=reading.is_away),
        Loop(name="fleet", period=fleet.PERIOD, round=counting.round, is_away=counting.is_away),
        Loop(name="parts", period=parts.PERIOD, round=asking.round, is_away=lambda: None),
        Loop(name="clocks", period=parts.CLOCKS_PERIOD, round=comparing.round, is_away=comparing.is_away),
    ]
    if settings.canary_interval:
        made.append(canary_loop(Canary(deployment, registry), settings.canary_interval))
    return made


def canary_loop(canary: Canary, period: timedelta) -> Loop:
    """Its first round waits, because the other processes may have started just now."""
    return Loop(name="canary", period=period, round=canary.round, is_away=lambda: None, waits_first=True)


if __name__ == "__main__":
    leave(main())
