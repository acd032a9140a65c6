"""The form of a job as data: its columns in groups, their values as text, and what a change would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier

from schemas.confinement import Network, Sandbox
from schemas.words import CatchupPolicy, DstFold, DstGap, OnDelete, OverlapPolicy
from tidemill import owners
from tidemill.confined import SIZES, in_bytes
from tidemill.put import Columns, write_columns
from tidemill.queries import one, rows
from tidemill.target import Row, UsageError
from tidemill.web.errors import LOCKED
from tidemill.web.pages.owner_facts import next_times

NEXT = 10
GROUPS: Mapping[str, tuple[str, ...]] = {
    "When": ("schedule", "timezone", "jitter", "starts_at", "ends_at", "max_runs", "dst_gap", "dst_fold"),
    "What": ("executable", "sha256", "args", "env", "payload"),
    "If it is late, or one is open": (
        "overlap_policy", "concurrency_limit", "buffer_limit", "catchup_policy", "catchup_window",
        "catchup_after_pause", "misfire_grace", "start_deadline",
    ),
    "Limits and retries": (
        "timeout", "timeout_class", "promote", "max_attempts", "initial_interval", "backoff_coefficient",
        "max_interval", "retry_jitter", "non_retryable_exit_codes", "max_retry_duration", "max_infra_retries",
        "cancel_grace", "pause_on_failure", "on_delete",
    ),
    "What it may use": ("sandbox", "network", "memory", "disk", "cpu", "pids", "unveil"),
    "Who": ("tenant",),
}  # fmt: skip
"""Every column that a user sets here; pausing has buttons of its own."""
WORDS: Mapping[str, Iterable[Enum]] = {
    "overlap_policy": OverlapPolicy,
    "catchup_policy": CatchupPolicy,
    "catchup_after_pause": CatchupPolicy,
    "on_delete": OnDelete,
    "dst_gap": DstGap,
    "dst_fold": DstFold,
    "sandbox": (Sandbox.BASIC, Sandbox.STRICT),
    "network": Network,
}
LONG = frozenset({"args", "env", "payload"})
"""JSON, which gets several lines."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str
    comment: str
    value: str
    """Empty: null."""
    choices: tuple[str, ...] | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says to a change, and when the job would be due."""

    refusal: str | None = None
    changed: tuple[str, ...] = ()
    next_times: Sequence[tuple[datetime, str]] = ()
    timezone: str = "UTC"
    is_paused: bool = False


def fields(postgres: psycopg.Connection[Row], job_id: str) -> dict[str, Field]:
    """The columns of a job by name. Raises `NotFoundError`."""
    columns = {each["name"]: each for each in rows(postgres, "web_columns")}
    values = _texts(postgres, job_id)
    return {
        name: Field(
            name=name,
            type=columns[name]["type"],
            comment=columns[name]["comment"] or "",
            value=values[name] or "",
            choices=_choices(columns[name]),
        )
        for names in GROUPS.values()
        for name in names
    }


def changes(known: Mapping[str, Field], given: Mapping[str, str | None]) -> dict[str, str | None]:
    """The columns whose text differs, with their new values; an empty text is null."""
    asked = {name: _as_sent(given.get(name) or "") for name in known}
    return {name: text or None for name, text in asked.items() if text != _as_sent(known[name].value)}


def _as_sent(text: str) -> str:
    """As a browser sends a value that nobody has touched."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def attempt(
    postgres: psycopg.Connection[Row], job_id: str, changed: Mapping[str, str | None], now: datetime
) -> Outcome:
    """Write the change, look at it, and take it back: the answer is the database's own."""
    try:
        with postgres.transaction(force_rollback=True):
            write(postgres, job_id, changed)
            postgres.execute("set constraints all immediate")
            job = owners.JOB.found(postgres, job_id, one(postgres, "job", {"job_id": job_id}))
    except (psycopg.DatabaseError, UsageError) as error:
        return Outcome(refusal=refusal_of(error), changed=tuple(changed))
    return Outcome(
        changed=tuple(changed),
        next_times=next_times(job, now, NEXT),
        timezone=job["timezone"],
        is_paused=job["paused"],
    )


def write(postgres: psycopg.Connection[Row], job_id: str, changed: Mapping[str, str | None]) -> None:
    """Write the columns as `tidemill job put` does. Raises `UsageError` for a value of the wrong type."""
    columns: Columns = {
        name: in_bytes(name, text) if name in SIZES and text else text for name, text in changed.items()
    }
    if "executable" in columns:
        columns.setdefault("sha256", None)  # another program has another checksum
    if columns:
        write_columns(postgres, job_id, columns)


def refusal_of(error: Exception) -> str:
    """The database's sentence."""
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return LOCKED
    if isinstance(error, psycopg.DatabaseError):
        return error.diag.message_primary or str(error)
    return str(error)


def _texts(postgres: psycopg.Connection[Row], job_id: str) -> Row:
    """Each column as Postgres writes it."""
    names = [name for names in GROUPS.values() for name in names]
    asked = SQL("select {} from tidemill.jobs where job_id = %(job_id)s").format(
        SQL(", ").join(SQL("{0}::text").format(Identifier(name)) for name in names)
    )
    return owners.JOB.found(postgres, job_id, postgres.execute(asked, {"job_id": job_id}).fetchone())


def _choices(column: Row) -> tuple[str, ...] | None:
    if column["type"] == "boolean":
        return ("true", "false")
    words = WORDS.get(column["name"])
    if words is None:
        return None
    return (*([] if column["needed"] else [""]), *(str(each.value) for each in words))
