"""Calls Kafka Connect's REST interface."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

import orjson

from connectors.owned import Config
from connectors.plan import Task
from schemas.errors import TidemillError

REQUEST_SECONDS = 15.0
_NOT_FOUND = 404
_BUSY = 409
_SERVER_ERROR = 500


class ConnectUnavailableError(TidemillError):
    """Kafka Connect does not answer, or is not ready; a retry may help."""


class ConnectRefusedError(TidemillError):
    """Kafka Connect refused a request."""


def get_version(connect_url: str) -> tuple[str, str]:
    """Connect's version, and the id of its Kafka cluster."""
    found = _call("GET", connect_url, "/") or {}
    return found.get("version", ""), found.get("kafka_cluster_id", "")


def get_plugins(connect_url: str) -> dict[str, str]:
    """The versions of the connector classes that Connect has, by class."""
    found = _call("GET", connect_url, "/connector-plugins") or ()
    return {plugin["class"]: plugin.get("version") or "" for plugin in found}


def get_config(connect_url: str, name: str) -> Config | None:
    """The connector's configuration; None if the connector does not exist."""
    config: Config | None = _call("GET", connect_url, f"/connectors/{quote(name)}/config")
    return config


def put_config(connect_url: str, name: str, config: Config) -> None:
    """Create or update the connector."""
    _call("PUT", connect_url, f"/connectors/{quote(name)}/config", config)


def get_state(connect_url: str, name: str) -> tuple[str, str, tuple[Task, ...]] | None:
    """The connector's state, stack trace and tasks; None while no worker of Connect has it yet."""
    status = _call("GET", connect_url, f"/connectors/{quote(name)}/status")
    if status is None:
        return None
    tasks = (
        Task(number=task["id"], state=task["state"], trace=task.get("trace") or "") for task in status.get("tasks", ())
    )
    connector = status["connector"]
    return connector["state"], connector.get("trace") or "", tuple(tasks)


def stop_connector(connect_url: str, name: str) -> None:
    """Stop the connector's tasks; its configuration stays."""
    _call("PUT", connect_url, f"/connectors/{quote(name)}/stop")


def forget_offsets(connect_url: str, name: str) -> None:
    """Delete the offsets of a stopped connector: it then starts with a snapshot."""
    _call("DELETE", connect_url, f"/connectors/{quote(name)}/offsets")


def resume_connector(connect_url: str, name: str) -> None:
    _call("PUT", connect_url, f"/connectors/{quote(name)}/resume")


def restart_connector(connect_url: str, name: str) -> None:
    _call("POST", connect_url, f"/connectors/{quote(name)}/restart?includeTasks=true&onlyFailed=true")


def restart_task(connect_url: str, name: str, number: int) -> None:
    _call("POST", connect_url, f"/connectors/{quote(name)}/tasks/{number}/restart")


def _call(method: str, connect_url: str, path: str, body: Config | None = None) -> Any:
    """The decoded answer; None for an empty answer and for 404."""
    try:
        return _request(method, connect_url, path, body)
    except OSError as error:  # URLError, a reset connection and a timeout are OSErrors
        raise ConnectUnavailableError(f"Kafka Connect at {connect_url} does not answer: {error}") from error
    except (HTTPException, ValueError) as error:  # not HTTP, not JSON, or an invalid address
        raise ConnectUnavailableError(f"no Kafka Connect answers {method} {path} at {connect_url}: {error}") from error


def _request(method: str, connect_url: str, path: str, body: Config | None) -> Any:
    request = urllib.request.Request(  # noqa: S310 - the address is a setting
        connect_url.rstrip("/") + path,
        method=method,
        data=None if body is None else orjson.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310 - as above
            text = response.read()
    except urllib.error.HTTPError as error:
        return _raise_for(method, path, error)
    return orjson.loads(text) if text else None


def _raise_for(method: str, path: str, error: urllib.error.HTTPError) -> None:
    """Returns only for 404 of a GET."""
    with error:
        text = error.read().decode(errors="replace")
    if error.code == _NOT_FOUND and method == "GET":
        return
    if error.code in {_NOT_FOUND, _BUSY} or error.code >= _SERVER_ERROR:
        raise ConnectUnavailableError(f"Kafka Connect is not ready for {method} {path}: {error.code} {text}")
    raise ConnectRefusedError(f"Kafka Connect refused {method} {path}: {error.code} {text}")
