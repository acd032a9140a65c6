"""Simulated time: one queue of events, one seed, and processes that can be killed, frozen and cut off."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from schemas.times import EPOCH

START_SECONDS = 1_772_366_400.0
"""2026-03-01T12:00:00Z in seconds: true time when a simulation begins."""
NEVER = float("inf")


class World:
    """Runs events in the order of their times. Two runs with one seed and one plan are identical."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        """Seconds since the beginning."""
        self.random = random.Random(seed)
        self.trace: list[tuple[float, str, str]] | None = None
        """(seconds, thing, what happened); None: nobody reads it."""
        self.coverage: Counter[tuple[str, str]] = Counter()
        """How often each (table, entry) was reached."""
        self.steps = 0
        self.heals_at = NEVER
        """What is frozen then wakes up."""
        self._heap: list[tuple[float, int, Process | None, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = count()

    @property
    def seconds(self) -> float:
        """True time in seconds since 1970: what a right clock says."""
        return START_SECONDS + self.now

    def time(self) -> datetime:
        return EPOCH + timedelta(seconds=START_SECONDS + self.now)

    def boot(self) -> float:
        """CLOCK_BOOTTIME, the same on every host; it never stops or jumps."""
        return self.now + 1000.0

    def after(self, delay: float, do: Callable[..., object], *args: Any, process: Process | None = None) -> None:
        """`process`: dead, it does nothing; frozen, it does it when it wakes up."""
        heapq.heappush(self._heap, (self.now + delay, next(self._numbers), process, do, args))

    def run(self, until: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, number, process, do, args = heapq.heappop(heap)
            if process is not None:
                if not process.is_alive:
                    continue
                if process.frozen_until > at:
                    if process.frozen_until < NEVER:
                        heapq.heappush(heap, (process.frozen_until, number, process, do, args))
                    continue
            self.now = max(self.now, at)
            self.steps += 1
            do(*args)
        self.now = until

    def note(self, thing: str, what: str) -> None:
        """A line of the history that a person reads."""
        if self.trace is not None:
            self.trace.append((self.now, thing, what))

    def latency(self) -> float:
        """Of a message between two processes: some milliseconds."""
        return 0.001 + 0.02 * self.random.random()


class Process:
    """Anything that can die, freeze, or lose its network. A restart is another object."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.is_alive = True
        self.frozen_until = 0.0
        self.cut_off_until = 0.0

    def after(self, delay: float, do: Callable[..., object], *args: Any) -> None:
        self.world.after(delay, do, *args, process=self)

    def kill(self) -> None:
        self.is_alive = False
        self.world.note(self.name, "is killed")

    def freeze(self, seconds: float) -> None:
        until = min(self.world.now + seconds, max(self.world.heals_at, self.world.now))
        self.frozen_until = max(self.frozen_until, until)
        self.world.note(self.name, f"is frozen for {seconds:.0f} s")

    def cut_off(self, seconds: float) -> None:
        self.cut_off_until = max(self.cut_off_until, self.world.now + seconds)
        self.world.note(self.name, f"reaches no broker for {seconds:.0f} s")

    @property
    def is_frozen(self) -> bool:
        return self.frozen_until > self.world.now

    @property
    def is_cut_off(self) -> bool:
        return self.cut_off_until > self.world.now
