"""Windows per executor: a window counts only the runs at the partition's present holder."""

from __future__ import annotations

from datetime import timedelta

from schemas.dispatch import Dispatch
from schemas.heartbeat import AttemptInHand, ExecutorState, Heartbeat, Window
from streams.core.agenda import Agenda
from streams.core.inputs import HeartbeatHeard
from streams.core.runs.fleet import Fleet
from streams.core.settings import CoreSettings
from tests.support.simulated.log import DrivenSession, Log, ended, started

S = timedelta(seconds=1)
BUSY, WINDOW = 30, 8


def beat(
    log: Log, owner: DrivenSession, executor_id: str, *listed: Dispatch, window: int | None = None, **fields
) -> None:
    """Sends a heartbeat; without a window the executor does not hold the partition."""
    plain = {"name": executor_id, "host": "h", "version": "1", "state": ExecutorState.RUNNING, "at": log.now}
    windows = () if window is None else (Window(timeout_class="1h", partition=0, size=window),)
    in_hand = tuple(AttemptInHand(run_id=each.run_id, token=each.token, partition=0) for each in listed)
    rest = {"interval": 3 * S, "slots": (), "windows": windows, "attempts": in_hand}
    heartbeat = Heartbeat(executor_id=executor_id, **{**plain, **rest, **fields})
    owner.learn(HeartbeatHeard(heartbeat=heartbeat, appended_at=log.now))


def ask(log: Log, owner: DrivenSession, *names: str) -> None:
    for name in names:
        owner.offer(log.request(name))


def busy() -> tuple[Log, DrivenSession, list[Dispatch]]:
    """Executor e.1 holds the partition and is full of long runs; other runs wait."""
    log = Log()
    log.define(timeout_class="1h")
    owner = log.recover()
    log.turn(owner)
    beat(log, owner, "e.1", window=BUSY)
    ask(log, owner, *(f"long-{number:02}" for number in range(BUSY)))
    log.turn(owner)
    running = log.dispatches()
    owner.offer(log.report(*(started(each, log.now) for each in running)))
    ask(log, owner, *(f"next-{number:02}" for number in range(2 * WINDOW)))
    log.turn(owner, 1)
    assert len(log.dispatches()) == BUSY
    return log, owner, running


def test_a_partition_that_moves_to_an_idle_executor_is_served_at_once() -> None:
    log, owner, running = busy()
    beat(log, owner, "e.1", *running)
    beat(log, owner, "e.2", window=WINDOW)
    log.turn(owner, 1)
    assert len(log.dispatches()) == BUSY + WINDOW
    log.turn(owner, 1)
    assert len(log.dispatches()) == BUSY + WINDOW, "the window of e.2 is full"


def test_a_new_owner_knows_which_executor_has_what() -> None:
    log, _, running = busy()
    owner = log.recover()
    beat(log, owner, "e.1", *running)
    beat(log, owner, "e.2", window=WINDOW)
    log.turn(owner)
    log.turn(owner, 1)
    assert len(log.dispatches()) == BUSY + WINDOW


def test_an_unclaimed_dispatch_counts_for_the_present_holder_of_the_partition() -> None:
    log = Log()
    log.define(timeout_class="1h")
    owner = log.recover()
    beat(log, owner, "e.1", window=4)
    ask(log, owner, *(f"r-{number}" for number in range(20)))
    log.turn(owner)
    beat(log, owner, "e.1")
    beat(log, owner, "e.2", window=WINDOW)
    log.turn(owner, 1)
    assert len(log.dispatches()) == WINDOW


def test_a_run_that_ends_at_another_executor_frees_no_slot_of_the_holder() -> None:
    log, owner, running = busy()
    beat(log, owner, "e.1", *running)
    beat(log, owner, "e.2", window=WINDOW)
    log.turn(owner, 1)
    owner.offer(log.report(*(ended(each, log.now) for each in running)))
    log.turn(owner, 1)
    assert len(log.dispatches()) == BUSY + WINDOW


def test_a_partition_that_comes_back_finds_its_runs_counted_again() -> None:
    log, owner, running = busy()
    beat(log, owner, "e.2", window=0)
    beat(log, owner, "e.1", *running)
    log.turn(owner, 1)
    beat(log, owner, "e.1", *running, window=BUSY)
    log.turn(owner, 1)
    assert len(log.dispatches()) == BUSY


def test_the_window_of_a_leaving_executor_is_removed() -> None:
    log = Log()
    log.define(timeout_class="1h")
    owner = log.recover()
    beat(log, owner, "e.1", window=WINDOW)
    beat(log, owner, "e.1", state=ExecutorState.GONE)
    ask(log, owner, *(f"r-{number}" for number in range(20)))
    log.turn(owner)
    assert len(log.dispatches()) == CoreSettings().probe_window


def test_the_newest_heartbeat_with_a_window_tells_the_holder_of_a_partition() -> None:
    log, fleet = Log(), Fleet()
    fleet.note_heartbeat("e.1", log.now, {"1h": 1})
    fleet.note_heartbeat("e.2", log.now + 2 * S, {"1h": 2})
    fleet.note_heartbeat("e.3", log.now + S, {"1h": 3})
    assert fleet.window("1h") == 2
    fleet.note_heartbeat("e.2", log.now + 3 * S, {})
    assert fleet.window("1h") == 3
    fleet.forget("e.3")
    assert fleet.window("1h") == 1
    fleet.forget("e.1")
    assert fleet.window("1h") is None


def test_a_silent_executor_is_forgotten_without_a_scan_of_the_others(monkeypatch) -> None:
    log, fleet = Log(), Fleet()
    for number in range(1_000):
        fleet.note_heartbeat(f"e.{number}", log.now + number * S, {"1h": 1})
    looks: list[str] = []
    head = Agenda.head
    monkeypatch.setattr(Agenda, "head", lambda agenda: looks.append("head") or head(agenda))
    found = []
    while (silent := fleet.silent_since(log.now + 3 * S)) is not None:
        found.append(silent)
        fleet.forget(silent)
    assert found == ["e.0", "e.1", "e.2"]
    assert len(looks) == len(found) + 1


def test_a_heartbeat_costs_the_same_however_many_executors_hold_the_partition(monkeypatch) -> None:
    """An executor without the partition costs no look at the other executors."""
    log, fleet = Log(), Fleet()
    looks: list[str] = []
    at = Fleet._at
    monkeypatch.setattr(Fleet, "_at", lambda fleet, name: looks.append(name) or at(fleet, name))
    for turn in range(3):
        for number in range(1_000):
            fleet.note_heartbeat(f"e.{number}", log.now + turn * S, {"1h": turn})
    assert len(looks) <= 3_000
    assert fleet.window("1h") == 2
