"""The settings classes of all processes; all of them read the same environment."""

from __future__ import annotations

from connectors.settings import (
    MetricsSettings,
    RetentionSettings,
    RoleSettings,
    SinkSettings,
    SourceSettings,
    TracesSettings,
)
from executors.settings import ExecutorSettings
from infra.settings import InfraSettings
from observe.settings import ObserveSettings
from schemas.settings import Connections
from streams.settings import StreamSettings
from tidemill.monitor.settings import MonitorSettings
from tidemill.web.settings import WebSettings

SETTINGS = (
    Connections,
    ObserveSettings,
    StreamSettings,
    ExecutorSettings,
    SourceSettings,
    RoleSettings,
    SinkSettings,
    MetricsSettings,
    TracesSettings,
    RetentionSettings,
    InfraSettings,
    MonitorSettings,
    WebSettings,
)
