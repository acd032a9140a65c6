"""The reader's time zone, kept in a cookie: `page.js` sets it from the browser, the footer's form by hand."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

from starlette.responses import Response

from schemas.errors import TidemillError
from streams.core.schedule import zone as zones
from tidemill.web.ask import Ask
from tidemill.web.backend import Backend
from tidemill.web.layout import redirect

COOKIE = "tidemill_zone"
YEAR_SECONDS = 365 * 86_400


def zone_of(cookies: Mapping[str, str]) -> str:
    """UTC without a cookie, or with one that names no zone."""
    name = unquote(cookies.get(COOKIE, ""))
    try:
        zones.load(name)
    except TidemillError:
        return "UTC"
    return name


def choose(ask: Ask, _: Backend) -> Response:
    """Sets the zone and goes back. Raises `TidemillError` for an unknown zone."""
    name = ask.field("timezone") or "UTC"
    zones.load(name)
    back = ask.field("back") or "/"
    answer = redirect(back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/")
    answer.set_cookie(COOKIE, quote(name, safe=""), max_age=YEAR_SECONDS, samesite="lax", secure=ask.is_secure)
    return answer
