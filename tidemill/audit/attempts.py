"""Matches the attempts that the status of a run has with what was dispatched, claimed, started and ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec

from schemas.event import EndCause
from schemas.exit_codes import shell_exit_code
from schemas.status import Attempt
from schemas.times import EPOCH, LATEST, rfc3339
from schemas.words import AttemptEnd
from tidemill.audit.findings import Again, Finding, Found, Tally

_REPORTED = frozenset(
    {AttemptEnd.SUCCEEDED, AttemptEnd.FAILED, AttemptEnd.TIMED_OUT, AttemptEnd.PROMOTED, AttemptEnd.REJECTED}
)
"""Ends that only an executor can report. The owner may decide the others by itself."""


@dataclass(slots=True, kw_only=True)
class Trace:
    """The records of one attempt in `runs.<class>` and `events`."""

    dispatches: int = 0
    dispatched_at: datetime | None = None
    """When its newest dispatch was appended."""
    settles_in: timedelta = timedelta(0)
    """The owner has ended it so long after its dispatch, if no executor starts it."""
    is_claimed: bool | None = None
    """None: the group of the executors has no offset."""
    is_reported: bool = False
    """An executor claimed, started, rejected or passed by it."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cause: EndCause | None = None
    exit_code: int | None = None
    has_end: bool = False
    """`ended`, `rejected` or `expired`."""
    is_passed_by: bool = False
    """`expired`: a status has only the newest of these in a row."""
    place: str | None = None
    """Of its newest record: `topic/partition@offset`."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """From when on the topics of a partition have every record; earlier ones cannot be matched."""

    dispatches: Mapping[str, datetime]
    """By timeout class. Without an entry the topic is gone; `LATEST`: it had records, and has none any more."""
    events: datetime

    @property
    def complete_from(self) -> datetime:
        """A topic that has no record at all (`LATEST`) does not count: its class may have had no run for long."""
        return max((each for each in (self.events, *self.dispatches.values()) if each < LATEST), default=EPOCH)


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts of a run by its latest status."""

    owner: str
    run_id: str
    nominal_time: datetime
    attempts: Sequence[Attempt]
    is_rerun: bool
    place: str


def unmatched(
    run: Tried, traces: Mapping[int, Trace], kept: Kept, settled: datetime, tally: Tally
) -> Iterator[tuple[Finding, str, str | None]]:
    """Each finding, its sentence and its evidence. `traces`: by token. `settled`: later ones may have no status."""
    for attempt in run.attempts:
        trace = traces.get(attempt.token)
        yield from _dispatched(attempt, trace or _NOTHING, kept, settled, tally)
        yield from _reported(attempt, trace or _NOTHING, kept, tally)
    tokens = {each.token for each in run.attempts}
    # A rerun begins a new list, and a long list drops its oldest: so lower tokens may be unknown.
    lowest = min(tokens, default=0)
    for token, trace in traces.items() if tokens or not run.is_rerun else ():
        seen_at = trace.dispatched_at or trace.started_at
        is_old = seen_at is not None and seen_at <= settled
        if is_old and token > lowest and token not in tokens and not trace.is_passed_by:
            yield Finding.UNEXPECTED, f"an attempt with token {token} is not in its status", trace.place


def executed_again(
    run: Tried, traces: Mapping[int, Trace], tolerance: timedelta
) -> Iterator[Again | tuple[Finding, str, str | None]]:
    """Successive processes of a run: executed again after a lost lease, or at the same time without one."""
    for before, after in pairwise(each for each in run.attempts if each.started_at):
        trace = traces.get(before.token, _NOTHING)
        began = after.started_at
        assert began is not None
        # A supervisor kills before the lease ends; if its executor was frozen, that is only noticed later.
        is_beside = trace.ended_at is not None and trace.cause is not EndCause.LEASE
        ran_until = trace.ended_at if is_beside and trace.ended_at and trace.ended_at > began + tolerance else None
        if before.end is AttemptEnd.LOST:
            yield Again(
                owner=run.owner,
                run_id=run.run_id,
                nominal_time=run.nominal_time,
                attempt=before.attempt,
                token=before.token,
                executor_id=before.executor_id,
                reason_code=before.reason_code and before.reason_code.value,
                lost_at=before.finished_at,
                next_attempt=after.attempt,
                next_started_at=began,
                ran_until=ran_until,
            )
        elif ran_until:
            said = f"attempt {before.attempt} ended at {rfc3339(ran_until)}, after attempt {after.attempt} started at"
            yield Finding.TWICE, f"{said} {rfc3339(began)}, and no lease was lost", trace.place


_NOTHING = Trace()


def _dispatched(
    attempt: Attempt, trace: Trace, kept: Kept, settled: datetime, tally: Tally
) -> Iterator[tuple[Finding, str, str | None]]:
    name = f"attempt {attempt.attempt}"
    kept_from = kept.dispatches.get(attempt.timeout_class)
    if kept_from is None or attempt.dispatched_at <= kept_from:
        tally.before_kept += 1
        return
    tally.dispatches += trace.dispatches
    if not trace.dispatches:
        yield Finding.MISSING, f"{name} has no dispatch in runs.{attempt.timeout_class}", None
    elif trace.dispatches > 1:
        yield Finding.TWICE, f"{name} was dispatched {trace.dispatches} times under one token", trace.place
    if trace.is_claimed is False and trace.started_at:
        yield Finding.UNEXPECTED, f"{name} started, and its dispatch is not claimed", trace.place
    is_due = trace.dispatched_at is not None and trace.dispatched_at + trace.settles_in < settled
    if is_due and trace.is_claimed and not trace.is_reported and attempt.end is None:
        yield Finding.MISSING, f"{name} was claimed, and was neither started nor given up", trace.place


def _reported(attempt: Attempt, trace: Trace, kept: Kept, tally: Tally) -> Iterator[tuple[Finding, str, str | None]]:
    name, end = f"attempt {attempt.attempt}", attempt.end
    if attempt.dispatched_at <= kept.events:
        return
    tally.starts += trace.started_at is not None
    tally.ends += trace.has_end
    if attempt.started_at and trace.started_at is None:
        yield Finding.STATUS_LIE, f"{name} started by its status, and no executor reported a start", None
    if end is None:
        return
    if end in _REPORTED and not trace.has_end:
        yield Finding.STATUS_LIE, f"{name} is {end.value} by its status, and no executor reported an end", None
    elif end is AttemptEnd.SUCCEEDED and (trace.cause is not EndCause.EXITED or trace.exit_code != 0):
        how = trace.cause.value if trace.cause else "not an end of a process"
        said = f"its executor reported {how}, exit code {shell_exit_code(trace.exit_code)}"
        yield Finding.STATUS_LIE, f"{name} is succeeded by its status, and {said}", trace.place


def found_of(run: Tried, finding: Finding, sentence: str, place: str | None) -> Found:
    return Found(
        finding=finding,
        owner=run.owner,
        run_id=run.run_id,
        first=run.nominal_time,
        sentence=f"{run.run_id}: {sentence}",
        evidence=place or run.place,
    )
