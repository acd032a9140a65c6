"""Decides which requests may come in, and sets the headers that limit what a page may do in the browser."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidemill.api.problem import MEDIA_TYPE, problem

COOKIE = "tidemill_session"
LOGIN = "/login"
STATIC = "/static/"
API = "/v1/"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    # `no-referrer` would make the Origin header of our own forms `null`.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
_SESSION_OF = b"tidemill web session"


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Who may come in."""

    hosts: frozenset[str]
    """The allowed Host headers; empty: any, because a token or a proxy guards the page."""
    token: str | None = None
    proxy_header: str | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    sentence: str


def session_of(token: str) -> str:
    """The cookie's value: it proves the token, and the token cannot be computed from it."""
    return hmac.new(token.encode(), _SESSION_OF, "sha256").hexdigest()


def refusal(door: Door, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
    """Why a request may not come in. The names in `headers` are lower case."""
    host = headers.get("host", "").lower()
    if door.hosts and host not in door.hosts:
        sentence = f"The Host header {host!r} is not a name of this page; TIDEMILL_WEB_HOSTS lists more names."
        return Refusal(status=421, sentence=sentence)
    is_own = _is_same_origin(headers, host) or (path.startswith(API) and _is_no_browser(headers))
    if method not in SAFE_METHODS and not is_own:
        return Refusal(status=403, sentence="A change must come from a form of this page.")
    if path == LOGIN or path.startswith(STATIC) or _is_known(door, headers):
        return None
    return Refusal(status=401, sentence="This page needs a login.")


def _is_same_origin(headers: Mapping[str, str], host: str) -> bool:
    """Browsers send Sec-Fetch-Site on https and to this machine, also if a proxy changes the Host header; Origin tells
    the rest. Without both, it is no browser.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() == host
    except ValueError:  # such as http://[
        return False


def _is_no_browser(headers: Mapping[str, str]) -> bool:
    """A browser names the page that a change comes from. The API takes only JSON, which another site's page cannot
    send without asking first, and nobody answers that.
    """
    return "sec-fetch-site" not in headers and "origin" not in headers


def _is_known(door: Door, headers: Mapping[str, str]) -> bool:
    if door.token is None and door.proxy_header is None:
        return True
    if door.proxy_header is not None and headers.get(door.proxy_header.lower()):
        return True
    if door.token is None:
        return False
    given = headers.get("authorization", "").removeprefix("Bearer ")
    return _equal(given, door.token) or _equal(_cookie(headers), session_of(door.token))


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _cookie(headers: Mapping[str, str]) -> str:
    """`SimpleCookie` gives up at a cookie that it does not understand, which another site on the same host may set."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = refusal(self._door, scope["method"], scope["path"], _headers(scope))
        app = self._app if found is None else self._answer(found, scope)
        await app(scope, receive, lambda message: send(_with_headers(message)))

    def _answer(self, found: Refusal, scope: Scope) -> ASGIApp:
        wants_page = scope["method"] == "GET" and "text/html" in _headers(scope).get("accept", "")
        if found.status == 401 and self._door.token is not None and wants_page:
            return RedirectResponse(LOGIN, 303)
        if scope["path"].startswith(API):
            return _problem(found, scope["path"])
        return PlainTextResponse(f"{found.sentence}\n", found.status)


def _problem(found: Refusal, path: str) -> Response:
    names = {401: "unauthorized", 403: "forbidden", 421: "misdirected"}
    told = msgspec.structs.replace(problem(names[found.status], found.sentence).problem, instance=path)
    headers = {"www-authenticate": "Bearer"} if found.status == 401 else {}
    return Response(msgspec.json.encode(told), found.status, headers, media_type=MEDIA_TYPE)


def _headers(scope: Scope) -> dict[str, str]:
    return dict(Headers(scope=scope))


def _with_headers(message: Message) -> MutableMapping[str, Any]:
    if message["type"] == "http.response.start":
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers[name] = value
        headers.setdefault("cache-control", "no-store")
    return message
