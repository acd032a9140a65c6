"""Executors as `tidemill status` shows them, from their latest heartbeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from schemas.confinement import Capabilities, Limit, Sandbox
from schemas.heartbeat import ExecutorState, Heartbeat, Slots
from schemas.ids import ExecutorId
from tidemill.addresses import hide_password
from tidemill.heartbeats import executor_rows, gives, present, shared_names

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def heartbeat(name, state=ExecutorState.RUNNING, process="abc"):
    return Heartbeat(
        executor_id=ExecutorId(f"{name}.{process}"),
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
    (row,) = executor_rows([(NOW, heartbeat("e-0"))], NOW)
    assert (row["name"], row["state"], row["slots"], row["free"]) == ("e-0", "running", 20, 19)
    assert row["classes"]["10s"] == {"slots": 16, "free": 15}


def test_an_executor_that_misses_heartbeats_is_silent():
    late = [(NOW - timedelta(seconds=13), heartbeat("e-0"))]
    assert [row["state"] for row in executor_rows(late, NOW)] == ["silent"]


def test_an_ill_executor_is_shown_as_ill_with_its_reason_until_it_drains_or_is_silent():
    ill = msgspec.structs.replace(heartbeat("e-0"), ill="the disk is full")
    draining = msgspec.structs.replace(ill, state=ExecutorState.DRAINING)
    beats = [(NOW, ill), (NOW, draining), (NOW - timedelta(seconds=13), ill)]
    rows = executor_rows(beats, NOW)
    assert [row["state"] for row in rows] == ["ill", "draining", "silent"]
    assert {row["ill"] for row in rows} == {"the disk is full"}


def test_what_an_executor_gives_is_shown_in_words_and_for_programs():
    given = Capabilities(
        sandboxes=(Sandbox.NONE, Sandbox.BASIC, Sandbox.STRICT),
        default=Sandbox.BASIC,
        limits=(Limit.MEMORY, Limit.PIDS),
        unveil=("r:/srv",),
        lacks=("no control group limits its CPU",),
    )
    (row,) = executor_rows([(NOW, msgspec.structs.replace(heartbeat("e-0"), capabilities=given))], NOW)
    assert row["gives"] == "basic sandbox (strict if asked); limits memory, pids; unveil r:/srv"
    assert row["capabilities"] == {
        "sandboxes": ("none", "basic", "strict"),
        "default": "basic",
        "limits": ("memory", "pids"),
        "unveil": ("r:/srv",),
        "lacks": ("no control group limits its CPU",),
    }


def test_an_executor_of_an_earlier_release_gives_nothing():
    (row,) = executor_rows([(NOW, heartbeat("e-0"))], NOW)
    assert (row["gives"], row["capabilities"]) == ("nothing: an earlier release", None)
    assert gives(Capabilities()) == "no sandbox; no limits"


def test_an_executor_that_left_cleanly_is_not_shown():
    assert present([(NOW, heartbeat("e-0", ExecutorState.GONE))]) == []


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def test_an_executor_that_was_restarted_is_shown_although_the_last_word_of_the_one_before_is_read_after_it():
    """The two ids lie in two partitions, which a reader gets in any order."""
    beats = [(at(2), heartbeat("e-0", process="new")), (at(0), heartbeat("e-0", ExecutorState.GONE, process="old"))]
    for order in (beats, beats[::-1]):
        assert [each.executor_id for _, each in present(order)] == ["e-0.new"]


def test_an_executor_that_was_killed_is_not_shown_once_another_has_worked_under_its_name_for_a_while():
    beats = [(at(0), heartbeat("e-0", process="old")), (at(2), heartbeat("e-0", process="new"))]
    assert len(present(beats)) == 2
    assert [each.executor_id for _, each in present([*beats, (at(14), heartbeat("e-0", process="new"))])] == ["e-0.new"]


def test_two_executors_of_one_name_are_both_shown_and_found():
    beats = [(at(number), heartbeat("e-0", process="ab"[number % 2])) for number in range(4)]
    assert [each.executor_id for _, each in present(beats)] == ["e-0.a", "e-0.b"]
    assert shared_names(beats) == {"e-0"}
    assert all(row["shares_its_name"] for row in executor_rows(present(beats), at(4), shared_names(beats)))


def test_one_that_follows_another_of_its_name_shares_it_with_nobody():
    beats = [(at(0), heartbeat("e-0", process="old")), (at(2), heartbeat("e-0", process="new"))]
    assert shared_names(beats) == set()
    draining = (at(3), heartbeat("e-0", ExecutorState.DRAINING, process="old"))
    assert shared_names([*beats, draining]) == set()


def test_a_password_in_an_address_is_not_shown():
    assert hide_password("127.0.0.1:9092") == "127.0.0.1:9092"
    assert hide_password(None) is None
