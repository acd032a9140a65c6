"""Timers: jobs with the same schedule share one, so a tick costs O(due), never O(jobs)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from schemas.job import JobSpec
from schemas.times import EPOCH, rfc3339
from streams.core.agenda import Agenda
from streams.core.schedule.occurrences import (
    DstRules,
    Every,
    Schedule,
    count_between,
    latest,
    next_after,
    occurrences,
    parse_schedule,
)

T = TypeVar("T")

_ANSWERS_KEPT = 32
"""How many answers a timer caches; its members mostly ask about the same few intervals in turn."""
SEARCHES_OF_A_QUESTION = 5
"""The cost of one search, counted in occurrences, because it may have to read the calendar."""


@dataclass(slots=True, kw_only=True)
class Timer:
    """One distinct (schedule, zone, DST rules, phase), and the jobs that follow it."""

    key: str
    schedule: Schedule
    zone: str
    dst: DstRules
    phase: datetime | None
    next_time: datetime | None
    """The first nominal time that is not decided; None: there is none."""
    nothing_after: datetime = EPOCH
    """No nominal time lies between this instant and `next_time`."""
    members: set[str] = field(default_factory=set)
    _order: list[str] | None = None
    searched: int = 0
    """The cost of all searches so far, in occurrences."""
    _charged: int = 0
    _answers: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def from_member(self, job_id: str) -> Iterator[str]:
        """The jobs from `job_id` on, in the order in which a tick decides them; the empty string: all jobs."""
        if self._order is None:
            self._order = sorted(self.members)
        order = self._order
        for index in range(bisect_left(order, job_id), len(order)):
            yield order[index]

    def add(self, job_id: str) -> None:
        self.members.add(job_id)
        self._order = None

    def discard(self, job_id: str) -> None:
        self.members.discard(job_id)
        self._order = None

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The occurrences in (after, until], at most `limit`."""
        return self._answer(occurrences, after, until, limit)

    def count(self, after: datetime, until: datetime, limit: int) -> int:
        """How many occurrences are in (after, until], at most `limit`."""
        return self._answer(count_between, after, until, limit)

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The last occurrence in (after, until]."""
        return self._answer(latest, after, until)

    def next_after(self, instant: datetime) -> datetime | None:
        return self._answer(next_after, instant)

    def knows_what_follows(self, instant: datetime) -> bool:
        """Whether `next_time` is the first nominal time after `instant`."""
        return self.nothing_after <= instant and (self.next_time is None or instant < self.next_time)

    def take_searched(self) -> int:
        """The cost of searches since the last call."""
        found, self._charged = self.searched - self._charged, self.searched
        return found

    def forget_answers(self) -> None:
        self._answers.clear()

    def _answer(self, question: Callable[..., T], *about: Any) -> T:
        """Search the schedule once for all members that ask the same."""
        key = (question, *about)
        if key not in self._answers:
            if len(self._answers) >= _ANSWERS_KEPT:
                self._answers.clear()
            found = question(self.schedule, self.zone, self.dst, *about, self.phase)
            self._answers[key] = found
            self.searched += SEARCHES_OF_A_QUESTION + (len(found) if isinstance(found, list) else 0)
        answer: T = self._answers[key]
        return answer


class Timers:
    """All timers of one partition owner, ordered by due time."""

    __slots__ = ("_agenda", "_asked", "_by_key", "_due", "_key_of_job")

    def __init__(self) -> None:
        self._by_key: dict[str, Timer] = {}
        self._asked: Timer | None = None
        """The new timer of the last `is_quiet`; its job is usually added next."""
        self._key_of_job: dict[str, str] = {}
        self._agenda: Agenda[datetime, str] = Agenda()
        self._due: list[Timer] = []

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, job: JobSpec, after: datetime) -> None:
        """Decide `job`, which has a schedule, from `after` on. If it raises `InvalidScheduleError`, nothing changes."""
        timer = self._shared(job, after)
        timer.add(job.job_id)
        self._key_of_job[job.job_id] = timer.key

    def is_quiet(self, job: JobSpec, after: datetime, until: datetime) -> bool:
        """Whether no nominal time of `job` is in (after, until]. Raises `InvalidScheduleError`.

        Most definitions of a bulk change share a timer with others; that timer answers without a search.
        """
        if after >= until:
            return True
        schedule = parse_schedule(job.schedule or "")
        timer = self._by_key.get(_key(job, schedule))
        if timer is None:
            timer = self._asked = timer_of(job)
            timer.next_time, timer.nothing_after = timer.next_after(after), after
        following = timer.next_time if timer.knows_what_follows(after) else timer.next_after(after)
        return following is None or following > until

    def remove(self, job_id: str) -> None:
        key = self._key_of_job.pop(job_id, None)
        if key is None:
            return
        timer = self._by_key[key]
        timer.discard(job_id)
        if not timer.members:
            del self._by_key[key]
            self._agenda.drop(key)

    def __iter__(self) -> Iterator[Timer]:
        return iter(self._by_key.values())

    @property
    def entries(self) -> int:
        """The length of the heap, including dead entries."""
        return self._agenda.entries

    def next_time(self) -> datetime | None:
        """When the next timer is due."""
        head = self._agenda.head()
        return head[0] if head else None

    def take_due(self, until: datetime) -> list[Timer]:
        """The timers due by `until`, in the order of a tick: by key. The caller must advance or keep each."""
        due = {each.key: each for each in self._due if self._by_key.get(each.key) is each}
        self._due = []
        while (key := self._agenda.pop_due(until)) is not None:
            due[key] = self._by_key[key]
        return [due[key] for key in sorted(due)]

    def keep_due(self, timers: list[Timer]) -> None:
        """The next `take_due` returns these timers too, because they are not advanced yet."""
        self._due = timers

    def advance(self, timer: Timer, after: datetime) -> None:
        """Note that all occurrences up to `after` are decided for all members."""
        timer.forget_answers()
        timer.next_time, timer.nothing_after = timer.next_after(after), after
        self._note(timer)

    def _shared(self, job: JobSpec, after: datetime) -> Timer:
        schedule = parse_schedule(job.schedule or "")
        key = _key(job, schedule)
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = self._new_timer(job, key, after)
            self._note(found)
        elif after < found.nothing_after:
            self._set_back(found, after)
        return found

    def _new_timer(self, job: JobSpec, key: str, after: datetime) -> Timer:
        asked, self._asked = self._asked, None
        if asked is not None and asked.key == key and asked.knows_what_follows(after):
            return asked
        timer = timer_of(job)
        timer.next_time, timer.nothing_after = timer.next_after(after), after
        return timer

    def _set_back(self, timer: Timer, after: datetime) -> None:
        earlier, timer.nothing_after = timer.next_after(after), after
        if earlier != timer.next_time:
            timer.next_time = earlier
            self._note(timer)

    def _note(self, timer: Timer) -> None:
        """Queue the timer by its next time. A tick may have removed its last member meanwhile."""
        if timer.next_time is None or timer.key not in self._by_key:
            self._agenda.drop(timer.key)
        else:
            self._agenda.put(timer.key, timer.next_time)


def timer_of(job: JobSpec) -> Timer:
    """A timer for `job` alone. Raises `InvalidScheduleError`."""
    schedule = parse_schedule(job.schedule or "")
    return Timer(
        key=_key(job, schedule),
        schedule=schedule,
        zone=job.timezone,
        dst=DstRules(gap=job.dst_gap.value, fold=job.dst_fold.value if job.dst_fold else None),
        phase=_phase(job, schedule),
        next_time=None,
    )


def _key(job: JobSpec, schedule: Schedule) -> str:
    phase = _phase(job, schedule)
    fold = job.dst_fold.value if job.dst_fold else ""
    return f"{job.schedule}|{job.timezone}|{job.dst_gap.value}|{fold}|{rfc3339(phase) if phase else ''}"


def _phase(job: JobSpec, schedule: Schedule) -> datetime | None:
    return job.starts_at if isinstance(schedule, Every) else None
