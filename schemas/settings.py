"""The settings that every process reads: the addresses of a deployment's parts, and shared durations."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from schemas.errors import TidemillError
from schemas.logging import KAFKA_CLIENT

S = TypeVar("S", bound=BaseSettings)

DEFAULT_CLASSES = "10s,1m,1h"

_CLIENT_DEFAULTS = {
    # Reconnect within 1 s after a broker returns (the default is 10 s), and at most four times a second before.
    "reconnect.backoff.ms": 250,
    "reconnect.backoff.max.ms": 1000,
    # When a broker dies, clients find the next leader by retries: four a second instead of one (the default).
    "retry.backoff.max.ms": 250,
    # A broker whose machine is gone closes no connection; the default waits for a minute.
    "socket.timeout.ms": 5_000,
    "log.connection.close": False,
    # A topic that a broker creates automatically has a wrong number of partitions.
    "allow.auto.create.topics": False,
    "logger": logging.getLogger(KAFKA_CLIENT),
}

_MAY_BE_SECRET = re.compile("dsn|options|key|url|endpoint")
"""Messages do not show the values of these fields."""

S3_DIALECT: dict[str, Any] = {
    # Some S3 servers support neither host names for buckets nor trailing checksums.
    "s3": {"addressing_style": "path"},
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
"""Arguments of botocore's `Config` that every S3 server supports."""


class InvalidSettingsError(TidemillError):
    """An environment variable has a value that is not allowed."""


class Connections(BaseSettings):
    """Read once, in `main()`, from the environment (prefix `TIDEMILL_`)."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    postgres_dsn: str = "postgresql://tidemill@127.0.0.1:5432/tidemill"
    postgres_read_dsn: str | None = None
    """A replica for read-only commands; None: the primary."""
    connect_postgres_user: str | None = None
    """The role with which the connector logs in. None: that of the DSN. Commands that compare or repair the connector
    log in with another role."""
    connect_postgres_password: str | None = None
    """The password in the connector's configuration. With a reference such as `${file:/run/secrets/tidemill:password}`
    Connect asks its config provider. None: the password of the DSN, in clear text."""
    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_options: dict[str, Any] = {}
    """More librdkafka options for every client, as JSON, such as security.protocol and sasl.*."""
    connect_url: str = "http://127.0.0.1:8083"
    s3_endpoint: str | None = None
    """None: the default endpoint of the region."""
    s3_bucket: str = "tidemill"
    """The bucket for logs, results, checkpoints and stored programs."""
    s3_access_key: str | None = None
    s3_secret_key: str | None = None
    s3_region: str = "us-east-1"
    topic_prefix: str = "tidemill."
    partitions: int = Field(default=8, ge=1)
    """N, which is chosen once, when the topics are created; later the topics have it (`schemas.cluster_record`)."""
    replication_factor: int = Field(default=1, ge=1)
    timeout_classes: str = DEFAULT_CLASSES
    """Only `tidemill migrate` uses it, as all fields of `schemas.cluster.Cluster`; later the topic `cluster` has it."""

    def topic(self, name: str) -> str:
        return self.topic_prefix + name

    def kafka(self, **options: Any) -> dict[str, Any]:
        """The librdkafka configuration of one client. Write option names with `_` for `.`, callbacks unchanged."""
        ours = {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in options.items()}
        return {"bootstrap.servers": self.kafka_bootstrap, **_CLIENT_DEFAULTS, **self.kafka_options, **ours}

    def s3(self) -> dict[str, Any]:
        """The arguments of `boto3.client`; see also `S3_DIALECT`."""
        return {
            "service_name": "s3",
            "endpoint_url": self.s3_endpoint,
            "aws_access_key_id": self.s3_access_key,
            "aws_secret_access_key": self.s3_secret_key,
            "region_name": self.s3_region,
        }


class AgreedSettings(BaseSettings):
    """Durations that all processes share. `tidemill migrate` writes them once from its environment into the topic
    `cluster`. A process whose environment contradicts the topic does not start.
    """

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    dispatch_valid_for: timedelta = timedelta(seconds=60)
    """D: executors do not run an older dispatch (protocol D2)."""
    claim_grace: timedelta = timedelta(seconds=15)
    """The time from a claim to the event that must follow it (protocol D4, D5)."""
    lease: timedelta = timedelta(seconds=30)
    """An attempt is lost after this time without a heartbeat (protocol L1)."""
    request_ttl: timedelta = Field(default=timedelta(days=7), ge=timedelta(0))
    """How long request ids, deletions and rows of `requests` are kept (protocol I2, I5)."""


def read(kind: type[S]) -> S:
    """Reads settings from the environment. Raises `InvalidSettingsError`."""
    try:
        return kind()
    except (ValidationError, SettingsError) as error:
        raise InvalidSettingsError(_refusal(error)) from error


def _refusal(error: ValidationError | SettingsError) -> str:
    """The sentence that names the variable and what is allowed."""
    if isinstance(error, SettingsError):
        found = re.search(r'field "(\w+)"', str(error))
        return f"TIDEMILL_{found[1].upper() if found else '*'} is not JSON: {error.__cause__}"
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else "*"
    said = "" if _MAY_BE_SECRET.search(field) else f" is {first['input']!r}"
    allowed = first["msg"].replace("Input should be", "it must be")
    if first["type"].startswith("time_delta"):
        allowed = "it must be a duration, in seconds or as ISO 8601, such as 90 or PT90S"
    return f"TIDEMILL_{field.upper()}{said or ' cannot be used'}: {allowed}"
