"""The files of `static/`: read once, named with their hash so that a browser keeps them for a year."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FOREVER = "public, max-age=31536000, immutable"
NAMES = ("style.css", "page.js", "icon.svg", "vendor/htmx.min.js")
SHEET = "style.css"
"""All files of `static/css/` in the order of their names: each page may have one of its own."""


@cache
def content(name: str) -> bytes:
    static = files("tidemill.web").joinpath("static")
    if name == SHEET:
        sheets = sorted(static.joinpath("css").iterdir(), key=lambda each: each.name)
        return b"\n".join(each.read_bytes() for each in sheets)
    return static.joinpath(*name.split("/")).read_bytes()


@cache
def url(name: str) -> str:
    """The address of a file; it changes with its content."""
    return f"/static/{name}?v={hashlib.sha256(content(name)).hexdigest()[:12]}"


async def serve(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in NAMES:
        return PlainTextResponse("There is no such file.\n", 404)
    return Response(content(name), headers={"cache-control": FOREVER}, media_type=TYPES[name.rpartition(".")[2]])
