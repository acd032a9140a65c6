"""The table of chaos says what was promised and measured, and replaces the last one in its page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.chaos.log import Happened
from tests.chaos.table import BEGIN, END, Measured, Outcome, table, write

AT = datetime(2026, 11, 30, tzinfo=UTC)


def happened(fault, *, left_out=None):
    return Happened(at=AT, fault=fault, target="x", until=AT + timedelta(seconds=4), left_out=left_out)


KILLED = happened("brokers: kill")
OUTCOME = Outcome(
    seed=7,
    minutes=3,
    counts={"LOST": 1, "EARLY": 0},
    explained=2,
    looked_at="Looked at.",
    audited="Audited.",
    happened=[KILLED, KILLED, happened("s3: cut"), happened("sinks: cut", left_out="no sink")],
    measured=[Measured(fault=KILLED, seconds=3.21, lost=0)],
)


def test_a_fault_that_came_alone_has_what_was_measured_and_others_their_recovery():
    rows = table(OUTCOME).splitlines()
    assert any(
        row.startswith("| brokers: kill | 2 | no run is called lost") and "3.2 s; 0 called lost" in row for row in rows
    )
    assert "| s3: cut | 1 | nothing is lost, early or twice | healed, and its target back, after 4 s (median) |" in rows
    assert not any("sinks" in row for row in rows), "what was left out did not happen"


def test_all_counts_are_said():
    assert table(OUTCOME).splitlines()[-1].startswith("The judge counts: LOST 1, EARLY 0; 2 DOUBLE")
    assert OUTCOME.broken == 1


def test_a_promise_is_broken_by_a_long_gap_or_by_a_run_called_lost():
    assert Measured(fault=KILLED, seconds=10.0).holds
    assert not Measured(fault=KILLED, seconds=10.1).holds
    assert not Measured(fault=KILLED, seconds=1.0, lost=1).holds


def test_only_the_text_between_the_markers_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(OUTCOME, page)
    assert page.read_text() == f"before\n{BEGIN}\n{table(OUTCOME)}\n{END}\nafter\n"
