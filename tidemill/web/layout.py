"""The frame of every page: head, navigation, footer; and the answers that are not pages."""

from __future__ import annotations

import htpy as h
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tidemill.web import assets
from tidemill.web.ask import Ask
from tidemill.web.grafana import dashboard_url

NAVIGATION = (
    ("/", "Home"),
    ("/runs", "Runs"),
    ("/jobs", "Jobs"),
    ("/dags", "DAGs"),
    ("/fleet", "Fleet"),
    ("/problems", "Problems"),
)
HTMX = '{"includeIndicatorCSS": false, "history": false, "morphIgnore": ["data-htmx-powered", "open"]}'
"""What the reader has opened stays open when its region is renewed."""


def page(ask: Ask, title: str, *content: h.Node, status: int = 200) -> Response:
    """A whole page."""
    return HTMLResponse(str(document(ask, title, *content)), status)


def redirect(url: str) -> Response:
    """After a change: the browser gets this page, so that a reload repeats nothing."""
    return RedirectResponse(url, 303)


def document(ask: Ask, title: str, *content: h.Node) -> h.Element:
    return h.html(lang="en")[
        h.head[
            h.meta(charset="utf-8"),
            h.meta(name="viewport", content="width=device-width, initial-scale=1"),
            h.meta(name="color-scheme", content="light dark"),
            h.meta(name="htmx-config", content=HTMX),
            h.title[f"{title} · Tidemill"],
            h.link(rel="icon", href=assets.url("icon.svg"), type="image/svg+xml"),
            h.link(rel="stylesheet", href=assets.url("style.css")),
            h.script(src=assets.url("vendor/htmx.min.js"), defer=True),
            h.script(src=assets.url("page.js"), defer=True),
        ],
        h.body[
            h.a(href="#main", class_="skip")["Skip to the content"],
            _top(ask),
            h.main(id="main")[h.h1[title], content],
            _foot(ask),
        ],
    ]


def _top(ask: Ask) -> h.Element:
    return h.header(class_="top")[
        h.a(href="/", class_="name")[h.img(src=assets.url("icon.svg"), alt="", width="20", height="20"), "Tidemill"],
        h.nav(aria_label="Pages")[
            (h.a(href=path, aria_current="page" if _is_here(ask, path) else None)[name] for path, name in NAVIGATION)
        ],
        h.button(type="button", id="pause", class_="quiet", hidden=True, aria_pressed="false")["Pause updates"],
    ]


def _is_here(ask: Ask, path: str) -> bool:
    return ask.path == path or (path != "/" and ask.path.startswith(f"{path}/"))


def _foot(ask: Ask) -> h.Element:
    return h.footer[
        h.form(method="post", action="/zone")[
            h.label["Times in ", h.input(name="timezone", value=ask.timezone, size="20", autocomplete="off")],
            h.input(type="hidden", name="back", value=ask.url()),
            h.button(type="submit", class_="quiet")["Use this zone"],
        ],
        (there := dashboard_url(ask)) and h.a(href=there)["In Grafana"],
        h.span(id="zone", data_zone=ask.timezone),
    ]
