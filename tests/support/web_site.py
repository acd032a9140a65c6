"""The web page on a real port in a thread, and a client that sends what a browser sends."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import urlencode

import msgspec
import uvicorn

from observe.registry import Registry
from schemas.settings import Connections
from tests.support.waiting import eventually
from tidemill.web.app import application
from tidemill.web.backend import Backend
from tidemill.web.background import Background, Task
from tidemill.web.settings import WebSettings, door_of


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    text: str

    def fields(self) -> dict[str, str]:
        """What the browser would send of the page's forms, by name."""
        reader = _Fields()
        reader.feed(self.text)
        return reader.found


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._select = self._textarea = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "input" and "name" in given:
            self.found[given["name"]] = given.get("value", "")
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and (self._select not in self.found or "selected" in given):
            self.found[self._select] = given.get("value", "")
        elif tag == "textarea":
            self._textarea = given["name"]
            self.found[self._textarea] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.found[self._textarea] += data


class Site(msgspec.Struct, frozen=True):
    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> Answer:
        """As a form of the page posts it, unless `headers` say otherwise."""
        own = {"Origin": self.origin, "Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, urlencode(fields or {}), own | headers)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode())
        finally:
            connection.close()


@contextmanager
def running_site(
    target: Connections, background: Mapping[str, Callable[[], object]] | None = None, **settings: object
) -> Iterator[Site]:
    """`background` has what the tasks of the background read; without it they read nothing."""
    tasks = {name: Task(read=read, every=timedelta(seconds=0.1)) for name, read in (background or {}).items()}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        door = door_of(WebSettings(**{"web_listen": f"127.0.0.1:{port}", **settings}))  # type: ignore[arg-type]
        app = application(Backend(target, 2, Background(tasks)), door, Registry())
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            eventually(lambda: server.started)
            yield Site(port)
        finally:
            server.should_exit = True
            thread.join()
