"""Starts parts in the order of their dependencies, restarts a part that ends, and stops all in reverse order."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from enum import Enum

from infra.errors import StackError
from infra.part import Part
from infra.process import LOG_LIMIT_BYTES, Identity, identify, last_lines, rotate, signal_group, spawn
from infra.ready import why_not_live
from infra.status import Process
from infra.wakeup import Wakeup

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 15.0
STEADY_SECONDS = 30.0
"""A part that ran for this long started correctly, so its backoff is reset."""
BOOT_DEATHS = 4
"""If a part ends this often before the stack is first ready, the start fails."""
BOOT_SECONDS = 150.0
LOG_SECONDS = 5.0
"""The time between two checks of the logs' sizes; a log can exceed its limit by what a part writes in this time."""
LIVE_SECONDS = 5.0
"""The time between two questions to a part that runs, whether it is live."""
COMPLAINTS = 3
"""A part that denies it so often in a row is killed and started again."""
BUSY_WAIT_SECONDS = 0.05
IDLE_WAIT_SECONDS = 0.5


class State(Enum):
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    DONE = "done"
    STOPPED = "stopped"


READY = (State.RUNNING, State.DONE)


def backoff_seconds(deaths: int) -> float:
    return min(FIRST_BACKOFF_SECONDS * 2.0 ** (deaths - 1), LONGEST_BACKOFF_SECONDS)


class SupervisedPart:
    """A part and its state; only the supervisor changes it."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.state = State.WAITING
        self.child: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.restart_at = 0.0
        self.deaths = 0
        self.ask_at = 0.0
        """When to ask next whether it is live."""
        self.complaints = 0

    def identity(self) -> Identity | None:
        return None if self.child is None else identify(self.child.pid)

    def process(self) -> Process:
        identity = self.identity()
        state = State.STARTING if self.state is State.WAITING else self.state
        pid = None if identity is None else identity.pid
        observed = self.part.observe_port
        metrics = None if observed is None else f"http://127.0.0.1:{observed}/metrics"
        return Process(name=self.part.name, pid=pid, state=state.value, port=self.part.port, metrics=metrics)


class PartSupervisor:
    def __init__(
        self,
        parts: Sequence[Part],
        *,
        on_event: Callable[[str], None],
        on_change: Callable[[], None],
        should_stop: Callable[[], bool] = lambda: False,
        log_limit: int = LOG_LIMIT_BYTES,
    ) -> None:
        self._all = {part.name: SupervisedPart(part) for part in parts}
        self._on_event = on_event
        self._on_change = on_change
        self._should_stop = should_stop
        self._log_limit, self._look_at_logs_at = log_limit, 0.0
        self.booted = False

    def processes(self) -> tuple[Process, ...]:
        """The stack's processes, without the jobs of the start."""
        return tuple(each.process() for each in self._all.values() if not each.part.once)

    def identities(self) -> tuple[Identity, ...]:
        found = (each.identity() for each in self._all.values())
        return tuple(identity for identity in found if identity is not None)

    def run(self, wakeup: Wakeup, on_ready: Callable[[], None]) -> None:
        """Run until a stop signal or `should_stop`. Stops all parts in every case, also after an error."""
        try:
            deadline = time.monotonic() + BOOT_SECONDS
            while not (wakeup.stops or self._should_stop()):
                self._turn(time.monotonic())
                if not self.booted:
                    self._boot(deadline, on_ready)
                settled = all(each.state in READY for each in self._all.values())
                wakeup.wait(IDLE_WAIT_SECONDS if settled else BUSY_WAIT_SECONDS)
        finally:
            self._stop(wakeup)

    def _boot(self, deadline: float, on_ready: Callable[[], None]) -> None:
        late = [each.part for each in self._all.values() if each.state not in READY]
        if not late:
            self.booted = True
            on_ready()
        elif time.monotonic() > deadline:
            raise StackError(_failure(late[0], f"was not ready after {BOOT_SECONDS:.0f} s"))

    def _turn(self, now: float) -> None:
        for each in self._all.values():
            before = each.state
            self._advance(each, now)
            if each.state is not before:
                self._on_change()
        if now >= self._look_at_logs_at:
            self._look_at_logs_at = now + LOG_SECONDS
            for each in self._all.values():
                rotate(each.part.log, self._log_limit)

    def _advance(self, each: SupervisedPart, now: float) -> None:
        match each.state:
            case State.WAITING if all(self._all[name].state in READY for name in each.part.waits_for):
                self._start(each, now)
            case State.RESTARTING if now >= each.restart_at:
                self._start(each, now)
            case State.STARTING:
                self._check_start(each, now)
            case State.RUNNING if not self._has_ended(each, now):
                self._check_life(each, now)
            case _:
                pass

    def _start(self, each: SupervisedPart, now: float) -> None:
        each.child = spawn(each.part)
        each.started_at = now
        each.complaints = 0
        each.state = State.STARTING

    def _check_start(self, each: SupervisedPart, now: float) -> None:
        if self._has_ended(each, now):
            return
        if not each.part.once and each.part.is_ready():
            each.state = State.RUNNING
        elif now - each.started_at > each.part.start_seconds:
            self._on_event(f"{each.part.name} was not ready after {each.part.start_seconds:g} s; it is killed.")
            self._kill(each)

    def _check_life(self, each: SupervisedPart, now: float) -> None:
        if each.part.observe_port is None or now < each.ask_at:
            return
        each.ask_at = now + LIVE_SECONDS
        why = why_not_live(each.part.observe_port)
        each.complaints = 0 if why is None else each.complaints + 1
        if each.complaints >= COMPLAINTS:
            self._on_event(f"{each.part.name} is not live: {why}. It is killed.")
            self._kill(each)

    def _has_ended(self, each: SupervisedPart, now: float) -> bool:
        assert each.child is not None
        code = each.child.poll()
        if code is None:
            return False
        signal_group(each.child.pid, signal.SIGKILL)  # its children could block its successor
        if each.part.once and code == 0:
            each.state = State.DONE
        else:
            self._bury(each, code, now)
        return True

    def _bury(self, each: SupervisedPart, code: int, now: float) -> None:
        each.deaths = 1 if now - each.started_at > STEADY_SECONDS else each.deaths + 1
        if not self.booted and each.deaths >= BOOT_DEATHS:
            raise StackError(_failure(each.part, f"ended {each.deaths} times ({_how(code)})"))
        pause = backoff_seconds(each.deaths)
        each.restart_at = now + pause
        each.state = State.RESTARTING
        self._on_event(f"{each.part.name} ended ({_how(code)}); it starts again in {pause:g} s.")

    def _stop(self, wakeup: Wakeup) -> None:
        """Stop the parts that no running part uses, then the next ones; on a second signal, kill all at once."""
        impatient_from = wakeup.stops + 1
        asked: dict[str, float] = {}
        while living := self._living():
            now = time.monotonic()
            used = {name for each in living for name in each.part.uses}
            for each in living:
                if wakeup.stops >= impatient_from:
                    self._kill(each)
                elif each.part.name not in asked and each.part.name not in used:
                    asked[each.part.name] = now
                    assert each.child is not None
                    each.child.send_signal(each.part.stop_signal)
                elif now - asked.get(each.part.name, now) > each.part.stop_seconds:
                    self._on_event(f"{each.part.name} did not stop within {each.part.stop_seconds:g} s; it is killed.")
                    self._kill(each)
            wakeup.wait(BUSY_WAIT_SECONDS)
        for each in self._all.values():
            each.state = State.STOPPED
        self._on_change()

    def _living(self) -> list[SupervisedPart]:
        return [each for each in self._all.values() if each.child is not None and each.child.poll() is None]

    def _kill(self, each: SupervisedPart) -> None:
        assert each.child is not None
        signal_group(each.child.pid, signal.SIGKILL)
        each.child.wait()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _failure(part: Part, what: str) -> str:
    return f"{part.name} {what}. The end of {part.log}:\n{last_lines(part.log)}"
