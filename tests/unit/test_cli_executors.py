"""Executors as `tidemill status` shows them, from their latest heartbeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas.heartbeat import ExecutorState, Heartbeat, Slots
from schemas.ids import ExecutorId
from tidemill.observe import executor_rows
from tidemill.stack import hide_password

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def heartbeat(name, state=ExecutorState.RUNNING):
    return Heartbeat(
        executor_id=ExecutorId(f"{name}.abc"),
        name=name,
        host="host",
        version="1",
        state=state,
        at=NOW,
        interval=timedelta(seconds=3),
        slots=(Slots(timeout_class="10s", total=16, free=15), Slots(timeout_class="1m", total=4, free=4)),
        windows=(),
        attempts=(),
    )


def test_slots_are_counted_over_all_classes_and_by_class():
    (row,) = executor_rows({"e-0": (NOW, heartbeat("e-0"))}, NOW)
    assert (row["name"], row["state"], row["slots"], row["free"]) == ("e-0", "running", 20, 19)
    assert row["classes"]["10s"] == {"slots": 16, "free": 15}


def test_an_executor_that_misses_heartbeats_is_silent():
    late = {"e-0": (NOW - timedelta(seconds=13), heartbeat("e-0"))}
    assert [row["state"] for row in executor_rows(late, NOW)] == ["silent"]


def test_an_executor_that_left_cleanly_is_not_shown():
    assert executor_rows({"e-0": (NOW, heartbeat("e-0", ExecutorState.GONE))}, NOW) == []


def test_a_password_in_an_address_is_not_shown():
    assert hide_password("postgresql://me:secret@host:5432/db") == "postgresql://me:***@host:5432/db"
    assert hide_password("127.0.0.1:9092") == "127.0.0.1:9092"
    assert hide_password(None) is None
