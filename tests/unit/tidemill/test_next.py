"""`tidemill next` without a stack: days with a clock change are marked, invalid input is refused with a sentence."""

from __future__ import annotations

import orjson
import pytest

from tidemill.cli import run


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """An environment without a stack and without an address."""
    monkeypatch.chdir(tmp_path)
    for name in ("TIDEMILL_DATA", "TIDEMILL_POSTGRES_DSN"):
        monkeypatch.delenv(name, raising=False)


def next_times(capsys, *arguments: str):
    assert run(["next", "--json", *arguments]) == 0
    return orjson.loads(capsys.readouterr().out)


def test_an_expression_needs_no_stack(capsys):
    found = next_times(capsys, "--schedule", "*/5 * * * * *", "--after", "2026-11-21T03:00:02Z", "-n", "2")
    assert found == [
        {"nominal_time": "2026-11-21T03:00:05.000Z", "local_time": "2026-11-21T03:00:05+00:00", "note": ""},
        {"nominal_time": "2026-11-21T03:00:10.000Z", "local_time": "2026-11-21T03:00:10+00:00", "note": ""},
    ]


def test_the_bound_itself_is_not_among_what_comes_after_it(capsys):
    found = next_times(capsys, "--schedule", "@hourly", "--after", "2026-11-21T03:00:00Z", "-n", "1")
    assert [each["nominal_time"] for each in found] == ["2026-11-21T04:00:00.000Z"]


def test_a_time_that_the_clock_leaves_out_is_marked_as_shifted(capsys):
    berlin = ("--schedule", "30 2 * * *", "--timezone", "Europe/Berlin")
    found = next_times(capsys, *berlin, "--after", "2027-03-26T12:00:00Z", "-n", "3")
    assert [each["local_time"] for each in found] == [
        "2027-03-27T02:30:00+01:00",
        "2027-03-28T03:00:00+02:00",
        "2027-03-29T02:30:00+02:00",
    ]
    assert [bool(each["note"]) for each in found] == [False, True, False]
    assert "02:30" in found[1]["note"]


def test_a_day_on_which_the_clock_changes_is_marked_for_other_times_too(capsys):
    berlin = ("--schedule", "0 12 * * *", "--timezone", "Europe/Berlin")
    found = next_times(capsys, *berlin, "--after", "2027-03-27T00:00:00Z", "-n", "3")
    assert [each["note"] for each in found] == ["", "the clock is put forward by 1:00:00 on this day", ""]


def test_a_time_that_the_clock_shows_twice_is_marked_as_such(capsys):
    berlin = ("--schedule", "15 * * * *", "--timezone", "Europe/Berlin")
    found = next_times(capsys, *berlin, "--after", "2027-10-31T00:00:00Z", "-n", "2")
    assert [each["local_time"] for each in found] == ["2027-10-31T02:15:00+02:00", "2027-10-31T02:15:00+01:00"]
    assert [each["note"].split()[0] for each in found] == ["first", "second"]


def test_a_schedule_that_is_over_has_no_next_time(capsys):
    assert next_times(capsys, "--schedule", "@at 2020-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--schedule", "61 * * * *"], "61"),
        (["--schedule", "* * * * *", "--timezone", "europe/berlin"], "Europe/Berlin"),
        (["--schedule", "* * * * *", "--timezone", "Europe/Berlin", "--after", "2026-10-25 02:30"], "--after"),
        (["--schedule", "* * * * *", "--after", "soon"], "--after"),
        ([], "--schedule"),
        (["some-job", "--schedule", "* * * * *"], "--schedule"),
        (["--schedule", "* * * * *", "-n", "0"], "-n"),
    ],
)
def test_what_cannot_be_used_ends_with_2_and_one_sentence(capsys, arguments, said):
    assert run(["next", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("command", [["next", "job"], ["status"], ["runs"], ["job", "list"], ["sql", "-c", "select 1"]])
def test_a_command_without_a_stack_ends_with_1_and_says_how_to_start_one(capsys, command):
    assert run(command) == 1
    printed = capsys.readouterr()
    assert "tidemill up" in printed.err
    assert len(printed.err.splitlines()) == 1


def test_to_stop_what_does_not_run_is_no_failure(capsys):
    assert run(["down"]) == 0
    assert "No stack runs" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["nonsense"], ["show"], ["runs", "--state", "bad"], ["demo", "3"]])
def test_a_command_that_does_not_exist_like_this_ends_with_2(capsys, command):
    assert run(command) == 2
    assert capsys.readouterr().err.startswith("tidemill: ")
