"""Errors as problem documents (RFC 9457): `detail` is the sentence of the database, and a pointer names the field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests

from schemas.errors import TidemillError
from tidemill.target import NotFoundError, RefusedError, ReplicaError, UsageError
from tidemill.web.errors import LOCKED

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "1"
_FIELD = re.compile(r"(?:in )?\"?([a-z_]+)\"? (?:is|must|of|needs|takes)\b")
_PATH = re.compile(r" - at `\$\.?(.*?)`$")
_INDEX = re.compile(r"\[(\d+)\]")


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    pointer: str
    """A JSON pointer into the body, such as `/schedule`."""
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    """A name of the kind of problem: docs/api.md has a section on each."""
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: tuple[FieldError, ...] = ()
    version: int | None = None
    """The present version, if the request named another one."""


class ProblemError(Exception):
    """Becomes the answer of the API."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = dict(headers or {})


TITLES: Mapping[str, tuple[int, str]] = {
    "malformed": (400, "The request cannot be read"),
    "unauthorized": (401, "The request needs a token"),
    "forbidden": (403, "The token does not allow this"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "The path does not take this method"),
    "conflict": (409, "This is not possible now"),
    "version-mismatch": (412, "The version is another one"),
    "too-large": (413, "The body is too large"),
    "media-type": (415, "The body must be JSON"),
    "misdirected": (421, "This host is not served"),
    "invalid": (422, "The values are refused"),
    "idempotency-mismatch": (422, "The key belongs to another request"),
    "precondition-required": (428, "The request must name a version"),
    "too-many-requests": (429, "There are too many requests"),
    "internal": (500, "This is a bug"),
    "unavailable": (503, "The database does not answer"),
}


def problem(
    name: str, detail: str, *, pointer: str | None = None, version: int | None = None, retry: str | None = None
) -> ProblemError:
    """The error to raise. `name` is one of `TITLES`, `retry` the seconds after which another try makes sense."""
    status, title = TITLES[name]
    errors = () if pointer is None else (FieldError(pointer=pointer, detail=detail),)
    made = Problem(type=f"tidemill:{name}", title=title, status=status, detail=detail, errors=errors, version=version)
    return ProblemError(made, {"retry-after": retry} if retry else None)


def of_error(error: Exception) -> ProblemError:  # noqa: PLR0911 - a dispatch table
    """What an error of the commands, of msgspec or of the database is as a problem."""
    match error:
        case ProblemError():
            return error
        case NotFoundError():
            return problem("not-found", str(error))
        case msgspec.ValidationError():
            return of_validation(error)
        case UsageError():
            return problem("invalid", str(error), pointer=pointer_of(str(error)))
        case TooManyRequests() | PoolTimeout() | ReplicaError():
            return problem("unavailable", "all connections to the database are in use", retry=RETRY_SECONDS)
        case RefusedError() | TidemillError():
            return problem("conflict", str(error))
        case psycopg.Error():
            return of_database(error)
        case _:
            return problem("internal", "the log of this process has the reason")


def of_database(error: psycopg.Error) -> ProblemError:
    said = error.diag.message_primary or (str(error).strip() or type(error).__name__).splitlines()[0]
    match error:
        case psycopg.errors.LockNotAvailable():
            return problem("conflict", LOCKED, retry=RETRY_SECONDS)
        case psycopg.errors.QueryCanceled():
            return problem("unavailable", "the database needed too long: narrow the filters", retry=RETRY_SECONDS)
        case psycopg.errors.SerializationFailure() | psycopg.errors.DeadlockDetected():
            return problem("unavailable", said, retry=RETRY_SECONDS)
        case psycopg.errors.InsufficientPrivilege():
            return problem("forbidden", said)
        case psycopg.OperationalError():
            return problem("unavailable", said, retry=RETRY_SECONDS)
        case _:
            return problem("invalid", said, pointer=pointer_of(said))


def of_validation(error: msgspec.ValidationError) -> ProblemError:
    """Msgspec says what is wrong, and where in the value."""
    text = str(error)
    found = _PATH.search(text)
    pointer = _pointer(found[1]) if found else ""
    sentence = _PATH.sub("", text)
    name = pointer.lstrip("/")
    return problem("invalid", f"{name}: {sentence}" if name else sentence, pointer=pointer)


def _pointer(path: str) -> str:
    """`env[...]` and `items[3].payload` of msgspec as JSON pointers; it does not say which member of an object."""
    return "/" + _INDEX.sub(r"/\1", path.replace("[...]", "")).replace(".", "/").lstrip("/")


def pointer_of(sentence: str) -> str | None:
    """The field that a sentence of the database begins with: `schedule is "x": …`."""
    return next(_pointers(sentence), None)


def _pointers(sentence: str) -> Iterator[str]:
    if (found := _FIELD.match(sentence)) or (found := re.match(r"([a-z_]+): ", sentence)):
        yield f"/{found[1]}"
