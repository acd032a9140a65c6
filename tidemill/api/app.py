"""The API as routes of the web process."""

from __future__ import annotations

from functools import cache

from prometheus_client import Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from schemas.wire import documents
from tidemill.api.events import Events
from tidemill.api.openapi import document
from tidemill.api.routes import EVENTS, ROUTES
from tidemill.api.serve import PREFIX, starlette_routes
from tidemill.api.tail import Tail
from tidemill.output import compact_json
from tidemill.web.backend import Backend


def api(backend: Backend, tail: Tail, seconds: Histogram) -> Mount:
    """Apart from the pages, so that a request is not compared with each of their paths."""
    streams = {EVENTS: Events(backend, tail).serve}
    routes = starlette_routes(ROUTES, streams, backend, seconds)
    return Mount(PREFIX, routes=[Route("/openapi.json", _openapi), Route("/asyncapi.json", _asyncapi), *routes])


async def _openapi(_: Request) -> Response:
    return Response(_document(), media_type="application/json")


async def _asyncapi(_: Request) -> Response:
    return Response(documents()["asyncapi.json"], media_type="application/json")


@cache
def _document() -> bytes:
    return compact_json(document(ROUTES))
