"""Supervises the Debezium connector, carries out the actions of `plan`: `python -m connectors.supervisor`."""

from __future__ import annotations

import os
from datetime import timedelta

import msgspec
import structlog

from connectors.apply import carry_out, observe
from connectors.backoff import Backoff
from connectors.connect_api import ConnectRefusedError, ConnectUnavailableError
from connectors.connector_metrics import ConnectorMetrics
from connectors.migrate import warn_of_newer_release
from connectors.owned import Config
from connectors.plan import Action, Actual, describe, plan
from connectors.settings import SourceSettings
from connectors.source import source_config
from connectors.stopping import Stop, leave_when_requested, stop_on_signals
from observe.health import Health
from observe.leave import leave
from observe.process import describe_process
from observe.registry import Registry
from observe.server import PortTakenError, observed
from observe.settings import ObserveSettings
from schemas.logging import log_to_stderr
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.variables import check_variables

FAILED, REFUSED = 1, 2
"""Exit codes: FAILED for any error, REFUSED for a variable with an invalid value."""

_FIRST_WAIT = timedelta(seconds=1)
_LONGEST_WAIT = timedelta(seconds=60)
_PROVEN_ROUNDS = 30
"""After so many rounds in which it ran, the connector has recovered: the backoff starts again."""

_STUCK = timedelta(minutes=5)
"""Added to the longest wait between two rounds: each call of a round ends after 15 s, and a round has few of them."""

log = structlog.get_logger()


def main() -> int:
    log_to_stderr()
    registry, health = Registry(), Health()
    metrics = ConnectorMetrics(registry)
    try:
        for warning in check_variables(os.environ):
            log.warning("unknown_variable", reason=warning)
        connections, settings = read(Connections), read(SourceSettings)
        describe_process(registry, health, kind="connector", name=settings.connector_name)
        with observed(read(ObserveSettings).observe_listen, registry, health):
            warn_of_newer_release(connections.postgres_dsn)
            stop = stop_on_signals()
            leave_when_requested(stop, health)
            supervise(connections, settings, stop, metrics, health)
    except (InvalidSettingsError, PortTakenError) as error:
        log.error("supervisor_failed", error=str(error))  # noqa: TRY400 - the sentence is enough
        return REFUSED if isinstance(error, InvalidSettingsError) else FAILED
    return 0


def supervise(
    connections: Connections, settings: SourceSettings, stop: Stop, metrics: ConnectorMetrics, health: Health
) -> None:
    """Check the connector until `stop` is requested, also while Connect or Postgres is unreachable."""
    desired = source_config(connections, settings)
    loop = health.loop("rounds", max(settings.supervise_interval, _LONGEST_WAIT) + _STUCK)
    watch = Watch()
    while not stop.requested:
        loop.turn()
        watch = _round(connections, desired, watch, metrics, health)
        metrics.ask_for_slot(connections.postgres_dsn, desired["slot.name"])
        stop.wait(max(settings.supervise_interval, watch.backoff.delay))


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the last round, so that a state is logged once and restarts slow down."""

    logged: str = ""
    healthy_rounds: int = 0
    backoff: Backoff = Backoff(first=_FIRST_WAIT, longest=_LONGEST_WAIT)


def after_round(watch: Watch, logged: str, actual: Actual | None, actions: list[Action]) -> Watch:
    """Every action counts as a failure until the connector has run for `_PROVEN_ROUNDS`."""
    healthy = watch.healthy_rounds + 1 if actual is not None and actual.runs and not actions else 0
    backoff = watch.backoff
    if actions:
        backoff = backoff.failed()
    elif healthy >= _PROVEN_ROUNDS:
        backoff = backoff.succeeded()
    return Watch(logged=logged, healthy_rounds=healthy, backoff=backoff)


def _round(connections: Connections, desired: Config, watch: Watch, metrics: ConnectorMetrics, health: Health) -> Watch:
    actual: Actual | None = None
    actions: list[Action] = []
    try:
        actual = observe(connections, desired)
        state = describe(actual)
        if state != watch.logged:
            log.info("connector_seen", state=state)
        for action in plan(desired, actual):
            log.info("connector_action", action=type(action).__name__, state=state)
            actions.append(action)
            carry_out(action, connections, desired)
            metrics.did(action)
        health.ready()
    except (ConnectUnavailableError, ConnectRefusedError) as error:
        state = str(error)
        if state != watch.logged:
            log.warning("connect_unavailable", reason=state)
        health.not_ready("Kafka Connect does not answer, or refuses: the log says why")
    metrics.seen(actual)
    return after_round(watch, state, actual, actions)


if __name__ == "__main__":
    leave(main())
