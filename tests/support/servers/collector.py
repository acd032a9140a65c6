"""A collector of traces as OTLP/HTTP describes it: it notes the runs whose spans it gets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Collector:
    """What an OpenTelemetry collector does with OTLP/HTTP: it takes spans, or answers with an error."""

    def __init__(self) -> None:
        self.runs: set[str] = set()
        self.posts = 0
        self.answer = 200
        self.refuses: str | None = None
        """It refuses every POST with this text, as a collector refuses a span that it cannot read."""
        self.tokens: set[str | None] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.tokens.add(self.headers["X-Token"])
                self.send_response(collector.take(body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"

    def take(self, body: bytes) -> int:
        self.posts += 1
        if self.answer != 200:
            return self.answer
        if self.refuses and self.refuses.encode() in body:
            return 400
        (resource,) = json.loads(body)["resourceSpans"]
        for span in resource["scopeSpans"][0]["spans"]:
            for attribute in span["attributes"]:
                if attribute["key"] == "tidemill.run_id":
                    self.runs.add(attribute["value"]["stringValue"])
        return 200


@contextmanager
def running_collector() -> Iterator[Collector]:
    found = Collector()
    try:
        yield found
    finally:
        found.server.shutdown()
        found.server.server_close()
