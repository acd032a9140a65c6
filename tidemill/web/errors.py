"""The pages of errors: the sentence of the command line, and what to do."""

from __future__ import annotations

import htpy as h
import psycopg
import structlog
from starlette.responses import Response

from tidemill.output import visible
from tidemill.web.ask import Ask
from tidemill.web.layout import page

LOCKED = "Somebody else is changing it now, in a transaction that has not ended. Try again in a moment."

log = structlog.get_logger()


def page_of(ask: Ask, status: int, title: str, sentence: str) -> Response:
    sentence = visible(sentence[:1].upper() + sentence[1:]).rstrip(".")
    return page(ask, title, h.p(class_="problem", role="alert")[f"{sentence}."], status=status)


def database(ask: Ask, error: psycopg.Error) -> Response:
    """The database does not answer, or not in time."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    log.warning("page_failed", path=ask.path, error=first)
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return page_of(ask, 409, "This did not work", LOCKED)
    if isinstance(error, psycopg.errors.QueryCanceled):
        return page_of(ask, 503, "This takes too long", "the database needed too long: narrow the filters")
    return page_of(ask, 503, "The database does not answer", f"{first}: `tidemill doctor` finds the reason")
