"""The small port of a process: `/metrics` for Prometheus, `/livez` and `/readyz` for what supervises the process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from observe.health import Health
from observe.registry import Registry
from observe.settings import parse_address
from schemas.errors import TidemillError

REQUEST_SECONDS = 10.0
"""A client that sends or reads nothing for this long is dropped."""

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
App = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class PortTakenError(TidemillError):
    """TIDEMILL_OBSERVE_LISTEN cannot be listened on."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Asks no name server for this machine's name, as the base class does: its answer may take many seconds."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: a client that goes away or stands still is no error of this process."""


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
        """Log nothing: a scrape every few seconds is no news."""


@contextmanager
def observed(listen: str | None, registry: Registry, health: Health) -> Iterator[None]:
    """Serve while the process works; without an address, serve nothing. Raises `PortTakenError`."""
    if listen is None:
        yield
        return
    server = _listen(listen, _app(registry, health))
    thread = threading.Thread(target=server.serve_forever, name="observe", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _listen(listen: str, app: App) -> WSGIServer:
    host, port = parse_address(listen)
    kind = _ServerV6 if ":" in host else _Server
    try:
        return make_server(host, port, app, kind, _Handler)
    except OSError as error:
        raise PortTakenError(f"TIDEMILL_OBSERVE_LISTEN {listen} cannot be used: {error.strerror or error}") from error


def _app(registry: Registry, health: Health) -> App:
    metrics = make_wsgi_app(registry.prometheus)
    probes = {"/livez": lambda: health.why_not_live, "/readyz": lambda: health.why_not_ready}

    def serve(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        if path in probes:
            return _probe(probes[path](), start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"There are /metrics, /livez and /readyz.\n"]

    return serve


def _probe(problem: str | None, start_response: StartResponse) -> Iterable[bytes]:
    status = "200 OK" if problem is None else "503 Service Unavailable"
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")])
    return [f"{problem or 'ok'}\n".encode()]
