"""What a new version of a definition ends of the old one, and what it begins."""

from __future__ import annotations

import msgspec

from schemas.job import JobSpec
from streams.core.stored import StoredJob


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    ends_ticking: bool
    """The old version has decided its occurrences up to the watermark; else up to its `since` only."""
    ends_pause: bool
    """What was due in the pause catches up."""
    goes_on_pausing: bool
    """What becomes of the whole pause is decided at its end."""
    ends_kind: bool
    """A job and a DAG that follow each other under one id have nothing in common."""
    begins_ticking: bool
    """The new version has occurrences of its own."""


def compare(old: StoredJob | None, new: StoredJob) -> Edit:
    """`new.since` does not matter here."""
    was_there = old is not None and not old.deleted
    was_paused = old is not None and old.spec.paused
    is_paused = new.spec.paused and not new.deleted
    return Edit(
        ends_ticking=was_there and not was_paused,
        ends_pause=was_paused and not (is_paused or new.deleted),
        goes_on_pausing=was_paused and is_paused and old is not None and has_same_clock(old.spec, new.spec),
        ends_kind=old is not None and not new.deleted and (old.dag is None) is not (new.dag is None),
        begins_ticking=not (new.deleted or is_paused or new.spec.schedule is None),
    )


def has_same_clock(one: JobSpec, other: JobSpec) -> bool:
    """Whether the same occurrences are due under both."""
    return _clock(one) == _clock(other)


def _clock(spec: JobSpec) -> tuple[object, ...]:
    return spec.schedule, spec.timezone, spec.dst_gap, spec.dst_fold, spec.starts_at, spec.ends_at
