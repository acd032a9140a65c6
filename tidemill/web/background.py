"""Reads in the background what takes longer than a page may: the state of the parts, the plan, what is overdue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from tidemill.target import wall_clock

WANTED_FOR = timedelta(minutes=2)
"""A task whose result no page has asked for in this time is not read again."""
T = TypeVar("T")

log = structlog.get_logger()


class Reading(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The latest result, or why there is none."""

    value: T | None
    problem: str | None
    at: datetime


class Task(msgspec.Struct, frozen=True, kw_only=True):
    read: Callable[[], Any]
    every: timedelta


class Background:
    """One thread for each task, so that a part that does not answer delays no other."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._found: dict[str, Reading[Any]] = {}
        self._wanted = dict.fromkeys(tasks, time.monotonic())
        self._wake = {name: threading.Event() for name in tasks}
        self._is_closed = False
        self._threads: list[threading.Thread] = []
        self.version = 0
        """Grows with each reading that differs from the one before."""

    def open(self) -> None:
        for name in self._tasks:
            thread = threading.Thread(target=self._run, args=(name,), name=f"background-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """A thread that still waits for a part ends with the process."""
        self._is_closed = True
        for each in self._wake.values():
            each.set()

    def get(self, name: str) -> Reading[Any] | None:
        """The latest reading; None: the first one is still being made. An old one is made anew."""
        self._wanted[name] = time.monotonic()
        found = self._found.get(name)
        if found is not None and wall_clock() - found.at > self._tasks[name].every:
            self._wake[name].set()
        return found

    def _run(self, name: str) -> None:
        task, wake = self._tasks[name], self._wake[name]
        while not self._is_closed:
            wake.clear()
            if time.monotonic() - self._wanted[name] < WANTED_FOR.total_seconds() or name not in self._found:
                self._note(name, reading(task.read))
            wake.wait(task.every.total_seconds())

    def _note(self, name: str, found: Reading[Any]) -> None:
        before = self._found.get(name)
        self._found[name] = found
        if before is None or (before.value, before.problem) != (found.value, found.problem):
            self.version += 1


def reading(read: Callable[[], T]) -> Reading[T]:
    try:
        return Reading(value=read(), problem=None, at=wall_clock())
    except Exception as error:  # noqa: BLE001 - a thread that ends would leave its last reading on the page for ever
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        log.warning("background_failed", error=first)
        return Reading(value=None, problem=first, at=wall_clock())
