"""The settings of the monitor; `tidemill overdue` reads them too."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MonitorSettings(BaseSettings):
    """Read once, in `main()`, from the environment (prefix `TIDEMILL_`)."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    overdue_after: timedelta = Field(default=timedelta(minutes=2), ge=timedelta(seconds=10))
    """An occurrence that was due for so long, and has no record in the read model, is overdue. Jitter does not count:
    a run is recorded at its nominal time, and waits for its jitter as a queued run."""
    canary_interval: timedelta = Field(default=timedelta(minutes=1), ge=timedelta(0), le=timedelta(minutes=5))
    """Between two canary runs; 0: none. With a longer one, the alert TidemillCanaryMissing would fire between them."""
