"""Supervises the Debezium connector, carries out the actions of `plan`: `python -m connectors.supervisor`."""

from __future__ import annotations

import os
import time
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
from connectors.primary import addresses, find_primary, only
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

_SEARCH_SECONDS = 0.5
"""The time between two looks for a host that takes writes, while none does."""
_NO_PRIMARY = "no host of TIDEMILL_POSTGRES_DSN answers and takes writes: the connector waits for the next primary"

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
    source_config(connections, settings)  # refuse unusable addresses at once
    loop = health.loop("rounds", max(settings.supervise_interval, _LONGEST_WAIT) + _STUCK)
    watch = Watch()
    while not stop.requested:
        loop.turn()
        watch = after_search(watch, find_primary(connections.postgres_dsn, watch.primary))
        primary = watch.primary or 0
        if watch.primary is None and len(addresses(connections.postgres_dsn)) > 1:
            watch = _without_primary(watch, metrics)
        else:
            there = connections.model_copy(update={"postgres_dsn": only(connections.postgres_dsn, primary)})
            watch = _round(there, source_config(connections, settings, primary), watch, metrics, health)
            metrics.ask_for_slot(there.postgres_dsn, settings.slot_name)
        _rest(connections.postgres_dsn, settings, watch, stop)


def _rest(dsn: str, settings: SourceSettings, watch: Watch, stop: Stop) -> None:
    """Wait until the next round is due: after the backoff, or as soon as Postgres takes writes again."""
    rest = max(settings.supervise_interval, watch.backoff.delay)
    until = time.monotonic() + rest.total_seconds()
    while (left := until - time.monotonic()) > 0 and not stop.requested:
        searching = watch.primary is None
        stop.wait(timedelta(seconds=min(left, _SEARCH_SECONDS) if searching else left))
        if searching and find_primary(dsn) is not None:
            return


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the last round, so that a state is logged once and restarts slow down."""

    logged: str = ""
    healthy_rounds: int = 0
    backoff: Backoff = Backoff(first=_FIRST_WAIT, longest=_LONGEST_WAIT)
    primary: int | None = None
    """The position in the DSN of the host that takes writes; None: none does, or none answers."""


def after_search(watch: Watch, primary: int | None) -> Watch:
    """Restarts that failed while no host took writes say nothing about the connector: the next one is not delayed."""
    backoff = watch.backoff.succeeded() if watch.primary is None and primary is not None else watch.backoff
    return msgspec.structs.replace(watch, primary=primary, backoff=backoff)


def after_round(watch: Watch, logged: str, actual: Actual | None, actions: list[Action]) -> Watch:
    """Every action counts as a failure until the connector has run for `_PROVEN_ROUNDS`."""
    healthy = watch.healthy_rounds + 1 if actual is not None and actual.runs and not actions else 0
    backoff = watch.backoff
    if actions:
        backoff = backoff.failed()
    elif healthy >= _PROVEN_ROUNDS:
        backoff = backoff.succeeded()
    return msgspec.structs.replace(watch, logged=logged, healthy_rounds=healthy, backoff=backoff)


def _without_primary(watch: Watch, metrics: ConnectorMetrics) -> Watch:
    """There is no host that the connector could read from: leave it alone."""
    if watch.logged != _NO_PRIMARY:
        log.warning("primary_unknown", reason=_NO_PRIMARY)
    metrics.seen(None)
    return after_round(watch, _NO_PRIMARY, None, [])


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
