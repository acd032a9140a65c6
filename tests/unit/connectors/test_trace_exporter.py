"""The exporter of traces and a collector that is away, is something else, or answers nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from connectors.record import Record
from connectors.settings import TracesSettings
from connectors.stopping import Stop
from connectors.traces.exporter import LOOP_LIMIT, Exporter
from connectors.traces.otlp import CollectorUnavailableError, left_out, post
from observe.catalogue.traces import TRACES
from observe.health import Health
from observe.registry import Registry
from schemas.codec import encode
from schemas.status import RunStatus
from tests.support.run_histories import histories
from tests.support.waiting import eventually

LATER = LOOP_LIMIT.total_seconds() + 1


def ended() -> RunStatus:
    return next(each for each in histories(20) if each.state.is_final)


def record(run: RunStatus) -> Record:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Record(topic="status", partition=0, offset=7, at=at, key=run.run_id.encode(), value=encode(run))


@contextmanager
def collector(status: int, headers: dict[str, str] | None = None) -> Iterator[tuple[str, list[str | None]]]:
    """Its address, and the token of each request that it gets."""
    tokens: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            tokens.append(self.headers["X-Token"])
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(status)
            for name, value in {"Content-Length": "0", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *args) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", tokens
    finally:
        server.shutdown()
        server.server_close()


def test_an_exporter_that_waits_for_its_collector_is_live_and_not_ready():
    now = [0.0]
    health, stop = Health(lambda: now[0]), Stop()
    loop = health.loop("traces", LOOP_LIMIT)
    exporter = Exporter("http://127.0.0.1:9/v1/traces", TracesSettings(), Registry().counter(TRACES), stop)
    waiting = threading.Thread(target=exporter.send, args=([record(ended())], health, loop.turn))
    waiting.start()
    try:
        eventually(lambda: "does not answer" in (health.why_not_ready or ""))
        for _ in range(2):
            now[0] += LATER
            eventually(lambda: health.why_not_live is None)
        assert health.why_not_ready is not None
    finally:
        stop.request()
        waiting.join(10)


def test_a_port_that_does_not_speak_http_counts_as_a_collector_that_is_away():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"\0\0\x12\4\0\0\0\0\0")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(CollectorUnavailableError, match="does not answer"):
            post(f"http://127.0.0.1:{server.getsockname()[1]}/v1/traces", b"{}", {})


def test_an_address_that_redirects_gets_no_second_request_and_the_same_is_sent_again():
    with collector(200) as (elsewhere, tokens), collector(302, {"Location": elsewhere}) as (url, _):
        with pytest.raises(CollectorUnavailableError, match="302"):
            post(url, b"{}", {"X-Token": "secret"})
        assert tokens == []


@pytest.mark.parametrize("wait", ["9" * 30, "soon", "Sun, 06 Nov 99999 08:49:37 GMT"])
def test_a_wait_that_nobody_can_keep_is_left_to_the_exporter(wait):
    with collector(503, {"Retry-After": wait}) as (url, _), pytest.raises(CollectorUnavailableError) as found:
        post(url, b"{}", {})
    assert found.value.after is None


def test_a_wait_in_seconds_is_kept():
    with collector(429, {"Retry-After": "7"}) as (url, _), pytest.raises(CollectorUnavailableError) as found:
        post(url, b"{}", {})
    assert found.value.after == timedelta(seconds=7)


def test_a_record_with_an_invalid_traceparent_is_sent_in_a_trace_of_its_own():
    registry, health = Registry(), Health()
    poison = record(msgspec.structs.replace(ended(), traceparent="nonsense"))
    with collector(200) as (url, tokens):
        assert Exporter(url, TracesSettings(), registry.counter(TRACES), Stop()).send([poison], health, lambda: None)
    assert len(tokens) == 1
    assert registry.prometheus.get_sample_value("tidemill_traces_total", {"outcome": "sent"}) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too long"}}', "3 spans were left out: too long"),
        (b'{"partialSuccess":{}}', None),
        (b"{}", None),
        (b"", None),
        (b"\x0a\x00", None),
    ],
)
def test_what_a_collector_leaves_out_is_said(answer, said):
    assert left_out(answer) == said
