"""The JSON Schemas of the wire records, made from the types: `python -m schemas.wire` writes them beside this file."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import orjson

from schemas import asyncapi
from schemas.backfill import Backfill
from schemas.codec import MAX_JSON_DEPTH
from schemas.control import Kill
from schemas.dag import DagSpec
from schemas.dispatch import Dispatch
from schemas.event import EventBatch
from schemas.heartbeat import Heartbeat
from schemas.ids import MAX_ID_CHARACTERS
from schemas.job import JobSpec
from schemas.request import Request
from schemas.request_rules import (
    MAX_ATTEMPT,
    MAX_NOTE_CHARACTERS,
    MAX_PAYLOAD_BYTES,
    MAX_RUN_ID_CHARACTERS,
    OF_KINDS,
    kinds_with,
)
from schemas.status import RunStatus
from schemas.topics import REQUESTS, STATUS
from schemas.words import RequestKind

RECORDS: dict[str, type[msgspec.Struct]] = {
    "run_status": RunStatus,
    "dispatch": Dispatch,
    "event_batch": EventBatch,
    "kill": Kill,
    "heartbeat": Heartbeat,
    "job_spec": JobSpec,
    "dag_spec": DagSpec,
}

_CAPTURED = {
    "job_id": {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": None,
        "description": "The job; null if dag_id is set.",
    },
    "payload": {
        "anyOf": [{"type": "string", "contentMediaType": "application/json"}, {"type": "null"}],
        "default": None,
        "description": "The JSON of the column as a string, because the connector writes JSON columns as text.",
    },
    "__table": {"const": "requests"},
}
_CAPTURED["nodes"] = _CAPTURED["payload"]

"""The fields that the connector writes differently from `Request`."""

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_ID = f"An id has 1 to {MAX_ID_CHARACTERS} characters, no control characters and none of @ # / ~."
_RUN = "<job_id or dag_id>@<nominal time> or <job_id or dag_id>#<request_id>, and for a node also /<node_id>"
_PUBLIC = {
    "request_id": f"Idempotency key: of the requests with one id for a job or DAG, only the first takes effect. {_ID}",
    "job_id": f"The job; also the record's key, with the partitioner murmur2. Not needed if run_id is set. {_ID}",
    "dag_id": f"The DAG, instead of job_id. {_ID}",
    "kind": "What to do. Default: run.",
    "run_id": f"The run to stop, rerun or mark: {_RUN}. Null with cancel and terminate: all open runs.",
    "run_at": "the earliest start; null: now.",
    "payload": f"JSON of at most {MAX_PAYLOAD_BYTES} bytes and {MAX_JSON_DEPTH} levels, "
    "which the process reads byte for byte; null: the payload of the job, or of each node.",
    "nominal_time": "the run's nominal time; not needed if the run id contains it.",
    "attempt": "how many attempts the run has had. Default: 0.",
    "downstream": "of a DAG run or node, true also runs all dependent nodes again, even if they succeeded.",
    "traceparent": "the trace that the run becomes a part of, as in W3C Trace Context; null: a trace of its own.",
    "mark_as": "what the node counts as.",
    "nodes": "in a DAG run that has ended, how its nodes ended, by their ids.",
    "seen_version": "With nodes: the version of the DAG run's status from which they were read.",
    "note": f"Why, at most {MAX_NOTE_CHARACTERS} characters; it becomes the reason of what the request does.",
    "created_at": "When the request was made, not later than the broker's append time; null: the append time.",
}
"""The descriptions for producers. A new field of `Request` needs one here; `OF_KINDS` has its kinds."""


def documents() -> dict[str, bytes]:
    """The name and the content of each file."""
    schemas = {name: _schema(kind) for name, kind in RECORDS.items()}
    schemas |= {"captured_request": _captured_request(), "request": _public_request()}
    payloads = {REQUESTS: schemas["request"], STATUS: schemas["run_status"]}
    schemas["asyncapi"] = asyncapi.document(version("tidemill"), payloads)
    return {f"{name}.json": _text(schema) for name, schema in schemas.items()}


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    (reference,), definitions = msgspec.json.schema_components([kind])
    return {"$schema": _DRAFT, **reference, "$defs": definitions}


def _captured_request() -> dict[str, Any]:
    schema = _schema(Request)
    request = schema["$defs"]["Request"]
    for name in ("Backfill", "NodeEnd", "Result", "RunState"):
        del schema["$defs"][name]
    del request["properties"]["backfill"]
    request["properties"] |= _CAPTURED | _backfill_columns()
    request["required"] = sorted({*request["required"], "__table"} - {"job_id"})
    return schema


def _backfill_columns() -> dict[str, Any]:
    """The columns of a backfill, which are null in requests of other kinds."""
    columns = _schema(Backfill)["$defs"]["Backfill"]["properties"]
    nullable = {name: {"anyOf": [column, {"type": "null"}], "default": None} for name, column in columns.items()}
    return nullable | {"ran": _CAPTURED["payload"]}


def _public_request() -> dict[str, Any]:
    """The records that any producer may write to the topic `requests`."""
    schema = _schema(Request)
    request = schema["$defs"]["Request"]
    properties = request["properties"]
    id_rule = {"minLength": 1, "maxLength": MAX_ID_CHARACTERS, "pattern": "^[^@#/~]*$"}
    properties["request_id"] |= id_rule
    properties["job_id"] |= id_rule
    properties["dag_id"] = _nullable(**id_rule)
    for name in ("created_at", "run_at", "nominal_time"):
        properties[name] = _nullable(format="date-time")
    properties["note"] = _nullable(maxLength=MAX_NOTE_CHARACTERS)
    properties["run_id"] = _nullable(maxLength=MAX_RUN_ID_CHARACTERS)
    properties["attempt"] |= {"minimum": 0, "maximum": MAX_ATTEMPT}
    request["properties"] = {
        name: properties[name] | {"description": _of_kinds(name) + said} for name, said in _PUBLIC.items()
    }
    request["required"] = ["request_id"]
    schema["$defs"] = {
        name: schema["$defs"][name] for name in ("Request", "RequestKind", "NodeEnd", "Result", "MarkAs", "RunState")
    }
    schema["$defs"]["RequestKind"]["enum"].remove(RequestKind.BACKFILL.value)
    request["anyOf"] = [{"required": [name]} for name in ("job_id", "dag_id", "run_id")]
    request["additionalProperties"] = False
    return schema


def _of_kinds(name: str) -> str:
    return f"{kinds_with(name)}: " if name in OF_KINDS else ""


def _nullable(**rule: Any) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", **rule}, {"type": "null"}], "default": None}


def _text(schema: dict[str, Any]) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    for file_name, content in documents().items():
        Path(__file__).with_name(file_name).write_bytes(content)
