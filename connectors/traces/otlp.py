"""Spans as OTLP/HTTP JSON, and the POST that sends them.

https://opentelemetry.io/docs/specs/otlp/ (OTLP/HTTP, JSON encoding: ids as hex, 64-bit numbers as text).
"""

from __future__ import annotations

import email.utils
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Annotated, Any, assert_never

import msgspec
import orjson

from connectors.traces.spans import Attributes, Span
from schemas.errors import TidemillError
from schemas.times import EPOCH

POST_SECONDS = 10.0
INTERNAL = 1
"""`SPAN_KIND_INTERNAL`."""
_AGAIN = frozenset({401, 403, 404, 429, 502, 503, 504})
"""The answers after which OTLP asks a client to send again, and those to a wrong address or token: once it is mended,
no trace is missing."""
_REDIRECTIONS = range(300, 400)
"""They are not followed: the headers may hold a token, which only the configured address may get."""
_SHOWN = 200
"""The characters of an answer that an error quotes."""


_LONGEST_ANSWER = 64 * 1024


class _PartialSuccess(msgspec.Struct, frozen=True, rename={"rejected": "rejectedSpans", "message": "errorMessage"}):
    rejected: int | Annotated[str, msgspec.Meta(pattern="^[0-9]{1,18}$")] = 0
    """Protobuf writes numbers of 64 bits as text."""
    message: str = ""


class _Answer(msgspec.Struct, frozen=True, rename={"partial": "partialSuccess"}):
    partial: _PartialSuccess | None = None


class CollectorUnavailableError(TidemillError):
    """The collector does not take spans now; send the same again."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after
        """How long the collector asks to wait."""


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Makes the redirection an error."""


_OPENER = urllib.request.build_opener(_NoRedirection)


class SpansRefusedError(TidemillError):
    """The collector does not take these spans, ever."""


def encode(spans: Iterable[Span]) -> bytes:
    """The body of an `ExportTraceServiceRequest`."""
    return orjson.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": _attributes({"service.name": "tidemill"})},
                    "scopeSpans": [
                        {
                            "scope": {"name": "tidemill", "version": version("tidemill")},
                            "spans": [_span(each) for each in spans],
                        }
                    ],
                }
            ]
        }
    )


def post(url: str, body: bytes, headers: Mapping[str, str]) -> str | None:
    """Returns what the collector says of spans that it left out. Raises `CollectorUnavailableError` or
    `SpansRefusedError`.
    """
    if not url.startswith(("http://", "https://")):
        raise SpansRefusedError(f"{url} is not an http or https address")
    request = urllib.request.Request(url, body, {**headers, "Content-Type": "application/json"})  # noqa: S310 - checked
    try:
        with _OPENER.open(request, timeout=POST_SECONDS) as answer:
            return left_out(answer.read(_LONGEST_ANSWER))
    except urllib.error.HTTPError as error:
        said = f"{url} answered {error.code}: {error.read(_SHOWN).decode(errors='replace').strip()}"
        if error.code in _AGAIN or error.code in _REDIRECTIONS:
            raise CollectorUnavailableError(said, _retry_after(error.headers.get("Retry-After"))) from error
        raise SpansRefusedError(said) from error
    except (OSError, http.client.HTTPException) as error:  # also URLError, time-outs, and what is no HTTP
        raise CollectorUnavailableError(f"{url} does not answer: {error}") from error


def left_out(answer: bytes) -> str | None:
    """The sentence of an answer that is a partial success."""
    try:
        partial = msgspec.json.decode(answer, type=_Answer).partial
    except (msgspec.DecodeError, msgspec.ValidationError):  # an answer of a collector that says nothing
        return None
    if partial is None or int(partial.rejected) == 0:
        return None
    return f"{partial.rejected} spans were left out: {partial.message}"


def _retry_after(text: str | None) -> timedelta | None:
    """Seconds or a date, as RFC 9110 allows."""
    if text is None:
        return None
    try:
        if text.strip().isdecimal():
            return timedelta(seconds=int(text))
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(at - datetime.now(at.tzinfo), timedelta(0))  # noqa: TID251 - the collector's clock is a wall clock


def _span(span: Span) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": _nanoseconds(span.begin),
        "endTimeUnixNano": _nanoseconds(span.end),
        "attributes": _attributes(span.attributes),
        "status": {"code": span.status.value},
    }
    if span.parent_span_id:
        made["parentSpanId"] = span.parent_span_id
    if span.message:
        made["status"]["message"] = span.message
    return made


def _attributes(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: str | float) -> dict[str, Any]:
    match value:
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            assert_never(value)


def _nanoseconds(instant: datetime) -> str:
    return str((instant - EPOCH) // timedelta(microseconds=1) * 1000)
