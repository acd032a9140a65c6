"""The names of all settings, to find misspelled environment variables, which would have no effect."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

PREFIX = "TIDEMILL_"
KNOWN = frozenset(
    f"{PREFIX}{name.upper()}"
    for name in [
        "archive",
        "archive_prefix",
        "cache",
        "cache_dir",
        "cache_max_bytes",
        "canary_interval",
        "catchup_rate_per_job",
        "catchup_rate_per_partition",
        "checkpoint_timeout",
        "chromium",
        "claim_grace",
        "connect_postgres_host",
        "connect_postgres_password",
        "connect_postgres_port",
        "connect_postgres_user",
        "connect_timeout",
        "connect_url",
        "connector_name",
        "cpu",
        "disk",
        "dispatch_valid_for",
        "drain_timeout",
        "executor_name",
        "failed_history_ttl",
        "failed_log_ttl",
        "fetch_timeout",
        "heartbeat_interval",
        "history_ttl",
        "kafka_bootstrap",
        "kafka_options",
        "lease",
        "lease_margin",
        "log_interval",
        "log_max_bytes",
        "log_ttl",
        "memory",
        "metrics_jobs",
        "metrics_last_success",
        "metrics_state",
        "metrics_tenants",
        "observe_listen",
        "overdue_after",
        "park_limit",
        "partitions",
        "pids",
        "postgres_dsn",
        "postgres_home",
        "postgres_read_dsn",
        "process_path",
        "program_ttl",
        "prometheus",
        "promtool",
        "ready_file",
        "replication_factor",
        "request_ttl",
        "retention_interval",
        "role_prefix",
        "s3_access_key",
        "s3_bucket",
        "s3_endpoint",
        "s3_region",
        "s3_secret_key",
        "sandbox",
        "secrets_allow",
        "secrets_aws_endpoint",
        "secrets_aws_region",
        "secrets_command",
        "secrets_dir",
        "secrets_max_age",
        "serve_data",
        "serve_listen",
        "serve_name",
        "serve_port",
        "session_timeout",
        "sink_batch_records",
        "slot_name",
        "slots",
        "stall_limit",
        "start_from_memory",
        "stream_group",
        "supervise_interval",
        "term_grace",
        "timeout_classes",
        "topic_prefix",
        "unveil",
        "web_connections",
        "web_grafana",
        "web_hosts",
        "web_listen",
        "web_proxy_header",
        "web_token_file",
        "traces_endpoint",
        "traces_headers_file",
        "traces_sample",
        "work_dir",
        "worker_id",
    ]
)
"""The settings of all processes, which often share one environment. A test compares it with the settings classes."""
OTHERS = frozenset(
    f"{PREFIX}{name}"
    for name in [
        "DATA",
        "RUN_ID",
        "ATTEMPT",
        "FENCING_TOKEN",
        "NOMINAL_TIME",
        "TIMEOUT_SECONDS",
        "CHECKPOINT",
        "RESULT",
    ]
)
"""Variables of the command line, and of a job's process, which may call the command line."""
SIMILAR = 0.8

_OF_KUBERNETES = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
"""Kubernetes sets such variables for a service with the name tidemill."""


def check_variables(names: Iterable[str]) -> list[str]:
    """A sentence for each name that is not a setting. Raises `InvalidSettingsError` if one is almost a setting."""
    unknown = sorted(name for name in map(str.upper, names) if _is_unknown(name))
    for name in unknown:
        near = _near(name)
        if near:
            from schemas.settings import InvalidSettingsError  # noqa: PLC0415 - the import takes 0.2 s

            raise InvalidSettingsError(f"{name} is not a setting; did you mean {near}?")
    return [f"{name} is not a setting of any process, and has no effect" for name in unknown]


def _near(name: str) -> str | None:
    """The setting with the most similar name. The common prefix is ignored, because it makes all names similar."""
    wanted = name.removeprefix(PREFIX)
    ends = {each.removeprefix(PREFIX): each for each in KNOWN}
    near = get_close_matches(wanted, ends, 1, SIMILAR) or [each for each in ends if wanted.startswith(f"{each}_")]
    return ends[max(near, key=len)] if near else None


def _is_unknown(name: str) -> bool:
    return name.startswith(PREFIX) and name not in KNOWN | OTHERS and not _OF_KUBERNETES.fullmatch(name)
