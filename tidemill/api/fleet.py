"""Executors, partitions, problems, backfills, and how many slots a class needs."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.reasons import ProblemCode
from tidemill.api.problem import problem
from tidemill.api.route import Answer, Call
from tidemill.queries import rows
from tidemill.target import NotFoundError, Row
from tidemill.web.backend import Backend
from tidemill.web.parts import Parts

MOST_WAITING = 10_000
"""The most waiting runs that are counted."""


class ProblemsQuery(msgspec.Struct, frozen=True, kw_only=True):
    code: tuple[ProblemCode, ...] = ()
    """Repeat it for more codes."""
    since: datetime | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class BackfillsQuery(msgspec.Struct, frozen=True, kw_only=True):
    job: str | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


def problems(call: Call, backend: Backend) -> Answer:
    asked = call.query
    codes = [each.value for each in asked.code] or None
    with backend.reading() as postgres:
        found = rows(postgres, "problems", {"codes": codes, "since": asked.since, "limit": asked.limit})
    return Answer(body={"items": found, "next": None})


def backfills(call: Call, backend: Backend) -> Answer:
    with backend.reading() as postgres:
        found = rows(postgres, "backfills", {"job_id": call.query.job, "limit": call.query.limit})
    return Answer(body={"items": found, "next": None})


def executors(_: Call, backend: Backend) -> Answer:
    return Answer(body={"items": _executors(backend), "next": None})


def partitions(_: Call, backend: Backend) -> Answer:
    """Which worker decides for which partition, and up to when it has decided."""
    parts = _parts(backend)
    if parts.partitions is None or parts.workers is None or parts.clocks is None:
        raise _unread(parts)
    found = [
        {
            "partition": number,
            "worker": parts.workers.held.get(number),
            "decided_to": parts.clocks[number].clock.watermark if number in parts.clocks else None,
        }
        for number in range(parts.partitions)
    ]
    return Answer(body={"items": found, "next": None})


def scaling(call: Call, backend: Backend) -> Answer:
    """For KEDA's metrics-api or a person: `wanted` slots are those that are busy and those that due runs wait for."""
    name = call.parts["class"]
    slots: dict[str, int] = defaultdict(int)
    free: dict[str, int] = defaultdict(int)
    for executor in _executors(backend):
        for each, numbers in executor["classes"].items():
            slots[each] += numbers["slots"]
            free[each] += numbers["free"]
    with backend.reading() as postgres:
        backlog = rows(postgres, "web_backlog", {"most": MOST_WAITING})
        known = {each["name"] for each in postgres.execute("select name from tidemill.timeout_classes")}
    waiting = [each["runs"] for each in backlog if each["timeout_class"] == name and each["is_due"]]
    if name not in known:
        raise NotFoundError(f"there is no timeout class {name!r}; there are {', '.join(sorted(known))}")
    busy = slots[name] - free[name]
    ready = sum(waiting)
    return Answer(body={"class": name, "ready": ready, "busy": busy, "slots": slots[name], "wanted": ready + busy})


def _executors(backend: Backend) -> list[Row]:
    parts = _parts(backend)
    if parts.executors is None:
        raise _unread(parts)
    return parts.executors


def _parts(backend: Backend) -> Parts:
    reading = backend.background.get("parts")
    if reading is None or reading.value is None:
        raise problem("unavailable", "the parts of the deployment have not answered yet", retry="2")
    found: Parts = reading.value
    return found


def _unread(parts: Parts) -> Exception:
    return problem("unavailable", "; ".join(parts.problems) or "a part does not answer", retry="5")
