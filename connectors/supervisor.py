"""Supervises the Debezium connector, carries out the actions of `plan`: `python -m connectors.supervisor`."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import msgspec
import structlog

from connectors.apply import carry_out, observe
from connectors.backoff import Backoff
from connectors.connect_api import ConnectRefusedError, ConnectUnavailableError
from connectors.migrate import warn_of_newer_release
from connectors.owned import Config
from connectors.plan import Action, Actual, describe, plan
from connectors.settings import SourceSettings
from connectors.source import source_config
from connectors.stopping import Stop, stop_on_signals
from schemas.logging import log_to_stderr
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.variables import check_variables

REFUSED = 2
"""The exit code if a variable has an invalid value."""

_FIRST_WAIT = timedelta(seconds=1)
_LONGEST_WAIT = timedelta(seconds=60)
_PROVEN_ROUNDS = 30
"""After so many rounds in which it ran, the connector has recovered: the backoff starts again."""

log = structlog.get_logger()


def main() -> int:
    log_to_stderr()
    try:
        for warning in check_variables(os.environ):
            log.warning("unknown_variable", reason=warning)
        connections, settings = read(Connections), read(SourceSettings)
    except InvalidSettingsError as error:
        log.error("supervisor_failed", error=str(error))  # noqa: TRY400 - the sentence is enough
        return REFUSED
    warn_of_newer_release(connections.postgres_dsn)
    supervise(connections, settings, stop_on_signals())
    return 0


def supervise(connections: Connections, settings: SourceSettings, stop: Stop) -> None:
    """Check the connector until `stop` is requested, also while Connect or Postgres is unreachable."""
    desired = source_config(connections, settings)
    watch = Watch()
    while not stop.requested:
        watch = _round(connections, desired, watch)
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


def _round(connections: Connections, desired: Config, watch: Watch) -> Watch:
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
    except (ConnectUnavailableError, ConnectRefusedError) as error:
        state = str(error)
        if state != watch.logged:
            log.warning("connect_unavailable", reason=state)
    return after_round(watch, state, actual, actions)


if __name__ == "__main__":
    sys.exit(main())
