"""Errors of S3: undeleted objects and invalid endpoints."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from connectors.objects import Objects, ObjectsError
from schemas.settings import Connections


@pytest.mark.parametrize("endpoint", ["s3.example.org:9000", "http://", "http://a b"])
def test_an_endpoint_that_is_no_address_is_named(endpoint: str) -> None:
    with pytest.raises(ObjectsError, match=endpoint):
        Objects(Connections(s3_endpoint=endpoint))


class _Refusing(BaseHTTPRequestHandler):
    """An S3 that refuses to delete."""

    said = (
        b"<DeleteResult><Error><Key>logs/a</Key><Code>AccessDenied</Code><Message>it is locked</Message></Error>"
        b"</DeleteResult>"
    )

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *_: object) -> None:
        pass


def test_undeleted_objects_are_returned_with_the_reason() -> None:
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        place = Connections(s3_endpoint=endpoint, s3_access_key="a", s3_secret_key="b")
        kept = Objects(place).delete(["s3://bucket/logs/a", "s3://bucket/logs/b"])
        answering.join()
    assert kept == {"s3://bucket/logs/a": "AccessDenied: it is locked"}
