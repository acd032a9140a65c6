"""The ASGI application: routes to pages, errors as pages, and what is around them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, quote, unquote

import psycopg
from prometheus_client import Histogram
from psycopg_pool import PoolTimeout
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from observe.catalogue.web import PAGE_SECONDS
from observe.registry import Registry
from schemas.errors import TidemillError
from tidemill.api.app import api
from tidemill.api.tail import Tail
from tidemill.target import NotFoundError, UsageError, wall_clock
from tidemill.web import assets, errors, login
from tidemill.web.ask import Ask, Fields, fields
from tidemill.web.backend import Backend
from tidemill.web.events import Watch
from tidemill.web.guard import HEADERS, Door, Guard
from tidemill.web.routes import PAGES, Page
from tidemill.web.zone import zone_of

MOST_FORM_BYTES = 1024**2
SMALLEST_TO_COMPRESS = 1000


def application(backend: Backend, door: Door, registry: Registry, grafana: str | None = None) -> Starlette:
    watch, tail = Watch(backend), Tail(backend.target)
    seconds = registry.histogram(PAGE_SECONDS)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        backend.open()
        try:
            yield
        finally:
            tail.close()
            await run_in_threadpool(backend.close)

    app = Starlette(
        routes=[
            api(backend, tail, seconds),
            Route("/events", watch.serve),
            Route("/static/{name:path}", assets.serve),
            *(Route(each.path, _endpoint(each, backend, seconds), methods=[each.method]) for each in PAGES),
            *login.routes(door),
        ],
        middleware=[
            Middleware(EncodedPath),
            Middleware(Guard, door=door),
            Middleware(GZipMiddleware, minimum_size=SMALLEST_TO_COMPRESS),
        ],
        exception_handlers={404: _nowhere, 500: _broken},
        lifespan=lifespan,
    )
    app.state.grafana = grafana
    return app


class EncodedPath:
    """Routes by the encoded path, because a run id may have a slash: `/runs/etl%23r1%2Fload`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
            scope = {**scope, "path": raw.partition(b"?")[0].decode("ascii", "replace")}
        await self._app(scope, receive, send)


def _endpoint(page: Page, backend: Backend, seconds: Histogram) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        began = time.perf_counter()
        made = await make(request)
        seconds.labels(page.path, f"{made.status_code // 100}xx").observe(time.perf_counter() - began)
        return made

    async def make(request: Request) -> Response:
        try:
            form = await _form(request)
        except UsageError as error:
            return PlainTextResponse(f"{error}\n", 413)
        return await run_in_threadpool(answer, page, ask_of(request, form), backend)

    return endpoint


def answer(page: Page, ask: Ask, backend: Backend) -> Response:
    """The page, or the page of the error that stopped it."""
    try:
        return page.make(ask, backend)
    except NotFoundError as error:
        return errors.page_of(ask, 404, "Not found", str(error))
    except UsageError as error:
        return errors.page_of(ask, 422, "This cannot be used", str(error))
    except TidemillError as error:
        return errors.page_of(ask, 409, "This did not work", str(error))
    except (psycopg.OperationalError, PoolTimeout) as error:
        return errors.database(ask, error)
    except psycopg.DatabaseError as error:
        return errors.page_of(ask, 422, "The database refused it", error.diag.message_primary or str(error))


def ask_of(request: Request, form: Fields) -> Ask:
    return Ask(
        path=request.url.path,
        parts={name: unquote(value) for name, value in request.path_params.items()},
        query=fields(parse_qsl(request.url.query)),
        form=form,
        timezone=zone_of(request.cookies),
        now=wall_clock(),
        is_secure=request.url.scheme == "https",
        grafana=request.app.state.grafana,
    )


async def _form(request: Request) -> Fields:
    """Raises `UsageError` for a form that is too large."""
    if request.method != "POST":
        return {}
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_FORM_BYTES:
            raise UsageError(f"The form has more than {MOST_FORM_BYTES:,} bytes.")
    return fields(parse_qsl(body.decode("utf-8", "replace")))


async def _broken(request: Request, _: Exception) -> Response:
    """A bug: uvicorn logs it. The guard is inside of this, so its headers are missing."""
    answer = errors.page_of(ask_of(request, {}), 500, "This is a bug", "the log of this process has the reason")
    answer.headers.update(HEADERS)
    return answer


async def _nowhere(request: Request, _: Exception) -> Response:
    ask = ask_of(request, {})
    return errors.page_of(ask, 404, "Not found", f"There is no page {unquote(ask.path)}.")
