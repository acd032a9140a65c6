"""Counts what becomes of all runs, from the topic `status` alone, for Prometheus: `python -m connectors.metrics`."""

from __future__ import annotations

import os
from contextlib import nullcontext

import confluent_kafka
import structlog

from connectors.metrics.exposition import Exposition
from connectors.metrics.fold import Fold, Options
from connectors.metrics.reader import Reader, run
from connectors.metrics.snapshot import FolderInUseError, load_names, locked
from connectors.settings import MetricsSettings
from connectors.stopping import stop_on_signals
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
        settings, listen, connections = read(MetricsSettings), read(ObserveSettings).observe_listen, read(Connections)
        registry, health = Registry(), Health()
        describe_process(registry, health, kind="metrics", name="metrics")
        folder = settings.metrics_state
        with observed(listen, registry, health), locked(folder) if folder else nullcontext():
            _count(connections, settings, registry, health)
    except (InvalidSettingsError, DisagreementError, PortTakenError, FolderInUseError, OSError) as error:
        log.error("metrics_failed", error=str(error))  # noqa: TRY400 - the sentence is enough
        return REFUSED if isinstance(error, InvalidSettingsError) else FAILED
    return 0


def _count(connections: Connections, settings: MetricsSettings, registry: Registry, health: Health) -> None:
    connections, cluster = settle(connections, confluent_kafka, (STATUS,), with_runs=False)
    options = Options(
        classes=tuple(cluster.classes),
        tenants=settings.metrics_tenants,
        jobs=settings.metrics_jobs,
        successes=settings.metrics_last_success,
    )
    state = Fold(options, load_names(settings.metrics_state)) if settings.metrics_state else Fold(options)
    exposition = Exposition(state)
    registry.add(exposition)
    run(connections, Reader(connections, state, exposition, settings.metrics_state), health, stop_on_signals())


if __name__ == "__main__":
    leave(main())
