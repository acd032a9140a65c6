"""The API as routes of the web process."""

from __future__ import annotations

from functools import cache

from prometheus_client import Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidemill.api.openapi import document
from tidemill.api.routes import ROUTES
from tidemill.api.serve import PREFIX, starlette_routes
from tidemill.output import compact_json
from tidemill.web.backend import Backend


def api(backend: Backend, seconds: Histogram) -> list[Route]:
    return [Route(f"{PREFIX}/openapi.json", _openapi), *starlette_routes(ROUTES, backend, seconds)]


async def _openapi(_: Request) -> Response:
    return Response(_document(), media_type="application/json")


@cache
def _document() -> bytes:
    return compact_json(document(ROUTES))
