"""What the real runner of an executor works with: a cache that may have to fetch, and the rest without content."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from executors import runner
from executors.executables import Executable
from executors.in_hand import Attempt
from executors.secrets.store import NO_SECRETS
from executors.slots import Slots
from executors.supervisor_link import Spec
from schemas.dispatch import Dispatch
from schemas.errors import TidemillError
from tests.simulation.things.world import Process

SPEC = Spec(argv=(), env={}, cwd=Path())
NO_DIRECTORY = SimpleNamespace(executable="", result="", has_checkpoint=False)
NO_OUTPUT = SimpleNamespace(text="", total_bytes=0, log_uri=None)


class Sleep:
    """`await Sleep(seconds)` in a task of `Tasks`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __await__(self) -> Generator[Sleep, None, None]:
        yield self


class Task:
    def add_done_callback(self, _: object) -> None: ...

    def cancel(self) -> None: ...


class Tasks:
    """Runs the coroutines of the runner as events of its process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def create_task(self, work: Coroutine[Any, Any, None]) -> Task:
        self._process.after(0.0, self._resume, work)
        return Task()

    def _resume(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            sleep = work.send(None)
        except StopIteration:
            return
        self._process.after(sleep.seconds, self._resume, work)


class NoSuchExecutableError(TidemillError):
    """The simulated S3 does not have it."""


class Executables:
    """The cache of one executor. What it does not have takes some seconds, or much longer."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._cached: set[str] = set()

    def expect(self, uris: object, since: float) -> None: ...

    def cached(self, uri: str, sha256: str | None, read: float) -> Executable | None:
        return _executable(uri) if uri in self._cached and sha256 else None

    async def look_up(self, uri: str, read: float) -> Executable | None:
        await Sleep(self._process.world.latency())
        return _executable(uri) if uri in self._cached else None

    async def fetch(self, uri: str, sha256: str | None) -> Executable:
        dice = self._process.world.random
        await Sleep(dice.uniform(0.2, 3) if dice.random() < 0.8 else dice.uniform(10, 70))
        if dice.random() < 0.03:
            raise NoSuchExecutableError("S3 does not answer")
        self._cached.add(uri)
        return _executable(uri)


def _executable(uri: str) -> Executable:
    return Executable(sha256="0" * 64, path=Path(), name=uri, stamp=(0, 0, 0))


class Output:
    """The output of a process: nothing."""

    streams = has_to_be_stored = False
    total_bytes = 0

    def at_end(self, do: Callable[[], None]) -> None:
        do()

    def collected(self) -> Any:
        return NO_OUTPUT

    def close(self) -> None: ...


class FreeSlots(Slots):
    """A claimer waits for a slot by an event, not in a thread."""

    def wait_free(self, timeout_class: str, count: int, seconds: float) -> None: ...


class SimulatedRunner(runner.Runner):
    """The real runner, without directories and pipes."""

    def _make_directory(self, attempt: Attempt, executable: Executable) -> Any:
        directory: Any = NO_DIRECTORY
        attempt.directory = directory
        return directory

    def _prepare(self, attempt: Attempt, executable: Executable) -> Spec:
        self._make_directory(attempt, executable)
        return SPEC

    def _spawn(self, attempt: Attempt) -> None:
        """Without a sandbox and without a standard input."""
        terms = self.policy.terms(attempt.dispatch, runner.void_at(attempt, self.policy.margin))
        self.link.spawn(attempt.number, SPEC, terms, self.renewed(), None)
        self._follow(attempt, -1)

    def _follow(self, attempt: Attempt, fd: int) -> None:
        attempt.output = Output()


class NoMetrics:
    def left(self, phase: object, seconds: float) -> None: ...

    def ended(self, cause: object) -> None: ...

    def claimed(self, timeout_class: str, after: object) -> None: ...


class NoSecrets:
    def at_hand(self, dispatch: Dispatch) -> Any:
        return NO_SECRETS


class NoLimiter:
    def note_exit(self, attempt: Attempt) -> None: ...

    def has_to_measure(self, attempt: Attempt) -> bool:
        return False

    def release(self, attempt: Attempt) -> None: ...


class NoDirectories:
    def release(self, directory: object) -> None: ...
