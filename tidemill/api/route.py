"""A route as data: from it come the routing, the checks of a request, and its description in OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from tidemill.web.backend import Backend

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


class Scope(Enum):
    """What a token must allow."""

    READ = "read"
    OPERATE = "operate"
    """Request runs, stop them, run them again."""
    ADMIN = "admin"
    """Change jobs and DAGs."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, checked."""

    path: str
    parts: Mapping[str, str]
    """The variable segments of the path, decoded."""
    query: Any
    """An instance of the route's `query`."""
    body: Any
    """An instance of the route's `body`; None without one."""
    raw: bytes
    """The body as it was sent."""
    headers: Mapping[str, str]
    """By names in lower case."""
    now: datetime


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 200
    body: Any = None
    """What JSON is made of; None: no body."""
    headers: Mapping[str, str] = {}
    content: bytes | Iterator[bytes] | None = None
    """In place of `body`: bytes of the route's media type."""
    later: Later | None = None


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """A better answer may come: it is looked for now and then, and no thread waits meanwhile."""

    look: Callable[[Backend], Answer | None]
    """None: not yet. Called in a thread; raises as a `Handle`."""
    seconds: float
    otherwise: Callable[[Backend], Answer] | None = None
    """What is answered after that time; None: what was answered at first."""


Handle = Callable[[Call, Backend], Answer]
"""Called in a thread. Raises `ProblemError`, or an error of the commands or the database."""


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Route(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str
    """Below /v1; `{name}` is one segment, percent-encoded: a run id has `#` and `/`."""
    handle: Handle | None
    """None: it is a stream, which `tidemill.api.app` serves."""
    summary: str
    scope: Scope
    tag: str
    query: type[msgspec.Struct] = NoQuery
    body: type[Any] | None = None
    takes: tuple[str, ...] = ()
    """Headers that change what it does."""
    answers: Mapping[int, Any] = {}
    """The type of the body for each status of success; None: no body."""
    problems: tuple[int, ...] = ()
    """Statuses of failure besides those that every route has."""
    media_type: str = "application/json"
