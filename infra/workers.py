"""Every process of Tidemill as a part of the local stack, and the two jobs of its start."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
import orjson

from connectors.roles import DEFAULT_PREFIX
from connectors.settings import TracesSettings
from executors.settings import NOT_FOR_EXECUTORS, ExecutorSettings
from infra import brokers, grafana_command
from infra.files import write_private
from infra.options import StackOptions
from infra.part import Part
from infra.ports import Ports
from infra.process_roles import OF_MODULES, dsn_as
from infra.ready import http_status
from schemas.settings import read

SERVERS = ("postgres", "connect", "s3")
"""Besides the brokers."""
DRAIN_SECONDS = 10
"""A local executor's drain time: Ctrl-C does not wait for an hour's job; the next start retries it."""
_BEFORE_KILL_SECONDS = 2.0
SESSION = "PT4S"
"""A stream worker's session timeout; the local broker allows less than the default minimum of 6 s."""
WEB_FILE = "/static/icon.svg"
OF_CONNECT = ("TIDEMILL_CONNECT_POSTGRES_USER", "TIDEMILL_CONNECT_POSTGRES_PASSWORD")
PYTHON = {
    "PYTHONUNBUFFERED": "1",  # the log shows each line at once
    "PYTHONSAFEPATH": "1",  # otherwise `-m` puts the current folder before the installed modules
    "MALLOC_ARENA_MAX": "2",
}


READY = 200
OWN_S3 = "tidemill-s3"
"""The secret with which jobs of a local stack use its S3, as JSON: see examples/etl."""


def keep_own_s3(options: StackOptions, environment: Mapping[str, str]) -> None:
    fields = ("endpoint", "bucket", "region", "access_key", "secret_key")
    own = {name: environment[f"TIDEMILL_S3_{name.upper()}"] for name in fields}
    write_private(_secrets(options) / OWN_S3, orjson.dumps(own))


def workers(options: StackOptions, environment: Mapping[str, str], ports: Ports) -> Iterator[Part]:
    yield _job("prepare", options, environment, waits_for=("postgres", *brokers.names(options.brokers), "s3"))
    as_connect = {**environment, **_database("connectors.supervisor", environment)}
    yield _job("connector", options, as_connect, waits_for=("prepare", "connect"))
    for number in range(options.workers):
        yield _stream(f"stream-{number}", options, environment, ports)
    for number in range(options.executors):
        yield _executor(f"executor-{number}", options, environment, ports)
    for number in range(options.sinks):
        yield _process(f"sink-{number}" if number else "sink", "connectors.sink", options, environment, ports)
    yield _metrics(options, environment, ports)
    yield _web(options, environment, ports)
    yield _process("connect-supervisor", "connectors.supervisor", options, environment, ports, waits_for=("connector",))
    yield _process("monitor", "tidemill.monitor", options, {**environment, **options.monitor_env}, ports)
    if read(TracesSettings).traces_endpoint:
        yield _traces(options, environment, ports)


def _stream(name: str, options: StackOptions, environment: Mapping[str, str], ports: Ports) -> Part:
    own = {"TIDEMILL_WORKER_ID": name, "TIDEMILL_SESSION_TIMEOUT": SESSION, **options.stream_env}
    return _process(name, "streams", options, {**environment, **own}, ports)


def _executor(name: str, options: StackOptions, environment: Mapping[str, str], ports: Ports) -> Part:
    """All executors of a stack share one work directory, and so one cache of executables."""
    own = {
        "TIDEMILL_EXECUTOR_NAME": name,
        "TIDEMILL_WORK_DIR": str(options.data / "executors"),
        "TIDEMILL_SECRETS_DIR": str(_secrets(options)),
        "TIDEMILL_DRAIN_TIMEOUT": f"PT{DRAIN_SECONDS}S",
        **options.executor_env,
    }
    env = {**environment, **own}
    limit = ExecutorSettings(drain_timeout=timedelta(seconds=DRAIN_SECONDS)).stop_limit
    stop_seconds = limit.total_seconds() + _BEFORE_KILL_SECONDS
    part = _process(name, "executors", options, env, ports, stop_seconds=stop_seconds)
    return msgspec.structs.replace(part, without=NOT_FOR_EXECUTORS)


def _metrics(options: StackOptions, environment: Mapping[str, str], ports: Ports) -> Part:
    """It has started when it is live: without a snapshot it first reads the whole topic `status`."""
    own = {"TIDEMILL_METRICS_STATE": str(options.data / "metrics")}
    part = _process("metrics", "connectors.metrics", options, {**environment, **own}, ports)
    return msgspec.structs.replace(part, is_ready=lambda: http_status(ports.of("metrics"), "/livez") == READY)


def _web(options: StackOptions, environment: Mapping[str, str], ports: Ports) -> Part:
    """Ready when it serves a file: a page also needs the tables."""
    port = ports.of("web page")
    env = {**environment, "TIDEMILL_WEB_LISTEN": f"127.0.0.1:{port}"}
    if options.observe:
        env["TIDEMILL_WEB_GRAFANA"] = grafana_command.ADDRESS
    part = _process("web", "tidemill.web", options, env, ports)
    return msgspec.structs.replace(part, port=port, is_ready=lambda: http_status(port, WEB_FILE) == 200)


def _traces(options: StackOptions, environment: Mapping[str, str], ports: Ports) -> Part:
    """It has started when it is live: the stack does not wait for a collector that is away."""
    part = _process("traces", "connectors.traces", options, environment, ports)
    return msgspec.structs.replace(part, is_ready=lambda: http_status(ports.of("traces"), "/livez") == READY)


def _secrets(options: StackOptions) -> Path:
    """The folder of secrets: the user's files and the stack's own."""
    folder = options.data / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _process(
    name: str,
    module: str,
    options: StackOptions,
    environment: Mapping[str, str],
    ports: Ports,
    *,
    waits_for: tuple[str, ...] = ("prepare",),
    stop_seconds: float = 15,
) -> Part:
    observe_port = ports.of(name)
    return Part(
        name=name,
        argv=(sys.executable, "-m", module),
        env={
            **environment,
            **_database(module, environment),
            **PYTHON,
            "TIDEMILL_OBSERVE_LISTEN": f"127.0.0.1:{observe_port}",
            **_of_part(options, name),
        },
        log=_log(options.data, name),
        observe_port=observe_port,
        is_ready=lambda: http_status(observe_port, "/readyz") == READY,
        waits_for=waits_for,
        uses=(*SERVERS, *brokers.names(options.brokers)),
        stop_seconds=stop_seconds,
    )


def _database(module: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The addresses of Postgres for a process: with a role that may do what this process does, or none."""
    kind = OF_MODULES.get(module)
    if kind is None:
        return dict.fromkeys(("TIDEMILL_POSTGRES_DSN", "TIDEMILL_POSTGRES_READ_DSN", *OF_CONNECT), "")
    dsn = dsn_as(environment["TIDEMILL_POSTGRES_DSN"], f"{DEFAULT_PREFIX}{kind}")
    return {"TIDEMILL_POSTGRES_DSN": dsn, "TIDEMILL_POSTGRES_READ_DSN": dsn}


def _of_part(options: StackOptions, name: str) -> dict[str, str]:
    own = f"{name}:"
    return {each.removeprefix(own): value for each, value in options.part_env.items() if each.startswith(own)}


def _job(name: str, options: StackOptions, environment: Mapping[str, str], *, waits_for: tuple[str, ...]) -> Part:
    return Part(
        name=name,
        argv=(sys.executable, "-m", "infra.bootstrap", name),
        env={**environment, **PYTHON, **_of_part(options, name)},
        log=_log(options.data, name),
        is_ready=lambda: False,
        waits_for=waits_for,
        uses=(*SERVERS, *brokers.names(options.brokers)),
        once=True,
    )


def _log(data: Path, name: str) -> Path:
    return data / "logs" / f"{name}.log"
