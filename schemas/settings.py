"""Where the parts of a deployment are: the settings that every process shares."""

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
    # After a broker's return nobody waits for the default's 10 s, and while it is away nobody knocks at every turn.
    "reconnect.backoff.ms": 250,
    "reconnect.backoff.max.ms": 1000,
    # When a broker dies, each step to the next leader waits for a try: four a second instead of the default's one.
    "retry.backoff.max.ms": 250,
    # A broker whose machine is gone answers nothing, and closes nothing: the default waits for it for a minute.
    "socket.timeout.ms": 5_000,
    "log.connection.close": False,
    # A topic that a broker makes by itself has another number of partitions than ours.
    "allow.auto.create.topics": False,
    "logger": logging.getLogger(KAFKA_CLIENT),
}

_MAY_BE_SECRET = re.compile("dsn|options|key|url|endpoint")
"""Fields of which the value is not repeated in a message."""

S3_DIALECT: dict[str, Any] = {
    # What every S3 server understands: not all of them have host names for buckets, or take trailing checksums.
    "s3": {"addressing_style": "path"},
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
"""For botocore's `Config`."""


class InvalidSettingsError(TidemillError):
    """A variable of the environment cannot be used."""


class Connections(BaseSettings):
    """Read once, in `main()`, from the environment (prefix `TIDEMILL_`)."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    postgres_dsn: str = "postgresql://tidemill@127.0.0.1:5432/tidemill"
    postgres_read_dsn: str | None = None
    """A replica, for everything that only reads; None: the primary."""
    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_options: dict[str, Any] = {}
    """More librdkafka options as JSON, such as security.protocol and sasl.*: passed to every client."""
    connect_url: str = "http://127.0.0.1:8083"
    s3_endpoint: str | None = None
    """None: the endpoint that the S3 client finds for its region."""
    s3_bucket: str = "tidemill"
    """For logs, examples and the scripts of `job put --command`."""
    s3_access_key: str | None = None
    s3_secret_key: str | None = None
    s3_region: str = "us-east-1"
    topic_prefix: str = "tidemill."
    partitions: int = Field(default=8, ge=1)
    """N: chosen once, when the topics are made; from then on the topics say it (`schemas.cluster_record`)."""
    replication_factor: int = Field(default=1, ge=1)
    timeout_classes: str = DEFAULT_CLASSES
    """Like all fields of `schemas.cluster.Cluster`: after `tidemill migrate` the topic `cluster` says it."""

    def topic(self, name: str) -> str:
        return self.topic_prefix + name

    def kafka(self, **options: Any) -> dict[str, Any]:
        """The configuration of librdkafka for one client; names are written with `_` for `.`, callbacks as they are."""
        ours = {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in options.items()}
        return {"bootstrap.servers": self.kafka_bootstrap, **_CLIENT_DEFAULTS, **self.kafka_options, **ours}

    def s3(self) -> dict[str, Any]:
        """The arguments of `boto3.client` that say where S3 is; see also `S3_DIALECT`."""
        return {
            "service_name": "s3",
            "endpoint_url": self.s3_endpoint,
            "aws_access_key_id": self.s3_access_key,
            "aws_secret_access_key": self.s3_secret_key,
            "region_name": self.s3_region,
        }


class AgreedSettings(BaseSettings):
    """Durations that must be the same everywhere, like `timeout_classes`: the environment of `tidemill migrate` says
    them once, then the topic `cluster` does. A process whose environment contradicts it does not start.
    """

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True, extra="ignore")

    dispatch_valid_for: timedelta = timedelta(seconds=60)
    """D: an older dispatch is not run (protocol D2)."""
    claim_grace: timedelta = timedelta(seconds=15)
    """From a claim that was seen to the event that must follow it (protocol D4, D5)."""
    lease: timedelta = timedelta(seconds=30)
    """Silence after which an attempt is lost (protocol L1)."""
    request_ttl: timedelta = Field(default=timedelta(days=7), ge=timedelta(0))
    """How long a request id and a deletion are remembered (protocol I2, I5), and rows of `requests` are kept."""


def read(kind: type[S]) -> S:
    """From the environment. Raises `InvalidSettingsError`."""
    try:
        return kind()
    except (ValidationError, SettingsError) as error:
        raise InvalidSettingsError(_refusal(error)) from error


def _refusal(error: ValidationError | SettingsError) -> str:
    """Which variable cannot be used, and what is allowed there."""
    if isinstance(error, SettingsError):
        found = re.search(r'field "(\w+)"', str(error))
        return f"TIDEMILL_{found[1].upper() if found else '*'} is no JSON: {error.__cause__}"
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else "*"
    said = "" if _MAY_BE_SECRET.search(field) else f" is {first['input']!r}"
    allowed = first["msg"].replace("Input should be", "it must be")
    if first["type"].startswith("time_delta"):
        allowed = "it must be a duration, in seconds or as ISO 8601, such as 90 or PT90S"
    return f"TIDEMILL_{field.upper()}{said or ' cannot be used'}: {allowed}"
