"""How values are printed: tables for users, JSON for programs."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal

import orjson
import pytest
from psycopg.types.range import Range

from tidemill import json_text
from tidemill.output import complain, say, show_fields, show_rows, size, to_json, words

MORNING = datetime(2026, 11, 21, 3, 0, 0, 1500, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 kB"),
        (5000, "4.9 kB"),
        (300_000, "293 kB"),
        (5 << 20, "5 MB"),
        (2**60, "1024 PB"),
    ],
)
def test_a_size_is_said_in_units_for_people(count, said):
    assert size(count) == said


def test_json_has_instants_in_utc_with_milliseconds_and_durations_in_seconds():
    row = {
        "at": MORNING.astimezone(timezone(timedelta(hours=2))),
        "long": timedelta(days=1),
        "short": timedelta(milliseconds=20),
        "none": timedelta(0),
        "share": Decimal("0.1"),
        "null": None,
    }
    assert orjson.loads(to_json(row)) == {
        "at": "2026-11-21T03:00:00.001Z",
        "long": "PT86400S",
        "short": "PT0.02S",
        "none": "PT0S",
        "share": 0.1,
        "null": None,
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ""),
        (True, "yes"),
        (0, "0"),
        (MORNING, "2026-11-21T03:00:00.001Z"),
        (timedelta(milliseconds=34), "0.034 s"),
        (timedelta(seconds=90), "90 s"),
        (["a", 1], '["a",1]'),
        ("[bold]as it is[/]", "[bold]as it is[/]"),
    ],
)
def test_people_read_values_as_words(value, said):
    assert words(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2**80, str(2**80)),
        ({"a": [-(2**63) - 1, 1]}, {"a": [str(-(2**63) - 1), 1]}),
        (b"\xde\xad", "\\xdead"),
        (time(3, 0), "03:00:00"),
        (datetime(1, 1, 1), "0001-01-01 00:00:00"),
        (Range(1, 5), "[1, 5)"),
        (Decimal("NaN"), "NaN"),
        (Decimal("1e400"), "1E+400"),
        ("half a character: \ud800", "half a character: \\ud800"),
    ],
)
def test_what_json_has_no_form_for_is_text(value, said):
    assert orjson.loads(to_json([{"value": value}])) == [{"value": said}]
    words(value).encode()


@pytest.mark.parametrize("deep", ["[" * 3000 + "]" * 3000, '{"a":' * 210 + "1" + "}" * 210, "9" * 5000])
def test_json_that_python_cannot_read_or_write_stays_the_text_that_it_is(deep):
    assert json_text.read(deep.encode()) == deep
    assert orjson.loads(to_json([{"value": json_text.read(deep)}])) == [{"value": deep}]


def test_as_deep_as_the_tables_allow_json_is_json():
    deep = json_text.read("[" * 200 + "]" * 200)
    assert orjson.loads(to_json({"nodes": [{"payload": deep}]})) == {"nodes": [{"payload": deep}]}


def test_into_a_pipe_a_row_is_a_line_however_long_it_is(capsys):
    show_rows([{"a": "x" * 500, "b": "[red]"}], ["a", "b"], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["a", "b"], ["x" * 500, "[red]"]]


def test_into_a_pipe_a_row_is_a_line_whatever_its_reason_says(capsys):
    row = {"reason": "first\nsecond\r\x1b[2J\u2028\x85é", "other": "x"}
    show_rows([row], ["reason", "other"], as_json=False)
    show_fields(row)
    lines = capsys.readouterr().out.splitlines()
    said = r"first\nsecond\r\x1b[2J\u2028\x85é"
    assert [line.split() for line in lines] == [["reason", "other"], [said, "x"], ["reason", said], ["other", "x"]]


ODD = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\ttab"


def test_no_text_of_a_user_reaches_the_terminal_as_a_command(capsys, monkeypatch):
    said = r"\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    say(f"Output:\n{ODD}")
    show_rows([{"name": ODD}], ["name"], as_json=False, title="names")
    show_fields({"name": ODD})
    complain(ODD)
    printed = capsys.readouterr()
    assert printed.out.count(said) == 3
    assert said in printed.err
    assert not any(each in printed.out + printed.err for each in "\x07\x9b\u202e")
    assert "\x1b]" not in printed.out


def test_json_has_no_control_character_either(capsys):
    show_rows([{"name": ODD}], ["name"], as_json=True)
    printed = capsys.readouterr().out
    assert orjson.loads(printed) == [{"name": ODD}]
    assert printed.replace("\n", "").isprintable()


def test_a_table_shows_its_columns_and_json_shows_everything(capsys):
    rows = [{"a": 1, "b": 2}]
    show_rows(rows, ["a"], as_json=False)
    assert "2" not in capsys.readouterr().out
    show_rows(rows, ["a"], as_json=True)
    assert orjson.loads(capsys.readouterr().out) == rows


def test_a_complaint_goes_to_standard_error(capsys):
    complain("it is not there\n")
    assert capsys.readouterr() == ("", "tidemill: it is not there\n")
