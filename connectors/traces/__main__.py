"""Sends a trace of every run that has ended to an OpenTelemetry collector: `python -m connectors.traces`."""

from __future__ import annotations

import os

import confluent_kafka
import structlog

from connectors.settings import TracesSettings
from connectors.stopping import stop_on_signals
from connectors.traces.exporter import Exporter, run
from observe.catalogue import traces as catalogue
from observe.health import Health
from observe.leave import leave
from observe.process import describe_process
from observe.registry import Registry
from observe.server import PortTakenError, observed
from observe.settings import ObserveSettings
from schemas.cluster import DisagreementError
from schemas.cluster_record import settle
from schemas.logging import log_to_stderr
from schemas.settings import Connections, InvalidSettingsError, read
from schemas.topics import STATUS
from schemas.variables import check_variables

FAILED, REFUSED = 1, 2
"""Exit codes: FAILED for any error, REFUSED for a variable with an invalid value."""

log = structlog.get_logger()


def main() -> int:
    log_to_stderr()
    try:
        for warning in check_variables(os.environ):
            log.warning("unknown_variable", reason=warning)
        settings, listen = read(TracesSettings), read(ObserveSettings).observe_listen
        endpoint, connections = needed_endpoint(settings), read(Connections)
        registry, health = Registry(), Health()
        describe_process(registry, health, kind="traces", name="traces")
        traces, lag = registry.counter(catalogue.TRACES), registry.gauge(catalogue.READ_LAG)
        with observed(listen, registry, health):
            connections, _ = settle(connections, confluent_kafka, (STATUS,), with_runs=False)
            exporter = Exporter(endpoint, settings, traces, stop := stop_on_signals())
            run(connections, exporter, health, lag, stop)
    except (InvalidSettingsError, DisagreementError, PortTakenError) as error:
        log.error("traces_failed", error=str(error))  # noqa: TRY400 - the sentence is enough
        return REFUSED if isinstance(error, InvalidSettingsError) else FAILED
    return 0


def needed_endpoint(settings: TracesSettings) -> str:
    """Raises `InvalidSettingsError`."""
    if settings.traces_endpoint is None:
        raise InvalidSettingsError(
            "TIDEMILL_TRACES_ENDPOINT is not set: this process sends traces there, and has nothing else to do"
        )
    return settings.traces_endpoint


if __name__ == "__main__":
    leave(main())
