"""Serves the routes: reads a request into a `Call`, answers with JSON or a problem."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from functools import cache, partial, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

import msgspec
import structlog
from anyio import CapacityLimiter, to_thread
from prometheus_client import Histogram
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as StarletteRoute

from tidemill.api.problem import MEDIA_TYPE, ProblemError, of_error, problem
from tidemill.api.route import JSON, MERGE_PATCH, Answer, Call, Later, Route
from tidemill.output import compact_json
from tidemill.target import wall_clock
from tidemill.web.backend import Backend

PREFIX = "/v1"
MOST_BYTES = 4 * 1024**2
LONGEST_REQUEST_ID = 200
THREADS = 16
"""More threads than connections only wait for these, and each other."""
MOST_WAITING = 500
LOOK_SECONDS = 0.1
T = TypeVar("T")
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

log = structlog.get_logger()


Stream = Callable[[Request, Any], Awaitable[Response]]
"""Serves a stream: the request, and an instance of the route's `query`."""


def starlette_routes(
    routes: tuple[Route, ...], streams: Mapping[str, Stream], backend: Backend, seconds: Histogram
) -> list[StarletteRoute]:
    """One route for each path, so that another method is answered with 405 and the allowed ones."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, {})[route.method] = route
    served = [
        StarletteRoute(path, _endpoint(path, methods, streams, backend, seconds), methods=[*_ALL_METHODS])
        for path, methods in by_path.items()
    ]
    return [*served, StarletteRoute("/{rest:path}", _nowhere, methods=[*_ALL_METHODS])]


_ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def _endpoint(
    path: str, methods: Mapping[str, Route], streams: Mapping[str, Stream], backend: Backend, seconds: Histogram
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        began = time.perf_counter()
        made = await _answer(request, methods, streams, backend)
        seconds.labels(PREFIX + path, f"{made.status_code // 100}xx").observe(time.perf_counter() - began)
        return made

    return endpoint


async def _answer(
    request: Request, methods: Mapping[str, Route], streams: Mapping[str, Stream], backend: Backend
) -> Response:
    method = "GET" if request.method == "HEAD" else request.method
    route = methods.get(method)
    if route is None:
        allowed = ", ".join(sorted(methods))
        refused = problem("method-not-allowed", f"{request.url.path} takes {allowed}, and not {request.method}")
        refused.headers["allow"] = allowed
        return written_problem(request, refused)
    try:
        if route.handle is None:
            return await streams[route.path](request, _query(route.query, _pairs(request)))
        body = await _body(request, route)
        answer = await _in_thread(partial(_handled, request, route, body, backend))
        if answer.later is not None:
            answer = await _waited(answer, answer.later, backend)
    except Exception as error:
        refused = of_error(error)
        if refused.problem.status == 500:
            log.exception("api_failed", path=request.url.path)
        return written_problem(request, refused)
    return _written(request, route, answer)


async def _waited(answer: Answer, later: Later, backend: Backend) -> Answer:
    """The later answer if it comes in time, else the first one."""
    deadline = time.monotonic() + later.seconds
    while True:
        found = await _in_thread(partial(later.look, backend))
        if found is not None:
            return found
        if time.monotonic() >= deadline:
            return answer if later.otherwise is None else await _in_thread(partial(later.otherwise, backend))
        await asyncio.sleep(LOOK_SECONDS)


_THREADS = CapacityLimiter(THREADS)


async def _in_thread(call: Callable[[], T]) -> T:
    """Raises `ProblemError` (503) if too many requests wait: each of them would only wait longer."""
    if _THREADS.statistics().tasks_waiting >= MOST_WAITING:
        raise problem("unavailable", f"{MOST_WAITING} requests wait already", retry="1")
    return await to_thread.run_sync(call, limiter=_THREADS)


def _handled(request: Request, route: Route, body: bytes, backend: Backend) -> Answer:
    assert route.handle is not None, "a stream is served elsewhere"
    return route.handle(_call(request, route, body), backend)


def _pairs(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.url.query, keep_blank_values=True)


def _call(request: Request, route: Route, body: bytes) -> Call:
    return Call(
        path=request.url.path,
        parts={name: unquote(value) for name, value in request.path_params.items()},
        query=_query(route.query, _pairs(request)),
        body=_decoded(route, body),
        raw=body,
        headers=request.headers,
        now=wall_clock(),
    )


class _Parameter(NamedTuple):
    field: str
    kind: Any
    """Its type without None: the word `null` is no null in a query."""
    is_many: bool


@cache
def _parameters(kind: type[msgspec.Struct]) -> dict[str, _Parameter]:
    """By name. Made once: msgspec reads the annotations anew each time that it is asked."""
    return {
        each.encode_name: _Parameter(each.name, _not_none(each.type), isinstance(each.default, tuple))
        for each in msgspec.structs.fields(kind)
    }


def _query(kind: type[msgspec.Struct], pairs: list[tuple[str, str]]) -> msgspec.Struct:
    """Raises `ProblemError` that names the parameter and what is allowed."""
    known = _parameters(kind)
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        if name not in known:
            allowed = ", ".join(known) or "no parameter"
            raise problem("malformed", f"there is no query parameter {name!r}; this path takes {allowed}")
        texts.setdefault(name, []).append(text)
    return kind(**{known[name].field: _value(name, known[name], each) for name, each in texts.items()})


def _value(name: str, parameter: _Parameter, texts: list[str]) -> Any:
    """Of several values of a parameter that takes one, the last counts."""
    given = texts if parameter.is_many else texts[-1]
    try:
        return _converted(given, parameter.kind)
    except msgspec.ValidationError as error:
        raise problem("malformed", f"the query parameter {name} is {given!r}: {error}") from error


def _not_none(kind: Any) -> Any:
    others = [each for each in get_args(kind) if each is not NoneType]
    return reduce(or_, others) if get_origin(kind) in {Union, UnionType} else kind


def _converted(value: str | list[str], kind: Any) -> Any:
    """Raises `msgspec.ValidationError`, also for a word of which an enum would make `unknown`."""
    found = msgspec.convert(value, kind, strict=False)
    many, texts = (found, value) if isinstance(value, list) else ((found,), [value])
    for each, text in zip(many, texts, strict=True):
        if isinstance(each, Enum) and each.value != text:
            raise msgspec.ValidationError(f"Invalid enum value {text!r}")
    return found


async def _body(request: Request, route: Route) -> bytes:
    if request.method not in WITH_BODY:
        return b""
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if route.body is not None and said not in {JSON, MERGE_PATCH}:
        raise problem("media-type", f"Content-Type is {said!r}; write {JSON}")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise problem("too-large", f"a body has at most {MOST_BYTES:,} bytes")
    return body


def _decoded(route: Route, body: bytes) -> object:
    if route.body is None:
        return None
    try:
        return msgspec.json.decode(body, type=route.body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise problem("malformed", f"the body is not JSON: {error}") from error


def _written(request: Request, route: Route, answer: Answer) -> Response:
    headers = {"cache-control": "no-store", "x-request-id": request_id(request), **answer.headers}
    if answer.content is not None and not isinstance(answer.content, bytes):
        return StreamingResponse(answer.content, answer.status, headers, media_type=route.media_type)
    if answer.content is not None:
        return Response(answer.content, answer.status, headers, media_type=route.media_type)
    body = b"" if answer.body is None else compact_json(answer.body)
    return Response(body, answer.status, headers, media_type=JSON if body else None)


def written_problem(request: Request, refused: ProblemError) -> Response:
    told = msgspec.structs.replace(refused.problem, instance=request.url.path)
    headers = {"cache-control": "no-store", "x-request-id": request_id(request), **refused.headers}
    return Response(msgspec.json.encode(told), told.status, headers, media_type=MEDIA_TYPE)


def request_id(request: Request) -> str:
    """The caller's own X-Request-ID, or a new one; the same in the answer and in the log."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get("x-request-id", "")
        is_usable = 0 < len(given) <= LONGEST_REQUEST_ID and given.isascii() and given.isprintable()
        request.state.request_id = given if is_usable else str(uuid4())
    found: str = request.state.request_id
    return found


async def _nowhere(request: Request) -> Response:
    return written_problem(
        request, problem("not-found", f"there is no path {request.url.path}; /v1/openapi.json lists all")
    )
