"""The settings of the connectors; every process also has the settings of `schemas.settings`."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from pathlib import Path

import msgspec
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.settings import AgreedSettings

_FROM_ENVIRONMENT = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")


class SourceSettings(BaseSettings):
    """The settings of the Debezium source and its supervisor."""

    model_config = _FROM_ENVIRONMENT

    connect_postgres_host: str | None = None
    """The host of Postgres for Connect, if it differs from the DSN (containers). If the DSN names several: as many, in
    the same order, or one that always leads to the primary."""
    connect_postgres_port: int | None = None
    connector_name: str = "tidemill-source"
    """Two installations on one Connect cluster need two names."""
    slot_name: str = "tidemill"
    """Two installations on one Postgres server need two slots."""
    connect_timeout: timedelta = timedelta(seconds=90)
    """How long `apply_connector` waits until the connector and its task run."""
    supervise_interval: timedelta = timedelta(seconds=2)


class RoleSettings(BaseSettings):
    """The names of the roles in Postgres, which `tidemill migrate` makes."""

    model_config = _FROM_ENVIRONMENT

    role_prefix: str | None = Field(default=None, pattern="^[a-z_][a-z0-9_]{0,40}$")
    """The beginning of each name. None: that of this database's roles, at first `tidemill_`. Two deployments on one
    Postgres server need two prefixes."""


class SinkSettings(BaseSettings):
    """The settings of the sink."""

    model_config = _FROM_ENVIRONMENT

    sink_batch_records: int = Field(default=1000, ge=1)
    """The maximum of records in one Postgres transaction."""


class MetricsSettings(BaseSettings):
    """The settings of the process that counts `status` for Prometheus."""

    model_config = _FROM_ENVIRONMENT

    metrics_state: Path | None = None
    """The folder in which it keeps its figures over a restart. None: each start counts from 0."""
    metrics_tenants: int = Field(default=100, ge=1)
    """How many tenants have series of their own: the first that it sees. The others are `other`."""
    metrics_jobs: int = Field(default=100, ge=0)
    """The same for jobs and DAGs; 0: there are no series by job."""
    metrics_last_success: bool = False
    """Whether the time of the last success of each job is a series, of at most 2,000 jobs."""


class TracesSettings(BaseSettings):
    """The settings of the exporter of traces."""

    model_config = _FROM_ENVIRONMENT

    traces_endpoint: str | None = Field(default=None, pattern="^https?://")
    """Where to POST OTLP as JSON, such as `http://127.0.0.1:4318/v1/traces`. None: no traces."""
    traces_headers_file: Path | None = None
    """A file with one `name: value` header in each line, such as a token; it is read before each POST."""
    traces_sample: float = Field(default=1.0, ge=0.0, le=1.0)
    """The share of traces that is sent. Runs that failed or started late are sent always."""


class Archive(Enum):
    NONE = "none"
    JSONL = "jsonl"


class RetentionSettings(AgreedSettings):
    """The times to live of history, logs and programs; the sinks apply them."""

    history_ttl: timedelta = Field(default=timedelta(days=30), ge=timedelta(0))
    """For runs with their attempts and transitions. If it is shorter than the retention of the topic `status`, a replay
    restores some of them."""
    failed_history_ttl: timedelta = Field(default=timedelta(days=90), ge=timedelta(0))
    """For failed runs, problems and old versions of jobs; at least `history_ttl`."""
    log_ttl: timedelta = Field(default=timedelta(days=7), ge=timedelta(0))
    """For logs in S3; at most `history_ttl`, because a log is deleted with its run."""
    failed_log_ttl: timedelta = Field(default=timedelta(days=30), ge=timedelta(0))
    """For logs of failed runs; at least `log_ttl`, at most `failed_history_ttl`."""
    program_ttl: timedelta = Field(default=timedelta(days=7), ge=timedelta(hours=1))
    """For programs in S3 that no job names. It must be long enough for a new program: its job names it only later."""
    retention_interval: timedelta = Field(default=timedelta(hours=1), gt=timedelta(0))
    archive: Archive = Archive.NONE
    """jsonl: write rows to S3 as compressed JSON lines before dropping them from the read model."""
    archive_prefix: str = "archive/"
    """The prefix of the archive in the bucket `s3_bucket`."""

    def effective(self) -> Ttls:
        """The times to live with their mutual limits applied."""
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
