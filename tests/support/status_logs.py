"""Logs of one partition of `status` as an owner's transactions write them, and a direct count of what happened.

The owner makes its transitions with the functions of the core; the count notes each event when it happens, and never
looks at a record.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec

from connectors.metrics.figures import Labels
from observe.catalogue import status as catalogue
from observe.metric import SECONDS
from schemas.codec import encode
from schemas.ids import RunId
from schemas.reasons import HOLDING, ReasonCode
from schemas.status import Attempt, Missed, RunStatus
from schemas.words import NEVER_RAN, AttemptEnd, RunKind, RunState
from streams.core.reason import Reason
from streams.core.runs.run import (
    AttemptReport,
    Exit,
    change_attempt,
    ended_attempt,
    fold_expired,
    transition_to,
    with_attempt,
)

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
CLASSES = ("10s", "1m")
KINDS = (RunKind.SCHEDULED, RunKind.REQUESTED, RunKind.BACKFILLED, RunKind.NODE, RunKind.DAG, RunKind.BACKFILL)
ENDS = (
    (AttemptEnd.SUCCEEDED, RunState.SUCCEEDED, None),
    (AttemptEnd.FAILED, RunState.RETRY_WAIT, ReasonCode.EXIT_CODE),
    (AttemptEnd.LOST, RunState.QUEUED, ReasonCode.LEASE_EXPIRED),
    (AttemptEnd.PROMOTED, RunState.QUEUED, ReasonCode.PROMOTED),
    (AttemptEnd.TIMED_OUT, RunState.TIMED_OUT, ReasonCode.TIMED_OUT),
    (AttemptEnd.FAILED, RunState.DEAD, ReasonCode.SIGNAL),
)
STILL_QUEUED = frozenset({ReasonCode.EXPIRED, ReasonCode.NO_CAPABLE_EXECUTOR})
GAUGES = frozenset({catalogue.OPEN_RUNS.name, catalogue.TENANT_OPEN.name, catalogue.JOB_OPEN.name})
Record = tuple[int, bytes, bytes]
"""(offset, key, value)"""


class StatusLog:
    """An owner that writes one partition. `plain`: no reruns and no expired dispatches, of which a record that
    compaction leaves does not tell all.
    """

    def __init__(self, name: str, *, plain: bool = False) -> None:
        self.name, self.plain = name, plain
        self.records: list[Record] = []
        self.end = 0
        self.counts: Counter[tuple[str, Labels]] = Counter()
        self.times: Counter[tuple[str, Labels, int]] = Counter()
        """By metric, labels and milliseconds."""
        self.open: dict[str, RunStatus] = {}
        self._ended: list[RunStatus] = []
        self._started: dict[str, int] = {}
        self._waits_since: dict[str, datetime] = {}
        self._published: list[RunStatus] = []
        self._changed: dict[tuple[str, str | None], RunStatus] = {}
        self._dispatched: set[str] = set()
        self._version = self._made = 0
        self._now = START

    def act(self, choice: int) -> None:
        """Something happens; `choice` decides what."""
        self._now += timedelta(milliseconds=1 + choice % 977)
        what, rest = choice % 8, choice // 8
        if what == 0:
            self.commit()
        elif what == 1:
            self._create(rest)
        elif what == 2 and rest % 3 == 0:
            self._miss(rest)
        elif what == 2 and rest % 3 == 1 and self._ended and not self.plain:
            self._rerun(self._ended.pop(rest % len(self._ended)))
        elif self.open:
            self._step(list(self.open.values())[rest % len(self.open)], rest // 7)

    def commit(self) -> None:
        """One transaction: published records, the last record of each changed run, DAG runs at the end, a marker."""
        written = [*self._published, *sorted(self._changed.values(), key=lambda each: each.kind is RunKind.DAG)]
        for status in written:
            self.records.append((self.end, status.run_id.encode(), encode(status)))
            self.end += 1
        self.end += bool(written)
        self._published.clear()
        self._dispatched.clear()
        self._changed.clear()

    def _next(self) -> int:
        self._version += 1
        return self._version

    def _blank(self, kind: RunKind, number: int, **more: object) -> RunStatus:
        self._made += 1
        due = self._now - timedelta(milliseconds=number % 7_000)
        return RunStatus(
            run_id=RunId(f"{self.name}{number % 4}#{self._made}"),
            job_id=f"{self.name}{number % 4}",
            tenant=f"tenant-{number % 3}",
            kind=kind,
            nominal_time=due,
            scheduled_time=due,
            state=RunState.QUEUED,
            version=0,
            **more,
        )

    def _create(self, number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        has_class = kind not in {RunKind.DAG, RunKind.BACKFILL}
        status = self._blank(
            kind, number, queued_at=self._now, timeout_class=CLASSES[number % 2] if has_class else None
        )
        held = Reason(ReasonCode.OVERLAP_WAITING, "waits") if number % 5 == 0 else None
        self._move(status, RunState.QUEUED, held)

    def _miss(self, number: int) -> None:
        state, code = (
            (RunState.MISSED, ReasonCode.CATCHUP_WINDOW) if number % 2 else (RunState.SKIPPED, ReasonCode.PAUSED)
        )
        missed = Missed(first=self._now, last=self._now, count=1 + number % 50, at_least=False) if number % 2 else None
        status = transition_to(
            self._blank(RunKind.SCHEDULED, number), state, version=self._next(), at=self._now, reason=Reason(code, "x")
        )
        status = msgspec.structs.replace(status, missed=missed)
        self._published.append(status)
        self._count_transition(status, missed.count if missed else 1)

    def _rerun(self, ended: RunStatus) -> None:
        self._made += 1
        status = self._blank(
            ended.kind, 0, queued_at=self._now, timeout_class=ended.timeout_class, rerun_id=f"again-{self._made}"
        )
        kept = {name: getattr(ended, name) for name in ("run_id", "job_id", "tenant", "scheduled_time", "attempt")}
        reason = Reason(ReasonCode.RERUN_BY_REQUEST, "again")
        self._move(msgspec.structs.replace(status, **kept), RunState.QUEUED, reason)

    def _step(self, status: RunStatus, choice: int) -> None:
        last = status.attempts[-1] if status.attempts else None
        is_out = last is not None and last.end is None
        if status.run_id in self._dispatched:  # no executor sees a dispatch before its transaction ends
            self.commit()
        match status.state:
            case RunState.RETRY_WAIT:
                self._move(status, RunState.QUEUED)
            case RunState.QUEUED if status.timeout_class is None:
                self._open(status)
            case RunState.RUNNING if status.timeout_class is None:
                self._move(status, (RunState.SUCCEEDED, RunState.FAILED)[choice % 2])
            case RunState.QUEUED if is_out and choice % 4:
                self._start(status)
            case RunState.QUEUED if is_out and not self.plain:
                self._end(status, AttemptEnd.EXPIRED, RunState.QUEUED, ReasonCode.EXPIRED)
            case RunState.QUEUED if is_out:
                self._end(status, AttemptEnd.REJECTED, RunState.RETRY_WAIT, ReasonCode.REJECTED)
            case RunState.QUEUED:
                self._go_on(status, choice)
            case _:
                self._end(status, *ENDS[choice % len(ENDS)])

    def _go_on(self, status: RunStatus, choice: int) -> None:
        if choice % 9 == 0:
            self._move(status, RunState.CANCELLED)
        elif choice % 9 == 1 and not self.plain:
            was_unmet = status.reason_code is ReasonCode.NO_CAPABLE_EXECUTOR
            why = None if was_unmet else Reason(ReasonCode.NO_CAPABLE_EXECUTOR, "waits")
            self._move(status, RunState.QUEUED, why)
        else:
            self._dispatch(status)

    def _dispatch(self, status: RunStatus) -> None:
        number, token = status.attempt + 1, self._next()
        name = status.timeout_class or ""
        attempt = Attempt(attempt=number, token=token, timeout_class=name, dispatched_at=self._now)
        self._put(with_attempt(status, attempt, version=self._next()))
        self._dispatched.add(status.run_id)

    def _start(self, status: RunStatus) -> None:
        version = self._next()
        attempt = msgspec.structs.replace(status.attempts[-1], started_at=self._now)
        status = change_attempt(status, attempt, version=version)
        self._move(status, RunState.RUNNING, version=version)
        kind, name = status.kind.value, attempt.timeout_class
        waited = self._now - max(self._waits_since[status.run_id], status.scheduled_time)
        self._time(catalogue.QUEUE_SECONDS.name, waited, kind, name)
        tried = [each.end for each in status.attempts[:-1] if each.end is not AttemptEnd.EXPIRED]
        if tried and tried[-1] not in {AttemptEnd.PROMOTED, AttemptEnd.SUCCEEDED}:
            self.counts[catalogue.RETRIES.name, (name,)] += 1
        first = self._started.setdefault(status.run_id, attempt.attempt) == attempt.attempt
        if first and kind in {"scheduled", "requested"} and not _is_held(status) and status.rerun_id is None:
            self._time(catalogue.LATENESS.name, self._now - status.scheduled_time, kind, name)

    def _end(self, status: RunStatus, end: AttemptEnd, to: RunState, code: ReasonCode | None) -> None:
        reason = Reason(code, "because") if code else None
        before = status.attempts[-1]
        seen = Exit(started_at=before.started_at, exit_code=1, output=None, output_bytes=0, log_uri=None)
        exit_ = seen if before.started_at else None
        report = AttemptReport(end=end, reason=reason, finished_at=self._now, exit=exit_)
        attempt = ended_attempt(before, report)
        status = change_attempt(status, attempt, version=self._next())
        if end is AttemptEnd.EXPIRED and len(status.attempts) > 1:
            status = fold_expired(status)
        self.counts[catalogue.ATTEMPTS.name, (end.value, attempt.timeout_class)] += 1
        if code:
            self.counts[catalogue.ATTEMPT_REASONS.name, (code.value,)] += 1
        if attempt.started_at:
            self._time(catalogue.ATTEMPT_SECONDS.name, self._now - attempt.started_at, attempt.timeout_class)
        next_class = CLASSES[-1] if end is AttemptEnd.PROMOTED else status.timeout_class
        self._move(msgspec.structs.replace(status, timeout_class=next_class), to, reason)

    def _open(self, status: RunStatus) -> None:
        """A DAG run or a backfill begins."""
        self._move(msgspec.structs.replace(status, started_at=self._now), RunState.RUNNING)
        is_timed = status.kind is RunKind.DAG and status.rerun_id is None and not _is_held(status)
        if is_timed:
            self._time(catalogue.LATENESS.name, self._now - status.scheduled_time, "dag", "none")

    def _move(self, status: RunStatus, to: RunState, reason: Reason | None = None, version: int | None = None) -> None:
        before = status.reason_code if status.state is RunState.QUEUED and status.transitions else None
        status = transition_to(status, to, version=version or self._next(), at=self._now, reason=reason)
        if to is RunState.QUEUED and (reason.code if reason else before) not in STILL_QUEUED:
            self._waits_since[status.run_id] = self._now
        self._count_transition(status, 1)
        if to.is_final and status.kind is RunKind.DAG:
            assert status.started_at is not None
            self._time(catalogue.DAG_RUN_SECONDS.name, self._now - status.started_at)
        self._put(status)

    def _put(self, status: RunStatus) -> None:
        self._changed[status.run_id, status.rerun_id] = status
        if status.state.is_final:
            self.open.pop(status.run_id, None)
            self._ended.append(status)
        else:
            self.open[status.run_id] = status

    def _count_transition(self, status: RunStatus, occurrences: int) -> None:
        state, kind = status.state.value, status.kind
        of = status.attempts[-1].timeout_class if status.attempts and state not in {"queued", "retry_wait"} else None
        self.counts[catalogue.RUNS.name, (state, kind.value, of or status.timeout_class or "none")] += 1
        if not status.state.is_final:
            return
        if status.state in NEVER_RAN:
            self.counts[catalogue.NOT_RUN.name, (state, status.reason_code.value)] += occurrences
        if kind not in {RunKind.NODE, RunKind.BACKFILL}:
            self.counts[catalogue.TENANT_RUNS.name, (status.tenant, state)] += 1
            self.counts[catalogue.JOB_RUNS.name, (status.job_id, state)] += 1

    def _time(self, name: str, length: timedelta, *labels: str) -> None:
        self.times[name, labels, max(length // timedelta(milliseconds=1), 0)] += 1


def compacted(records: list[Record], below: int) -> list[Record]:
    """What compaction leaves of the records below an offset: the last one of each key."""
    last = {key: offset for offset, key, _ in records if offset < below}
    return [each for each in records if each[0] >= below or last[each[1]] == each[0]]


class Counted(msgspec.Struct, frozen=True):
    counters: dict[tuple[str, Labels], int]
    gauges: dict[tuple[str, Labels], int]
    times: dict[tuple[str, Labels], tuple[list[int], int]]
    """By metric and labels: the counts of the buckets, not cumulative, and the sum in milliseconds."""


def counted(logs: list[StatusLog]) -> Counted:
    """What happened in all logs together."""
    counters: Counter[tuple[str, Labels]] = Counter()
    lengths: Counter[tuple[str, Labels, int]] = Counter()
    gauges: Counter[tuple[str, Labels]] = Counter()
    for log in logs:
        counters.update(log.counts)
        lengths.update(log.times)
        for run in log.open.values():
            kind = run.kind
            gauges[catalogue.OPEN_RUNS.name, (run.state.value, kind.value, run.timeout_class or "none")] += 1
            if kind not in {RunKind.NODE, RunKind.BACKFILL}:
                gauges[catalogue.TENANT_OPEN.name, (run.tenant, run.state.value)] += 1
                gauges[catalogue.JOB_OPEN.name, (run.job_id, run.state.value)] += 1
    times: dict[tuple[str, Labels], tuple[list[int], int]] = {}
    for (name, labels, ms), count in lengths.items():
        buckets, total = times.get((name, labels), ([0] * (len(SECONDS) + 1), 0))
        buckets[bisect_left(SECONDS, ms / 1000)] += count
        times[name, labels] = buckets, total + ms * count
    return Counted(dict(counters), dict(gauges), times)


def _is_held(status: RunStatus) -> bool:
    return any(each.reason_code in HOLDING for each in status.transitions)
