"""Plans how to make the connector run with the desired configuration, from its actual state. Pure."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from connectors.owned import REVISION, Config, corrected, revision

FAILED = "FAILED"
RUNNING = "RUNNING"
LOST = "lost"
"""`pg_replication_slots.wal_status` of a slot whose WAL is removed: it can never be read again."""

_NEWER = f"; a newer release wrote its configuration (revision {{}}, this release has {REVISION}): it stays unchanged"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    state: str
    trace: str = ""


class Actual(msgspec.Struct, frozen=True, kw_only=True):
    """The connector's state in Connect, and its slot's state in Postgres."""

    config: Config
    state: str
    trace: str = ""
    tasks: tuple[Task, ...] = ()
    slot_status: str | None = None
    """None if there is no slot, or Postgres did not answer."""

    @property
    def runs(self) -> bool:
        return self.state == RUNNING and bool(self.tasks) and all(task.state == RUNNING for task in self.tasks)


class Create(msgspec.Struct, frozen=True, kw_only=True):
    config: Config


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """Connect then restarts the tasks."""

    config: Config


class RestartConnector(msgspec.Struct, frozen=True, kw_only=True):
    pass


class RestartTask(msgspec.Struct, frozen=True, kw_only=True):
    number: int


class DropLostSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A task that starts without its slot creates a new one and takes a new snapshot (`snapshot.mode=when_needed`)."""

    slot_name: str


Action: TypeAlias = Create | Update | RestartConnector | RestartTask | DropLostSlot


def plan(desired: Config, actual: Actual | None) -> list[Action]:
    """The next actions; call it again with the state after them."""
    if actual is None:
        return [Create(config=desired)]
    wanted = corrected(actual.config, desired)
    if actual.config != wanted:
        return [Update(config=wanted)]
    if actual.slot_status == LOST:
        restarts = [RestartTask(number=task.number) for task in actual.tasks]
        return [DropLostSlot(slot_name=desired["slot.name"]), *restarts]
    if actual.state == FAILED:
        return [RestartConnector()]
    return [RestartTask(number=task.number) for task in actual.tasks if task.state == FAILED]


def describe(actual: Actual | None) -> str:
    """A sentence with the states of the connector and its tasks, and the reasons of failures."""
    if actual is None:
        return "the connector does not exist"
    states = ", ".join(f"task {task.number} is {task.state}" for task in actual.tasks) or "it has no task yet"
    reasons = [root_cause(trace) for trace in (actual.trace, *(task.trace for task in actual.tasks)) if trace]
    newer = _NEWER.format(revision(actual.config)) if revision(actual.config) > REVISION else ""
    return f"the connector is {actual.state}, {states}" + "".join(f": {reason}" for reason in reasons) + newer


def root_cause(trace: str) -> str:
    """The first line of a Java stack trace, and the first line of its innermost cause."""
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return " <- ".join(dict.fromkeys([*lines[:1], *causes[-1:]]))
