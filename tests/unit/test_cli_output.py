"""How values are printed: for people in tables, for programs as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import orjson
import pytest

from tidemill.output import complain, show_rows, to_json, words

MORNING = datetime(2026, 11, 21, 3, 0, 0, 1500, tzinfo=UTC)


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


def test_into_a_pipe_a_row_is_a_line_however_long_it_is(capsys):
    show_rows([{"a": "x" * 500, "b": "[red]"}], ["a", "b"], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["a", "b"], ["x" * 500, "[red]"]]


def test_a_table_shows_its_columns_and_json_shows_everything(capsys):
    rows = [{"a": 1, "b": 2}]
    show_rows(rows, ["a"], as_json=False)
    assert "2" not in capsys.readouterr().out
    show_rows(rows, ["a"], as_json=True)
    assert orjson.loads(capsys.readouterr().out) == rows


def test_a_complaint_goes_to_standard_error(capsys):
    complain("it is not there\n")
    assert capsys.readouterr() == ("", "tidemill: it is not there\n")
