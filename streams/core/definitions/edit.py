"""Compare two versions of a definition: what the new version ends and starts."""

from __future__ import annotations

import msgspec

from schemas.job import JobSpec
from streams.core.stored import StoredJob


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    old_is_unpaused: bool
    """The tick decided the old version up to the watermark; otherwise it is decided up to its `since` only."""
    ends_pause: bool
    """The pause ends, so its occurrences catch up."""
    goes_on_pausing: bool
    """The pause continues; its end decides all its occurrences."""
    ends_kind: bool
    """A job became a DAG, or a DAG a job: the open runs do not continue."""
    new_is_active: bool
    """The new version has a schedule that is not paused."""


def compare(old: StoredJob | None, new: StoredJob) -> Edit:
    """What changes from `old` to `new`, regardless of `new.since`."""
    was_there = old is not None and not old.deleted
    was_paused = old is not None and old.spec.paused
    is_paused = new.spec.paused and not new.deleted
    return Edit(
        old_is_unpaused=was_there and not was_paused,
        ends_pause=was_paused and not (is_paused or new.deleted),
        goes_on_pausing=was_paused and is_paused and old is not None and has_same_occurrences(old.spec, new.spec),
        ends_kind=old is not None and not new.deleted and (old.dag is None) is not (new.dag is None),
        new_is_active=not (new.deleted or is_paused or new.spec.schedule is None),
    )


def has_same_occurrences(one: JobSpec, other: JobSpec) -> bool:
    """Whether both have the same occurrences."""
    return _clock(one) == _clock(other)


def _clock(spec: JobSpec) -> tuple[object, ...]:
    return spec.schedule, spec.timezone, spec.dst_gap, spec.dst_fold, spec.starts_at, spec.ends_at
