"""The login with a token: the page gets a cookie that proves the token."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs

import htpy as h
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tidemill.web import assets
from tidemill.web.guard import COOKIE, LOGIN, Door, session_of

DAY_SECONDS = 86_400
MOST_BYTES = 4096


def routes(door: Door) -> list[Route]:
    """No route without a token: there is nothing to log in to."""
    token = door.token
    if token is None:
        return []

    async def show(_: Request) -> Response:
        return HTMLResponse(_page())

    async def enter(request: Request) -> Response:
        given = parse_qs((await _start(request)).decode("utf-8", "replace")).get("token", [""])[0].strip()
        if not hmac.compare_digest(given.encode(), token.encode()):
            return HTMLResponse(_page("This is not the token."), 403)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, session_of(token), max_age=30 * DAY_SECONDS, httponly=True, samesite="lax", secure=secure
        )
        return answer

    return [Route(LOGIN, show, methods=["GET"]), Route(LOGIN, enter, methods=["POST"])]


async def _start(request: Request) -> bytes:
    """The first bytes of the form: who has no token cannot fill the memory."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) >= MOST_BYTES:
            break
    return body[:MOST_BYTES]


def _page(problem: str = "") -> str:
    form = h.form(method="post", action=LOGIN, class_="login")[
        h.label["Token", h.input(type="password", name="token", required=True, autofocus=True)],
        h.button(type="submit")["Log in"],
    ]
    said = h.p["The token is in the file that TIDEMILL_WEB_TOKEN_FILE names."]
    return str(
        h.html(lang="en")[
            h.head[
                h.meta(charset="utf-8"),
                h.meta(name="viewport", content="width=device-width, initial-scale=1"),
                h.title["Log in · Tidemill"],
                h.link(rel="stylesheet", href=assets.url("style.css")),
            ],
            h.body[h.main[h.h1["Tidemill"], problem and h.p(class_="problem", role="alert")[problem], form, said]],
        ]
    )
