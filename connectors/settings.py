"""What the connectors can be told, beside the addresses that every process shares: read once, in `main()`."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

import msgspec
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.settings import AgreedSettings

_FROM_ENVIRONMENT = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")


class SourceSettings(BaseSettings):
    """The Debezium source, and how it is watched."""

    model_config = _FROM_ENVIRONMENT

    connect_postgres_host: str | None = None
    """Postgres as Connect sees it, where that differs from the DSN (containers)."""
    connect_postgres_port: int | None = None
    connect_postgres_password: str | None = None
    """What Connect's configuration has as the password, such as `${file:/run/secrets/tidemill:password}`: Connect asks
    its config provider. None: the password of the DSN, in clear text.
    """
    connector_name: str = "tidemill-source"
    """Two installations on one Connect cluster need two names."""
    slot_name: str = "tidemill"
    """Two installations on one Postgres server need two slots."""
    connect_timeout: timedelta = timedelta(seconds=90)
    """How long `apply_connector` waits for Connect to answer and for the task to run."""
    supervise_interval: timedelta = timedelta(seconds=2)


class SinkSettings(BaseSettings):
    """The sink of `status` into Postgres."""

    model_config = _FROM_ENVIRONMENT

    sink_batch_records: int = Field(default=1000, ge=1)
    """The most records of one Postgres transaction."""


class Archive(Enum):
    NONE = "none"
    JSONL = "jsonl"


class RetentionSettings(AgreedSettings):
    """How long what is over is kept; applied by the sinks."""

    history_ttl: timedelta = Field(default=timedelta(days=30), ge=timedelta(0))
    """Of runs, their attempts and transitions; below the retention of the topic `status`, a replay brings some back."""
    failed_history_ttl: timedelta = Field(default=timedelta(days=90), ge=timedelta(0))
    """Of those that failed, and of problems and old versions of jobs; at least `history_ttl`."""
    log_ttl: timedelta = Field(default=timedelta(days=7), ge=timedelta(0))
    """Of logs in S3; at most `history_ttl`, for a log goes with its run."""
    failed_log_ttl: timedelta = Field(default=timedelta(days=30), ge=timedelta(0))
    """Of logs of runs that failed; at least `log_ttl`, at most `failed_history_ttl`."""
    program_ttl: timedelta = Field(default=timedelta(days=7), ge=timedelta(hours=1))
    """Of programs in S3 that nothing names any more. One that was just stored is named a moment later."""
    retention_interval: timedelta = Field(default=timedelta(hours=1), gt=timedelta(0))
    archive: Archive = Archive.NONE
    """jsonl: what is dropped from the read model is written to S3 before, as JSON lines, compressed."""
    archive_prefix: str = "archive/"
    """In the bucket `s3_bucket`."""

    def effective(self) -> Ttls:
        """A shorter one of two that depend on each other is made as long as it has to be."""
        failed_history = max(self.history_ttl, self.failed_history_ttl)
        logs = min(self.log_ttl, self.history_ttl)
        return Ttls(
            history=self.history_ttl,
            failed_history=failed_history,
            logs=logs,
            failed_logs=min(max(logs, self.failed_log_ttl), failed_history),
            requests=self.request_ttl,
        )


class Ttls(msgspec.Struct, frozen=True, kw_only=True):
    history: timedelta
    failed_history: timedelta
    logs: timedelta
    failed_logs: timedelta
    requests: timedelta
