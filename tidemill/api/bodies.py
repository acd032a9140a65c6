"""The bodies that the API takes, made from the records: their fields are the columns of the tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.dag import DagSpec, NodeSpec
from schemas.job import JobSpec
from schemas.words import Reprocess, RequestKind

READ_ONLY = ("version", "updated_at")
"""Columns that the table sets: a body that was read before may have them, and they change nothing."""


def _optional(spec: type[msgspec.Struct], without: Iterable[str]) -> list[tuple[str, Any, Any]]:
    """The fields of a record, each of which may be left out."""
    return [
        (each.name, _plain(each) | UnsetType, UNSET)
        for each in msgspec.structs.fields(spec)
        if each.name not in set(without)
    ]


def _plain(field: msgspec.structs.FieldInfo) -> Any:
    """JSON that Tidemill does not look into is any value."""
    return Any if field.name == "payload" else field.type


def _read_only() -> list[tuple[str, Any, Any]]:
    return [(name, Any, UNSET) for name in READ_ONLY]


JobBody = msgspec.defstruct(
    "JobBody",
    [("job_id", str | UnsetType, UNSET), *_optional(JobSpec, ["job_id"]), *_read_only()],
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
)
JobPatch = msgspec.defstruct(
    "JobPatch",
    [
        ("job_id", str | UnsetType, UNSET),
        *((name, kind | None, default) for name, kind, default in _optional(JobSpec, ["job_id", "env"])),
        ("env", dict[str, str | None] | None | UnsetType, UNSET),
        *_read_only(),
    ],
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
)
NodeBody = msgspec.defstruct(
    "NodeBody", _optional(NodeSpec, ["node_id"]), forbid_unknown_fields=True, frozen=True, kw_only=True
)
DagBody = msgspec.defstruct(
    "DagBody",
    [
        ("nodes", dict[str, NodeBody]),  # type: ignore[valid-type]
        ("dag_id", str | UnsetType, UNSET),
        *_optional(DagSpec, ["dag_id", "nodes"]),
        *_read_only(),
    ],
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
)


class RequestBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """The columns of `tidemill.requests` that a user sets."""

    request_id: str | None = None
    """Without one, and without Idempotency-Key, each call is another request."""
    kind: RequestKind = RequestKind.RUN
    job_id: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    run_at: datetime | None = None
    payload: Any = None
    note: str | None = None
    traceparent: str | None = None
    backfill_from: datetime | None = None
    backfill_to: datetime | None = None
    reprocess: Reprocess | None = None
    max_active_runs: int | None = None
    run_backwards: bool | None = None
    dry_run: bool | None = None
    downstream: bool = False
    mark_as: Literal["succeeded", "skipped"] | None = None


class BatchBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    items: Annotated[tuple[RequestBody, ...], Meta(min_length=1, max_length=1000)]


class TriggerBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    payload: Any = None
    run_at: datetime | None = None
    note: str | None = None
    traceparent: str | None = None


class NextBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A schedule that is not stored."""

    schedule: str
    timezone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    after: datetime | None = None
    """Default: now."""
    n: Annotated[int, Meta(ge=1, le=1000)] = 10
