"""The description of the API in OpenAPI 3.1, made of the routes: `/v1/openapi.json`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec

from tidemill.api import shapes
from tidemill.api.problem import MEDIA_TYPE, TITLES, Problem
from tidemill.api.route import JSON, MERGE_PATCH, NoQuery, Route

Schema = dict[str, Any]
REF = "#/components/schemas/{name}"
ALWAYS = (400, 401, 403, 405, 421, 429, 500, 503)
"""Failures that every route has."""
WITH_BODY = (413, 415, 422)
HEADERS: Mapping[str, tuple[str, Schema]] = {
    "If-Match": ("The ETag of the version that this replaces, or `*`.", {"type": "string"}),
    "If-None-Match": ("`*`: only if there is none.", {"type": "string", "enum": ["*"]}),
    "Idempotency-Key": (
        "The id of the request, in quotes. The same key with the same body is the same request.",
        {"type": "string", "maxLength": 202},
    ),
    "Prefer": ("`wait=30`: answer when the run has ended, or after so many seconds.", {"type": "string"}),
    "Last-Event-ID": ("The id of the last event that the reader has seen.", {"type": "string"}),
    "Range": ("`bytes=0-1023`: a part of the log.", {"type": "string"}),
}
TAGS = {
    "jobs": "Definitions: rows of `tidemill.jobs`.",
    "dags": "Jobs in dependency order: rows of `tidemill.dags` and `tidemill.dag_nodes`.",
    "requests": "Ask for a run, a stop, a rerun: rows of `tidemill.requests`.",
    "runs": "What ran, and why not: the read model.",
    "fleet": "Executors, partitions and problems.",
}
_PART = re.compile(r"\{(\w+)\}")


def document(routes: Iterable[Route]) -> Schema:
    routes = tuple(routes)
    kinds = {each.body for each in routes if each.body is not None} | {Problem}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=REF)
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(f"/v1{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tidemill",
            "version": version("tidemill"),
            "description": "The API writes rows and reads the read model: whatever it does, SQL can do.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"token": []}, {"session": []}, {}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**_tidy(schemas), **shapes.SCHEMAS},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "tidemill_session"},
            },
        },
    }


def _operation(route: Route) -> Schema:
    made: Schema = {
        "operationId": f"{route.method.lower()}{_camel(route.path)}",
        "summary": route.summary,
        "tags": [route.tag],
        "x-scope": route.scope.value,
        "parameters": [*_parts(route), *_queries(route), *map(_header, route.takes)],
        "responses": _responses(route),
    }
    if route.body is not None:
        body = {"schema": {"$ref": REF.format(name=route.body.__name__)}}
        types = (JSON, MERGE_PATCH) if route.method == "PATCH" else (JSON,)
        made["requestBody"] = {"required": True, "content": dict.fromkeys(types, body)}
    return made


def _camel(path: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"[^a-z]+", path) if word)


def _parts(route: Route) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": "Percent-encoded: `/` is %2F and `#` is %23.",
            "schema": {"type": "string", "minLength": 1},
        }
        for name in _PART.findall(route.path)
    ]


def _queries(route: Route) -> list[Schema]:
    if route.query is NoQuery:
        return []
    _, known = msgspec.json.schema_components([route.query], ref_template=REF)
    properties = _resolved(known[route.query.__name__]["properties"], known)
    return [_parameter(name, each) for name, each in properties.items()]


def _parameter(name: str, schema: Schema) -> Schema:
    is_many = schema.get("type") == "array"
    shown = {key: value for key, value in schema.items() if key != "default"}
    if "anyOf" in shown:
        others = [each for each in shown["anyOf"] if each != {"type": "null"}]
        shown = others[0] if len(others) == 1 else {**shown, "anyOf": others}
    extra = {"explode": True, "style": "form"} if is_many else {}
    return {"name": name, "in": "query", "required": False, "schema": shown, **extra}


def _resolved(value: Any, known: Mapping[str, Any]) -> Any:
    """With each reference replaced by what it names: a parameter stands alone."""
    match value:
        case {"$ref": str(place)}:
            return _resolved(known[place.rpartition("/")[2]], known)
        case dict():
            return {name: _resolved(each, known) for name, each in value.items()}
        case list():
            return [_resolved(each, known) for each in value]
        case _:
            return value


def _header(name: str) -> Schema:
    description, schema = HEADERS[name]
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _responses(route: Route) -> Schema:
    made: Schema = {str(status): _success(route, status, shape) for status, shape in route.answers.items()}
    failures = {*ALWAYS, *route.problems, *(WITH_BODY if route.body is not None else ()), *_of_values(route)}
    for status in sorted(failures):
        content = {MEDIA_TYPE: {"schema": {"$ref": REF.format(name="Problem")}}}
        made[str(status)] = {"description": _title(status), "content": content}
    return made


def _of_values(route: Route) -> tuple[int, ...]:
    """The values of a GET can be refused too: a time that does not exist, an id of a wrong form."""
    return (422,) if route.method == "GET" and ("{" in route.path or route.query is not NoQuery) else ()


def _title(status: int) -> str:
    return "; ".join(title for code, title in TITLES.values() if code == status) or HTTPStatus(status).phrase


def _success(route: Route, status: int, shape: str | None) -> Schema:
    made: Schema = {"description": HTTPStatus(status).phrase}
    if shape is not None:
        made["content"] = {route.media_type: {"schema": {"$ref": REF.format(name=shape)}}}
    headers = {"X-Request-ID": {"schema": {"type": "string"}}}
    if status in {200, 202} and "Idempotency-Key" in route.takes:
        headers["Location"] = {"schema": {"type": "string"}}
    return {**made, "headers": headers}


def _tidy(schemas: Mapping[str, Schema]) -> Schema:
    """As JSON has it: defaults that are tuples become lists."""
    tidied: Schema = msgspec.json.decode(msgspec.json.encode(dict(sorted(schemas.items()))))
    return tidied
