"""Kills what attempts left running when their leaders ended, and holds back their ends until nothing is left.

Whatever an attempt starts is a child of the supervisor or below one: the supervisor adopts orphans. A child belongs to
the attempt whose user it has, else whose tag it has, else whose variables it was started with. SIGKILL to all processes
of a user or a group leaves none that could start another one; the others are killed one by one, again and again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from executors.deadlines import FOREVER
from executors.orphans import (
    AttemptVariables,
    Strays,
    attempt_variables_of,
    is_gone,
    kill_all_of,
    kill_with_group,
    name_of,
    tagged_number,
    user_of,
)

# The process supervisor imports this file: import only small parts of the standard library.

LOOK_SECONDS = 0.002
"""While something is left, look again after this time, or as soon as a child ends."""
_PROOF_SECONDS = 2.0
"""A killed process ends sooner, unless the kernel cannot end it, for example while it waits for a dead disk."""
_DOUBT_SECONDS = 0.1
"""Wait so long for processes that may be of an attempt that still runs: they are not killed."""
_KILL_AGAIN_SECONDS = 0.1
_MOST_ASKED = 500
"""Ask so many children whose they are before the supervisor enforces leases again."""
_MOST_NAMED = 3
_SOMEONE = 0
"""Stands for an attempt that has ended; its number is not known. Numbers begin with 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What tells whose a process is."""

    number: int
    started: float
    variables: AttemptVariables
    user: int | None = None
    """The user that only this attempt has."""
    killer: int | None = None
    """A user without processes, for `kill_all_of`."""


@dataclass(slots=True, kw_only=True)
class Ending:
    """An attempt whose leader has ended."""

    identity: Identity
    since: float
    notice: dict[str, Any]
    """What the executor gets; its "left" says what is left of the attempt."""
    killed_at: float = 0.0


@dataclass(slots=True)
class _Left:
    """Processes that live and are of no attempt that runs, as far as they were asked."""

    certain: dict[int, int] = field(default_factory=dict)
    """By pid: the number of the ended attempt that it belongs to."""
    doubtful: set[int] = field(default_factory=set)
    """Pids of processes that may be of an ended attempt or of one that runs."""
    is_complete: bool = True


class Leftovers:
    def __init__(self) -> None:
        self._strays = Strays()
        self._endings: list[Ending] = []
        self._numbers: dict[int, int] = {}
        """By pid: the number of the child's attempt, once it is known."""
        self._gone: set[int] = set()
        """Children that had ended when they were last asked. One that ended after the last look may have left a child
        that this look did not show."""

    def __bool__(self) -> bool:
        """Whether an end is held back."""
        return bool(self._endings)

    def leaves_any(self, ended: Identity, living: Collection[int], now: float) -> bool:
        """Whether something of it may be left; `living` are the pids of the leaders that run."""
        self._strays.look(living, now)
        return self._strays.came_since(ended.started)

    def hold_back(self, ending: Ending) -> None:
        self._endings.append(ending)

    def forget(self, pid: int) -> None:
        """The child is reaped."""
        self._strays.forget(pid)
        self._numbers.pop(pid, None)
        self._gone.discard(pid)

    def settle(self, living: Mapping[int, Identity], now: float) -> list[dict[str, Any]]:
        """Kill what is left; returns the notices to send. `living` are the attempts that run, by their leader's pid."""
        if not self._endings:
            return []
        self._strays.look(living, now)
        left = self._find_left(living)
        self._kill(left, living, now)
        over = [each for each in self._endings if self._is_over(each, left, now)]
        self._endings = [each for each in self._endings if each not in over]
        return [each.notice for each in over]

    def _find_left(self, living: Mapping[int, Identity]) -> _Left:
        known = _Known([*living.values(), *(each.identity for each in self._endings)])
        numbers = {each.number for each in living.values()}
        oldest = min((each.started for each in living.values()), default=FOREVER)
        left, may_ask = _Left(is_complete=self._strays.is_complete), _MOST_ASKED
        for pid, since in self._strays.since.items():
            number = self._numbers.get(pid)
            if number is None and (number := known.number_of(pid)) is not None:
                self._numbers[pid] = number
            if number in numbers:
                continue
            if is_gone(pid):
                left.is_complete &= pid in self._gone
                self._gone.add(pid)
            elif number is not None or since < oldest:  # no attempt that runs can have started what is older
                left.certain[pid] = _SOMEONE if number is None else number
            else:
                left.doubtful.add(pid)
            may_ask -= 1
            if not may_ask:
                left.is_complete = False
                break
        return left

    def _kill(self, left: _Left, living: Mapping[int, Identity], now: float) -> None:
        numbers = set(left.certain.values())
        for each in self._endings:
            user, killer = each.identity.user, each.identity.killer
            is_due = each.identity.number in numbers and now >= each.killed_at + _KILL_AGAIN_SECONDS
            if is_due and user is not None and killer is not None:
                each.killed_at = now
                kill_all_of(user, killer)
        for pid in left.certain:
            kill_with_group(pid, spared=living)

    def _is_over(self, ending: Ending, left: _Left, now: float) -> bool:
        """Whether the end can be reported: nothing is left, or that cannot be proven in time."""
        number, started, since = ending.identity.number, ending.identity.started, self._strays.since
        own = [pid for pid, its in left.certain.items() if its == number or (not its and since[pid] >= started)]
        doubts = [pid for pid in left.doubtful if since[pid] >= started]
        if left.is_complete and not own and not doubts:
            return True
        if now < ending.since + (_PROOF_SECONDS if own or not left.is_complete else _DOUBT_SECONDS):
            return False
        ending.notice["left"] = _sentence(own, doubts)
        return True


class _Known:
    """The attempts that run or end, by what their processes show."""

    def __init__(self, attempts: list[Identity]) -> None:
        self._by_user = {each.user: each.number for each in attempts if each.user is not None}
        self._by_variables = {each.variables: each.number for each in attempts}

    def number_of(self, pid: int) -> int | None:
        """The number of a process's attempt; None if it shows none."""
        user = user_of(pid)
        number = None if user is None else self._by_user.get(user)
        if number is None:
            number = tagged_number(pid)
        if number is None and (variables := attempt_variables_of(pid)):
            number = self._by_variables.get(variables, _SOMEONE)
        return number


def _sentence(own: list[int], doubts: list[int]) -> str:
    named = ", ".join(f"{pid} ({name_of(pid)})" for pid in [*own, *doubts][:_MOST_NAMED])
    if own:
        return f"{len(own)} of its processes did not end within {_PROOF_SECONDS:.0f} s of SIGKILL: {named}"
    if doubts:
        return f"{len(doubts)} processes that may be its own, or of an attempt that runs, are left: {named}"
    return "it left more processes than the supervisor could end"
