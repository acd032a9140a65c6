"""The API over a real Postgres, and a client that speaks JSON."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from schemas.settings import Connections
from tests.support.read_model_rows import allow_writes
from tests.support.web_site import running_site
from tidemill.members import Workers
from tidemill.web.parts import Parts

EXECUTABLE = "s3://bucket/key"
PARTS = Parts(
    partitions=2,
    connector="RUNNING",
    waiting={},
    executors=[{"name": "e", "state": "running", "slots": 8, "free": 5, "classes": {"10s": {"slots": 8, "free": 5}}}],
    workers=Workers(group="g", state="stable", held={0: "w"}),
    clocks={},
    problems=(),
)
"""What Kafka would say of the deployment: the tests of the API have only a Postgres."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw) if self.raw else None

    @property
    def etag(self) -> str:
        return self.headers["etag"]


@dataclass(frozen=True)
class Api:
    port: int

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        sent = body if isinstance(body, str | bytes | None) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        own = {"Content-Type": "application/json"} if sent is not None else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, f"/v1{path}", sent, own | named)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def create(self, job_id: str, /, **columns: Any) -> Reply:
        return self("PUT", f"/jobs/{job_id}", {"executable": EXECUTABLE} | columns, If_None_Match="*")


@pytest.fixture(scope="module")
def site(module_dsn) -> Iterator[Any]:
    with running_site(Connections(postgres_dsn=module_dsn), {"parts": lambda: PARTS}) as made:
        yield made


@pytest.fixture
def api(site) -> Api:
    return Api(site.port)


@pytest.fixture
def database(module_dsn):
    with psycopg.connect(module_dsn, autocommit=True, row_factory=dict_row) as connection:
        allow_writes(connection)
        yield connection
