"""The only place that converts records from and to JSON: msgspec reads and validates, orjson writes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar, assert_never, cast

import msgspec
import orjson

from schemas.backfill import Backfill
from schemas.bounds import check_bounds
from schemas.convert import convert, decoder_of
from schemas.dag import DagSpec, InvalidDagError, check_order
from schemas.errors import UndecodableError, shown
from schemas.ids import OwnerId
from schemas.job import Definition, JobSpec
from schemas.json_scan import check_utf8, depth_of, has_nul
from schemas.raw import Json, json_bytes, size_of
from schemas.request import NodeEnd, Request
from schemas.request_rules import (
    RefusedRequestError,
    check_fields,
    check_id,
    check_instants,
    check_request,
    check_run_id,
    completed,
    id_shown,
    owner_named,
    refusal,
)
from schemas.times import EPOCH, LATEST, ceil_ms, epoch_ms, rfc3339
from schemas.topics import MAX_REQUEST_BYTES
from schemas.words import DefinitionKind, RequestKind

T = TypeVar("T")
Nodes = dict[str, NodeEnd]
Anything: type[Any] = cast("type[Any]", Any)

_AS_THEY_ARE = (datetime, orjson.Fragment, msgspec.Raw)
"""Types that `to_builtins` leaves to `_written`."""
MAX_JSON_DEPTH = 200
"""The deepest JSON that users may pass. Few JSON readers have a lower limit."""
_RESULT_LEVELS = 3
"""The levels around a result in the field `nodes` of a request: the nodes, the node and the result."""
_NO_NUL = "contains the character U+0000, which Postgres cannot read in JSON"


class _DefinitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A definition whose spec is not decoded yet, because its type depends on the kind."""

    owner: OwnerId
    kind: DefinitionKind
    version: int
    valid_from: datetime
    deleted: bool
    spec: str | None


class _Source(msgspec.Struct, frozen=True, rename={"op": "__op", "ts_ms": "__source_ts_ms"}):
    """What the connector says of a captured row."""

    op: str | None = None
    ts_ms: int | None = None


def encode(value: msgspec.Struct, **encoded: bytes) -> bytes:
    """JSON with instants as RFC 3339 UTC with milliseconds, durations as ISO 8601, and enums as their values.

    `encoded` is the JSON of fields that the caller has encoded before, so that no field is encoded twice.
    """
    if encoded:
        value = msgspec.structs.replace(value, **{name: orjson.Fragment(json) for name, json in encoded.items()})
    plain = msgspec.to_builtins(value, builtin_types=_AS_THEY_ARE, str_keys=True)
    return orjson.dumps(plain, default=_written, option=orjson.OPT_PASSTHROUGH_DATETIME)


def decode(data: bytes, kind: type[T]) -> T:
    """Ignores unknown fields, because a newer version may have written them. Raises `UndecodableError`."""
    try:
        return decoder_of(kind).decode(data)
    except msgspec.ValidationError as error:
        raise UndecodableError(f"is not a valid {_name(kind)}: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UndecodableError(f"is not JSON: {error}") from error
    except RecursionError as error:
        raise UndecodableError(f"is nested deeper than {MAX_JSON_DEPTH} levels") from error


def _name(kind: Any) -> str:
    """What a refusal calls the type."""
    name: str = kind.__name__.removeprefix("_")
    return {"dict": "JSON object", "list": "JSON array"}.get(name, name)


def decode_foreign(data: bytes, kind: type[T]) -> T:
    """Decodes a record that any producer may have written; also refuses what `check_bounds` refuses."""
    value = decode(data, kind)
    check_bounds(value)
    return value


def decode_captured(data: bytes) -> Definition | Request:
    """Decodes a row of `tidemill.definitions` or `tidemill.requests`, as the connector writes it to the topic `cdc`."""
    row = _object(data)
    table = row.get("__table")
    if table == "definitions":
        return _definition(row)
    if table == "requests":
        return _request(row)
    raise UndecodableError(f"__table is {shown(table)}; allowed are 'definitions' and 'requests'")


def committed_at(data: bytes) -> datetime | None:
    """When the transaction that wrote a captured row was committed, by the clock of Postgres.

    None: the row is from a snapshot, which does not have this time, or it cannot be read.
    """
    try:
        source = decode(data, _Source)
        return _time_of_commit(source.op, source.ts_ms)
    except UndecodableError:
        return None


def decode_request(data: bytes, appended_at: datetime) -> Request:
    """Decodes a record of the public topic `requests` (schemas/request.json); refuses what the table refuses."""
    if len(data) > MAX_REQUEST_BYTES:
        raise UndecodableError(f"has {len(data)} bytes; at most {MAX_REQUEST_BYTES} are allowed")
    raw = _members(data)
    payload, nodes = raw.pop("payload", None), raw.pop("nodes", None)
    row = {name: decode(bytes(value), Anything) for name, value in raw.items()}
    try:
        check_fields(row)
        owner, created_at = owner_named(row), row.get("created_at") or appended_at
        named = row | _raw_field("payload", payload) | {"job_id": owner, "owner": owner, "created_at": created_at}
        request = completed(_with_nodes(_convert(named, Request), nodes))
        check_request(request, size_of(request.payload))
        check_bounds(request)
    except RefusedRequestError as error:
        raise UndecodableError(f"is refused: {error}") from error
    return _in_milliseconds(request)


def read_result(data: bytes) -> msgspec.Raw:
    """The JSON that a user's program wrote, unchanged, without white space around it.

    Raises `UndecodableError` if it is not JSON, or if later readers, such as Postgres, cannot read it.
    """
    try:
        check_utf8(data)
    except UnicodeDecodeError as error:
        found = f"byte {error.start + 1} is {data[error.start]:#04x}"
        raise UndecodableError(f"is not JSON: {found}, which is not UTF-8") from error
    raw = decode(data, msgspec.Raw)
    problem = _unreadable(bytes(raw))
    if problem:
        raise UndecodableError(f"is refused: it {problem}")
    return raw


def member(raw: msgspec.Raw, name: str) -> msgspec.Raw | None:
    """One member of a JSON object; None if it is absent, or for any other value. The others are only skipped."""
    if bytes(memoryview(raw)[:1]) != b"{":
        return None
    found = decode(bytes(raw), _only(name)).found
    return found if size_of(found) else None


@cache
def _only(name: str) -> type[Any]:
    """A type with the one member `name`."""
    field = ("found", msgspec.Raw, msgspec.field(default=msgspec.Raw(), name=name))
    return msgspec.defstruct("Object", [field], frozen=True)


def join_json(payload: Json, results: Mapping[str, bytes | None]) -> bytes:
    """The input of a node that depends on others; `results` are JSON already, and None is null."""
    written = {name: None if json is None else orjson.Fragment(json) for name, json in results.items()}
    return orjson.dumps({"payload": orjson.Fragment(json_bytes(payload)), "results": written})


def encode_json(value: Any) -> bytes:
    """JSON of a plain value."""
    return orjson.dumps(value)


def _written(value: object) -> str | orjson.Fragment:
    match value:
        case datetime():
            return rfc3339(value)
        case msgspec.Raw():
            return orjson.Fragment(bytes(value))
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")


def _members(data: bytes) -> dict[str, msgspec.Raw]:
    try:
        check_utf8(data)  # the decoder below does not check the members that stay raw
    except UnicodeDecodeError as error:
        raise UndecodableError(f"is not JSON: {error}") from error
    return decode(data, dict[str, msgspec.Raw])


def _raw_field(name: str, raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    """A field that is passed on unchanged; empty if it is absent."""
    if raw is None:
        return {}
    problem = _unreadable(bytes(raw))
    if problem:
        raise RefusedRequestError(f"{name} {problem}")
    return {name: raw}


def _with_nodes(request: Request, raw: msgspec.Raw | None) -> Request:
    if raw is None:
        return request
    most = MAX_JSON_DEPTH + _RESULT_LEVELS
    if depth_of(bytes(raw), most) > most:
        raise RefusedRequestError(f"nodes is nested deeper than {MAX_JSON_DEPTH} levels")
    return msgspec.structs.replace(request, nodes=decode(bytes(raw), Nodes))


def _unreadable(json: bytes) -> str | None:
    """Why well-formed JSON is refused; `tidemill.check_json` is the same check in SQL."""
    if depth_of(json, MAX_JSON_DEPTH) > MAX_JSON_DEPTH:
        return f"is nested deeper than {MAX_JSON_DEPTH} levels"
    return _NO_NUL if has_nul(json) else None


def _object(data: bytes) -> dict[str, Any]:
    return decode(data, dict[str, Any])


def _definition(row: dict[str, Any]) -> Definition:
    read = _convert(row, _DefinitionRow)
    check_bounds(read)
    if not read.deleted and read.spec is None:
        raise UndecodableError(f"definition {shown(read.owner)} version {read.version} has no spec")
    return Definition(
        owner=read.owner,
        kind=read.kind,
        version=read.version,
        valid_from=_committed(row, read.valid_from),
        deleted=read.deleted,
        spec=None if read.spec is None else _spec(read.kind, read.spec),
    )


def _committed(row: dict[str, Any], written_at: datetime) -> datetime:
    """The commit time, because a transaction may be open for long."""
    at = _time_of_commit(row.get("__op"), row.get("__source_ts_ms"))
    return max(written_at, at) if at else written_at


def _time_of_commit(op: object, ts_ms: object) -> datetime | None:
    if op != "c" or not isinstance(ts_ms, int):
        return None
    if not 0 <= ts_ms <= epoch_ms(LATEST):
        raise UndecodableError(f"__source_ts_ms is {shown(ts_ms)}: it must be milliseconds from 1970 to 2199")
    return EPOCH + timedelta(milliseconds=ts_ms)


def _spec(kind: DefinitionKind, json: str) -> JobSpec | DagSpec:
    match kind:
        case DefinitionKind.JOB:
            return decode_foreign(json.encode(), JobSpec)
        case DefinitionKind.DAG:
            dag = decode_foreign(json.encode(), DagSpec)
            try:
                check_order(dag)
            except InvalidDagError as error:
                raise UndecodableError(str(error)) from error
            return dag
        case _:
            assert_never(kind)


def _request(row: dict[str, Any]) -> Request:
    job_id = row.get("job_id") if row.get("dag_id") is None else row["dag_id"]
    payload, nodes = _embedded(row, "payload", msgspec.Raw), _embedded(row, "nodes", Nodes)
    embedded = {"nodes": nodes, "backfill": _backfill(row)} | ({} if payload is None else {"payload": payload})
    plain = {name: value for name, value in row.items() if name != "payload"}
    request = _convert(plain | {"job_id": job_id} | embedded, Request)
    try:
        check_id("request_id", request.request_id)
        _check_run_id(request)
        check_instants(request)
        check_bounds(request)
    except RefusedRequestError as error:
        raise UndecodableError(str(error)) from error
    return _in_milliseconds(request)


def _backfill(row: dict[str, Any]) -> dict[str, Any] | None:
    if row.get("kind") != RequestKind.BACKFILL.value:
        return None
    return {name: row.get(name) for name in Backfill.__struct_fields__} | {
        "ran": _embedded(row, "ran", dict[str, Any]) or {}
    }


def _in_milliseconds(request: Request) -> Request:
    return msgspec.structs.replace(request, run_at=request.run_at and ceil_ms(request.run_at))


def _check_run_id(request: Request) -> None:
    if request.run_id is not None and check_run_id(request.run_id) != request.job_id:
        raise refusal("run_id", request.run_id, f"it is not a run of {id_shown(request.job_id)}")


def _embedded(row: dict[str, Any], column: str, kind: type[T]) -> T | None:
    """Decodes a JSON column, which Debezium writes as a string."""
    text = row.get(column)
    if text is None:
        return None
    if not isinstance(text, str):
        raise UndecodableError(f"column {column} is of type {type(text).__name__}: it must be JSON in a string")
    try:
        return decode(text.encode(), kind)
    except UndecodableError as error:
        raise UndecodableError(f"column {column} {error}") from error


def _convert(plain: dict[str, Any], kind: type[T]) -> T:
    try:
        return convert(plain, kind)
    except msgspec.ValidationError as error:
        raise UndecodableError(f"is not a valid {_name(kind)}: {error}") from error


__all__ = [
    "JobSpec",
    "decode",
    "decode_captured",
    "decode_foreign",
    "decode_request",
    "encode",
    "encode_json",
    "join_json",
    "member",
    "read_result",
]
