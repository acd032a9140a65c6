"""The topics that others may use, as an AsyncAPI 3 document: `schemas/asyncapi.json`, and `/v1/asyncapi.json`.

The specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.reasons import ProblemCode, ProblemKind
from schemas.topics import DEADLETTER, REQUESTS, STATUS

Schema = dict[str, Any]
JSON_SCHEMA = "application/schema+json;version=draft-2020-12"
TEXT = {"type": "string"}
_KEY = {
    REQUESTS: "The job or DAG that is meant, partitioned by murmur2 as Java clients do. With another key the record "
    "takes a detour.",
    STATUS: "The run id. All records of a job or DAG are in one partition.",
    DEADLETTER: "The job or DAG, or what the input named.",
}
_SUMMARY = {
    REQUESTS: "Asks for a run, a stop, a rerun or a mark: what a row of tidemill.requests asks for.",
    STATUS: "The state of a run after each change, with its history; compacted: the latest record of each run stays.",
    DEADLETTER: "Inputs that were refused, and alerts. The value is the refused input, or the run of an alert.",
}
_HEADERS: Schema = {
    "type": "object",
    "properties": {
        "kind": {"enum": [each.value for each in ProblemKind]},
        "code": {"enum": sorted(each.value for each in ProblemCode)},
        "reason": {**TEXT, "description": "A sentence."},
        "source_topic": TEXT,
        "source_partition": TEXT,
        "source_offset": TEXT,
        "request_id": TEXT,
        "run_id": TEXT,
    },
    "required": ["kind", "code", "reason"],
}


def document(version: str, payloads: Mapping[str, Schema]) -> Schema:
    """`payloads`: the JSON Schemas of the values of `requests` and `status`."""
    messages = {
        REQUESTS: _message(REQUESTS, payloads[REQUESTS]),
        STATUS: _message(STATUS, payloads[STATUS]),
        DEADLETTER: {**_message(DEADLETTER, {}), "headers": _HEADERS, "contentType": "application/octet-stream"},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Topics of Tidemill",
            "version": version,
            "description": "Records are JSON in UTF-8, written in transactions: read them with read_committed. "
            "The name of each topic begins with TIDEMILL_TOPIC_PREFIX. A release only adds fields: ignore those that "
            "you do not know.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            name: {
                "address": f"tidemill.{name}",
                "summary": _SUMMARY[name],
                "messages": {name: {"$ref": f"#/components/messages/{name}"}},
            }
            for name in messages
        },
        "operations": {
            "ask": _operation("receive", REQUESTS),
            "tellStatus": _operation("send", STATUS),
            "tellProblem": _operation("send", DEADLETTER),
        },
        "components": {"messages": messages},
    }


def _message(name: str, payload: Schema) -> Schema:
    return {
        "name": name,
        "summary": _SUMMARY[name],
        "payload": {"schemaFormat": JSON_SCHEMA, "schema": payload},
        "bindings": {"kafka": {"key": {**TEXT, "description": _KEY[name]}, "bindingVersion": "0.5.0"}},
    }


def _operation(action: str, channel: str) -> Schema:
    """`receive` and `send` are what Tidemill does."""
    place = f"#/channels/{channel}"
    return {"action": action, "channel": {"$ref": place}, "messages": [{"$ref": f"{place}/messages/{channel}"}]}
