"""Bytes become values here, and nowhere else: orjson reads and writes the JSON, msgspec converts and validates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, assert_never

import msgspec
import orjson

from schemas.backfill import Backfill
from schemas.convert import convert
from schemas.dag import DagSpec, InvalidDagError, check_order
from schemas.errors import UndecodableError
from schemas.ids import InvalidIdError, OwnerId, check_id
from schemas.job import Definition, JobSpec
from schemas.request import Request
from schemas.request_rules import (
    RefusedRequestError,
    check_fields,
    check_instants,
    check_request,
    check_run_id,
    completed,
    owner_named,
)
from schemas.times import ceil_ms, rfc3339
from schemas.topics import MAX_REQUEST_BYTES
from schemas.words import DefinitionKind, RequestKind

T = TypeVar("T")

_AS_THEY_ARE = (datetime, orjson.Fragment)
"""Types that orjson writes."""
MAX_JSON_DEPTH = 200
"""Of what users hand in: orjson reads 1024 levels but writes no more than these and a few of our own around them."""
_DEPTH_WRITTEN = 254
_DEFINITION_LEVELS = {DefinitionKind.JOB: 1, DefinitionKind.DAG: 3}
"""Of our own around a payload in a definition: the spec, and of a DAG its nodes and the node."""
_RESULT_LEVELS = 3
"""Around a result in the nodes that an order about a DAG run brings along: the nodes, the node and the result."""
_LEAST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1
_MANY_DIGITS = re.compile(r"[0-9]{19}")
_LONG_INTEGER = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![0-9.eE+-])(-?[0-9]{19,})(?![0-9.eE])')
"""A string, which is passed over, or an integer that may not fit into 64 bits."""
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""As orjson writes it; not a backslash that is followed by such letters."""


class _DefinitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A definition before its kind has said what its spec is."""

    owner: OwnerId
    kind: DefinitionKind
    version: int
    valid_from: datetime
    deleted: bool
    spec: Any


def encode(value: msgspec.Struct, **encoded: bytes) -> bytes:
    """JSON; instants as RFC 3339 UTC with milliseconds, durations as ISO 8601, enums as their words.

    `encoded` is the JSON of fields that was made before: what goes out twice is encoded once.
    """
    if encoded:
        value = msgspec.structs.replace(value, **{name: orjson.Fragment(json) for name, json in encoded.items()})
    plain = msgspec.to_builtins(value, builtin_types=_AS_THEY_ARE, str_keys=True)
    return orjson.dumps(plain, default=_instant, option=orjson.OPT_PASSTHROUGH_DATETIME)


def decode(data: bytes, kind: type[T]) -> T:
    """Raises `UndecodableError` with a sentence. Unknown fields are ignored: a newer version may have written them."""
    try:
        return convert(orjson.loads(data), kind)
    except orjson.JSONDecodeError as error:
        raise UndecodableError(f"is not JSON: {error}") from error
    except msgspec.ValidationError as error:
        raise UndecodableError(f"is no {kind.__name__}: {error}") from error


def decode_captured(data: bytes) -> Definition | Request:
    """A row of `tidemill.definitions` or `tidemill.requests`, as the connector writes it to the topic `cdc`."""
    row = _object(data)
    table = row.get("__table")
    if table == "definitions":
        return _definition(row)
    if table == "requests":
        return _request(row)
    raise UndecodableError(f"__table is {table!r}; allowed are 'definitions' and 'requests'")


def decode_request(data: bytes, appended_at: datetime) -> Request:
    """A record of the public topic `requests` (schemas/request.json); refused for whatever the table refuses."""
    if len(data) > MAX_REQUEST_BYTES:
        raise UndecodableError(f"has {len(data)} bytes; at most {MAX_REQUEST_BYTES} are allowed")
    row = _object(data)
    try:
        check_fields(row)
        owner, created_at = owner_named(row), row.get("created_at") or appended_at
        named = {**row, "job_id": owner, "owner": owner, "created_at": created_at}
        _json_bytes("nodes", row.get("nodes"))
        request = completed(_convert(named, Request))
        check_request(request, _json_bytes("payload", request.payload))
        _check_integers("payload", data.decode())
    except (InvalidIdError, RefusedRequestError) as error:
        raise UndecodableError(f"is refused: {error}") from error
    return _in_milliseconds(request)


def decode_json(data: bytes) -> tuple[Any, bytes]:
    """What a user's program wrote: its value, and the JSON that stands for it from here on.

    Raises `UndecodableError` for whatever could not be written again, or be a jsonb in Postgres.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UndecodableError(f"is not JSON: {error}") from error
    try:
        _json_bytes("it", value)
    except UndecodableError as error:
        raise UndecodableError(f"is refused: {error}") from error
    json = orjson.dumps(value)
    if _NUL.search(json):
        raise UndecodableError("is refused: it contains the character U+0000, which Postgres does not store")
    return value, json


def join_json(payload: Any, results: Mapping[str, bytes | None]) -> bytes:
    """What a node gets that depends on others; `results` are JSON already, and None is null."""
    written = {name: None if json is None else orjson.Fragment(json) for name, json in results.items()}
    return orjson.dumps({"payload": payload, "results": written})


def encode_json(value: Any) -> bytes:
    """What came in as JSON, as JSON."""
    return orjson.dumps(value)


def _instant(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    raise TypeError(f"{type(value).__name__} has no form on the wire")


def _object(data: bytes) -> dict[str, Any]:
    return decode(data, dict[str, Any])


def _definition(row: dict[str, Any]) -> Definition:
    said = _convert({**row, "spec": _embedded(row, "spec")}, _DefinitionRow)
    _check_writable(row, "spec", said.spec, _DEFINITION_LEVELS[said.kind])
    if not said.deleted and said.spec is None:
        raise UndecodableError(f"definition {said.owner!r} version {said.version} has no spec")
    return Definition(
        owner=said.owner,
        kind=said.kind,
        version=said.version,
        valid_from=said.valid_from,
        deleted=said.deleted,
        spec=None if said.spec is None else _spec(said.kind, said.spec),
    )


def _spec(kind: DefinitionKind, plain: Any) -> JobSpec | DagSpec:
    match kind:
        case DefinitionKind.JOB:
            return _convert(plain, JobSpec)
        case DefinitionKind.DAG:
            dag = _convert(plain, DagSpec)
            try:
                check_order(dag)
            except InvalidDagError as error:
                raise UndecodableError(str(error)) from error
            return dag
        case _:
            assert_never(kind)


def _request(row: dict[str, Any]) -> Request:
    job_id = row.get("job_id") if row.get("dag_id") is None else row["dag_id"]
    payload, nodes = _embedded(row, "payload"), _embedded(row, "nodes")
    _check_writable(row, "payload", payload, own_levels=0)
    _check_depth(row, "nodes", nodes, _RESULT_LEVELS)
    embedded = {"payload": payload, "nodes": nodes, "backfill": _backfill(row)}
    request = _convert({**row, "job_id": job_id, **embedded}, Request)
    try:
        check_id("request_id", request.request_id)
        _check_run_id(request)
        check_instants(request)
    except (InvalidIdError, RefusedRequestError) as error:
        raise UndecodableError(str(error)) from error
    return _in_milliseconds(request)


def _backfill(row: dict[str, Any]) -> dict[str, Any] | None:
    if row.get("kind") != RequestKind.BACKFILL.value:
        return None
    return {name: row.get(name) for name in Backfill.__struct_fields__} | {"ran": _embedded(row, "ran") or {}}


def _in_milliseconds(request: Request) -> Request:
    return msgspec.structs.replace(request, run_at=request.run_at and ceil_ms(request.run_at))


def _check_run_id(request: Request) -> None:
    if request.run_id is not None and check_run_id(request.run_id) != request.job_id:
        raise RefusedRequestError(f"run_id {request.run_id!r} is no run of {request.job_id!r}")


def _embedded(row: dict[str, Any], column: str) -> Any:
    """Debezium hands a jsonb column on as a string."""
    text = row.get(column)
    try:
        return None if text is None else orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError) as error:
        raise UndecodableError(f"column {column} is not JSON: {error}") from error


def _check_writable(row: dict[str, Any], column: str, value: Any, own_levels: int) -> None:
    """What somebody wrote into a table: it goes on as it is (`tidemill.check_json` says the same), or not at all."""
    _check_depth(row, column, value, own_levels)
    _check_integers(column, row.get(column) or "")


def _check_depth(row: dict[str, Any], column: str, value: Any, own_levels: int) -> None:
    text = row.get(column) or ""
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH:
        _json_bytes(column, value, own_levels)


def _check_integers(name: str, json: str) -> None:
    """An integer of more than 64 bits is a float to orjson: another number, and nobody is told."""
    if not _MANY_DIGITS.search(json):
        return
    for found in _LONG_INTEGER.finditer(json):
        if found[1] and not _LEAST_INTEGER <= int(found[1]) <= _LARGEST_INTEGER:
            raise UndecodableError(
                f"{name} contains {found[1]}: an integer has at most 64 bits ({_LEAST_INTEGER} to {_LARGEST_INTEGER}); "
                "write it as a string"
            )


def _json_bytes(name: str, value: Any, own_levels: int = 0) -> int:
    """The size of `value`, written once so that it is known that it can be written wherever it goes from here."""
    around = _DEPTH_WRITTEN - MAX_JSON_DEPTH - own_levels
    for _ in range(around):
        value = [value]
    try:
        return len(orjson.dumps(value)) - 2 * around
    except TypeError as error:
        raise UndecodableError(f"{name} is nested deeper than {MAX_JSON_DEPTH} levels") from error


def _convert(plain: dict[str, Any], kind: type[T]) -> T:
    try:
        return convert(plain, kind)
    except msgspec.ValidationError as error:
        raise UndecodableError(f"is no {kind.__name__}: {error}") from error


__all__ = [
    "JobSpec",
    "decode",
    "decode_captured",
    "decode_json",
    "decode_request",
    "encode",
    "encode_json",
    "join_json",
]
