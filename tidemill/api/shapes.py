"""The shapes of answers for OpenAPI: rows of the database, whose columns are the fields."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
TEXT, NUMBER, WHOLE, TRUTH = {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}
INSTANT = {"type": "string", "format": "date-time"}
DURATION = {"type": "string", "format": "duration"}
ANY: Schema = {}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def row(about: str, required: Schema, optional: Schema | None = None) -> Schema:
    """A row: `required` are the fields that are never null, `optional` those that may be."""
    fields = {**required, **{name: maybe(each) for name, each in (optional or {}).items()}}
    return {"type": "object", "description": about, "properties": fields, "required": list(required)}


def listed(name: str, *, counted: bool = False) -> Schema:
    fields: Schema = {
        "items": {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}},
        "next": maybe(TEXT),
    }
    if counted:
        fields["count"] = maybe({"$ref": "#/components/schemas/Count"})
    return {"type": "object", "properties": fields, "required": ["items"]}


RUN = row(
    "A row of tidemill.runs.",
    {
        "run_id": TEXT, "job_id": TEXT, "tenant": TEXT, "kind": TEXT, "state": TEXT, "version": WHOLE, "attempt": WHOLE,
        "nominal_time": INSTANT, "scheduled_time": INSTANT,
    },
    {
        "dag_id": TEXT, "node_id": TEXT, "reason": TEXT, "reason_code": TEXT, "timeout_class": TEXT,
        "executor_id": TEXT, "queued_at": INSTANT, "started_at": INSTANT, "finished_at": INSTANT, "exit_code": WHOLE,
        "payload": ANY, "result": ANY,
    },
)  # fmt: skip
JOB = row(
    "A row of tidemill.jobs.",
    {"job_id": TEXT, "executable": TEXT, "tenant": TEXT, "timezone": TEXT, "version": WHOLE, "paused": TRUTH,
     "max_attempts": WHOLE, "catchup_window": DURATION, "updated_at": INSTANT},
    {"schedule": TEXT, "timeout": DURATION, "payload": ANY, "starts_at": INSTANT, "ends_at": INSTANT},
)  # fmt: skip
DAG = row(
    "A row of tidemill.dags, with its nodes by id.",
    {"dag_id": TEXT, "tenant": TEXT, "timezone": TEXT, "version": WHOLE, "paused": TRUTH},
    {"schedule": TEXT},
)
EXPLANATION = row(
    "Why, in sentences.",
    {"about": TEXT, "answer": TEXT, "sentence": TEXT, "timezone": TEXT},
    {"nominal_time": INSTANT, "facts": {"type": "array"}, "to_do": {"type": "array"}},
)
VERSION = row("A version of a definition.", {}, {"number": WHOLE, "version": WHOLE, "at": INSTANT, "spec": ANY})
ACCEPTED = row("A request that was written.", {"request_id": TEXT, "kind": TEXT}, {"owner": TEXT, "run_id": TEXT})
ROWS = {
    "Run": RUN,
    "Job": JOB,
    "Dag": DAG,
    "Explanation": EXPLANATION,
    "Version": VERSION,
    "Accepted": ACCEPTED,
    "Attempt": row("A row of tidemill.attempts.", {"attempt": WHOLE, "token": WHOLE}, {"ended_as": TEXT}),
    "Transition": row("A row of tidemill.transitions.", {"at": INSTANT, "state": TEXT}, {"reason": TEXT}),
    "DagRun": row("A row of tidemill.dag_runs.", {"run_id": TEXT, "dag_id": TEXT, "state": TEXT}, {"nodes": ANY}),
    "NodeRun": row("A node of a DAG run.", {"node_id": TEXT}, {"run_id": TEXT, "state": TEXT}),
    "Backfill": row("A row of tidemill.backfills.", {"run_id": TEXT, "state": TEXT}),
    "ProblemRow": row("A row of tidemill.problems.", {"at": INSTANT, "kind": TEXT}, {"code": TEXT, "reason": TEXT}),
    "Executor": row(
        "An executor, by its last heartbeat.", {"name": TEXT, "state": TEXT, "slots": WHOLE, "free": WHOLE}
    ),
    "Partition": row("A partition.", {"partition": WHOLE}, {"worker": TEXT, "decided_to": INSTANT}),
}
LISTS = (
    "Job", "Dag", "Explanation", "Version", "Accepted", "Attempt", "Transition", "DagRun", "NodeRun", "Backfill",
    "ProblemRow", "Executor", "Partition",
)  # fmt: skip
SCHEMAS: Schema = {
    **ROWS,
    **{f"{name}List": listed(name) for name in LISTS},
    "RunList": listed("Run", counted=True),
    "Count": row("A bounded count.", {"value": WHOLE, "relation": {"enum": ["eq", "gte"]}}),
    "Request": row("A row of tidemill.requests.", {"request_id": TEXT, "kind": TEXT, "owner": TEXT}, {"state": TEXT}),
    "NextTimes": row(
        "When it is due.",
        {
            "items": {
                "type": "array",
                "items": row("", {"nominal_time": INSTANT, "local_time": TEXT, "note": TEXT}),
            },
            "timezone": TEXT,
        },
    ),
    "Scaling": row("Slots.", {"class": TEXT, "ready": WHOLE, "busy": WHOLE, "slots": WHOLE, "wanted": WHOLE}),
    "EventStream": {"type": "string", "description": "Server-sent events: run, end, reset."},
    "Log": {"type": "string", "format": "binary"},
}
