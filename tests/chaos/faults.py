"""Carries out faults on a running stack, heals each after its time, and waits until what it hit is back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.chaos.log import Happened, Log
from tests.chaos.network import isolation
from tests.chaos.proxy import How, Rule
from tests.chaos.schedule import BROKERS, EXECUTORS, SINKS, WORKERS, Planned
from tests.chaos.site import Site
from tests.support.waiting import eventually
from tidemill.target import wall_clock

BACK_SECONDS = 120
"""So long a process may take to be ready again, on a busy machine."""
DELAY_SECONDS = 0.2
STEPS = (-3600, -30, 45, 86_400)
COMMAND_SECONDS = 60
COMMAND_TRIES = 3
"""A broker may be away, as every operator may find it."""
LEASES = ("PT14S", "PT12S")
GROUPS = {"workers": WORKERS, "executors": EXECUTORS, "sinks": SINKS}
SUPERVISOR = "executors.process_supervisor"
ANSWER_SECONDS = 5
LOOK_SECONDS = 0.1


class LeftOutError(Exception):
    """The fault cannot happen now."""


class Faults:
    """Used by one thread for each lane."""

    def __init__(self, site: Site, log: Log) -> None:
        self._site, self._log = site, log
        self._admin = AdminClient({**site.client.connections.kafka(), "log_level": 0})
        self._leases = 0

    def do(self, planned: Planned, *, alone: bool = False) -> Happened:
        """Returns when the fault is healed and its target is back."""
        target, why = planned.target, None
        if target == "leader":
            target = self._leader()
        began = wall_clock()
        try:
            if planned.lane == "brokers":
                self.await_in_sync()
                began = wall_clock()
            self._carry_out(planned, target)
        except (LeftOutError, AssertionError) as error:
            why = str(error)
        found = Happened(
            at=began,
            fault=f"{planned.lane}: {planned.kind}",
            target=target,
            until=wall_clock(),
            alone=alone,
            left_out=why,
        )
        self._log.add(found)
        return found

    def await_in_sync(self) -> None:
        eventually(self._are_in_sync, BACK_SECONDS, "the return of all replicas")

    def _carry_out(self, planned: Planned, target: str) -> None:
        match planned.kind:
            case "kill":
                self._end(target, signal.SIGKILL)
            case "restart":
                self._end(target, signal.SIGTERM)
            case "freeze":
                self._freeze(self._tree(target), planned.seconds)
            case "cut" | "silence" | "delay" | "unavailable":
                self._disturb(planned.kind, target, planned.seconds)
            case _:
                self._carry_out_special(planned)

    def _carry_out_special(self, planned: Planned) -> None:
        match planned.kind:
            case "kill supervisor":
                self._kill_supervisor(planned.target)
            case "freeze supervisor":
                self._freeze([self._supervisor(planned.target)], planned.seconds)
            case "full disk":
                self._fill_disk(planned.seconds)
            case "clock step":
                self._step_clock(planned.target, STEPS[int(planned.at * 10) % len(STEPS)], planned.seconds)
            case "rolling restart":
                self._restart_all(GROUPS[planned.target])
            case "setting":
                self._change_setting()

    def _end(self, name: str, number: signal.Signals) -> None:
        pid = self._pid(name)
        os.kill(pid, number)
        self._await_back(name, pid)

    def _await_back(self, name: str, dead: int) -> None:
        def is_back() -> bool:
            time.sleep(LOOK_SECONDS)
            return self._site.client.pid(name) not in {None, dead}

        eventually(is_back, BACK_SECONDS, f"the return of {name}")

    def _pid(self, name: str) -> int:
        def ready() -> int | None:
            time.sleep(LOOK_SECONDS)
            return self._site.client.pid(name)

        pid = eventually(ready, BACK_SECONDS, f"{name}, ready for a fault,")
        assert isinstance(pid, int)
        return pid

    def _freeze(self, pids: list[int], seconds: float) -> None:
        try:
            for each in pids:
                _signal(each, signal.SIGSTOP)
            time.sleep(seconds)
        finally:
            for each in pids:
                _signal(each, signal.SIGCONT)

    def _tree(self, name: str) -> list[int]:
        """Postgres is many processes. An executor's process supervisor has faults of its own."""
        pid = self._pid(name)
        return [pid, *_children(pid)] if name == "postgres" else [pid]

    def _supervisor(self, executor: str) -> int:
        found = [each for each in _children(self._pid(executor)) if SUPERVISOR in _command(each)]
        if not found:
            raise LeftOutError(f"{executor} has no process supervisor now")
        return found[0]

    def _kill_supervisor(self, executor: str) -> None:
        """The executor ends too, and starts again."""
        pid = self._pid(executor)
        _signal(self._supervisor(executor), signal.SIGKILL)
        self._await_back(executor, pid)

    def _disturb(self, how: How, target: str, seconds: float) -> None:
        client, slash, server = target.partition("/")
        length = DELAY_SECONDS if how == "delay" else 0
        one = Rule(how=how, client=client, server=server, seconds=length)
        rules = [one] if slash else isolation(client, how, length)
        names = self._site.network.begin(*rules)
        try:
            time.sleep(seconds)
        finally:
            self._site.network.heal(names)

    def _fill_disk(self, seconds: float) -> None:
        if self._site.disk is None:
            raise LeftOutError("only root can mount a small disk")
        try:
            self._site.disk.fill()
            time.sleep(seconds)
        finally:
            self._site.disk.free()

    def _step_clock(self, name: str, step: int, seconds: float) -> None:
        if self._site.clocks is None:
            raise LeftOutError("libfaketime is not there")
        try:
            self._site.clocks.step(name, step)
            time.sleep(seconds)
        finally:
            self._site.clocks.step(name, 0)

    def _restart_all(self, names: tuple[str, ...]) -> None:
        for each in names:
            self._end(each, signal.SIGTERM)

    def _change_setting(self) -> None:
        """As docs/settings.md says: first the setting, then executors, workers and sinks, one after the other."""
        self._leases += 1
        lease = LEASES[self._leases % len(LEASES) - 1]
        command = [sys.executable, "-m", "tidemill", "cluster", "set", f"lease={lease}", f"--data={self._site.data}"]
        for _ in range(COMMAND_TRIES):
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
            if not done.returncode:
                break
        else:
            raise LeftOutError(done.stderr.strip())
        for names in (EXECUTORS, WORKERS, SINKS):
            self._restart_all(names)

    def _are_in_sync(self) -> bool:
        time.sleep(LOOK_SECONDS)
        try:
            found = self._admin.list_topics(timeout=ANSWER_SECONDS)
        except KafkaException:
            return False
        partitions = [each for topic in found.topics.values() for each in topic.partitions.values()]
        return len(found.brokers) == len(BROKERS) and all(
            each.leader >= 0 and len(each.isrs) == len(each.replicas) for each in partitions
        )

    def _leader(self) -> str:
        """The broker that leads most partitions."""
        self.await_in_sync()
        topics = self._admin.list_topics(timeout=ANSWER_SECONDS).topics.values()
        leaders = [each.leader for topic in topics for each in topic.partitions.values()]
        return f"kafka-{max(sorted(set(leaders)), key=leaders.count)}"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended meanwhile


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
