"""Prints rows as a table or as JSON, and an error as one sentence."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from schemas.times import rfc3339
from tidemill.json_text import writable

PIPE_WIDTH = 1_000_000_000
"""In a pipe no line is wrapped: a line is a row."""
BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that end a line or control a terminal."""
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that control a terminal, without newline and tab."""
STATE_STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "queued": "blue",
    "retry_wait": "yellow",
    "promoted": "yellow",
    "restarting": "yellow",
    "skipped": "dim",
    "missed": "dim",
    "failed": "red",
    "dead": "red",
    "timed_out": "red",
    "lost": "red",
    "silent": "red",
    "ill": "red",
    "stopped": "red",
    "ok": "green",
    "warn": "yellow",
    "slow": "yellow",
    "bad": "red",
    "broken": "red",
    "not reached": "dim",
}


def console() -> Console:
    """Made at each use: standard output may have been replaced since."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, soft_wrap=False)


def say(sentence: str) -> None:
    """Print a line on standard output."""
    console().print(escape(visible(sentence)), soft_wrap=True)


def complain(sentence: str) -> None:
    """Print one sentence on standard error."""
    sys.stderr.write(f"tidemill: {visible(sentence.strip())}\n")


def show_json(value: object) -> None:
    sys.stdout.write(to_json(value) + "\n")


def to_json(value: object) -> str:
    """Instants become RFC 3339 UTC with milliseconds, durations ISO 8601; other types that JSON lacks become text."""
    return _dumped(value, orjson.OPT_INDENT_2)


def compact_json(value: object) -> bytes:
    """As `to_json`, on one line."""
    return _dumped(value).encode()


def _dumped(value: object, layout: int = 0) -> str:
    options = layout | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
    try:
        text = orjson.dumps(value, default=_plain, option=options).decode()
    except TypeError:  # orjson raises a subclass
        text = orjson.dumps(writable(value), default=_plain, option=options).decode()
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def show_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, title: str = "") -> None:
    """Print all columns as JSON, or only `columns` as a table."""
    if as_json:
        show_json(list(rows))
    else:
        console().print(table(rows, columns, title=title))


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, title: str = "") -> Table:
    made = Table(*columns, title=title or None, box=SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for row in rows:
        made.add_row(*(cell(row.get(column)) for column in columns))
    return made


def show_fields(row: Mapping[str, Any]) -> None:
    """Print one row vertically, without nulls."""
    grid = Table.grid(padding=(0, 2))
    for name, value in row.items():
        if value is not None:
            grid.add_row(Text(name, style="bold"), cell(value))
    console().print(grid)


def cell(value: object) -> Text:
    """A value as text: on a terminal with its line breaks, in a pipe on one line."""
    text = visible(words(value)) if sys.stdout.isatty() else on_one_line(words(value))
    return Text(text, style=STATE_STYLES.get(text, ""), overflow="fold")


def visible(text: str) -> str:
    """Escape control characters, so that a job's output or name cannot control the terminal."""
    return CONTROLS.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def on_one_line(text: str) -> str:
    return visible(BREAKS.sub(_escaped, text))


def words(value: object) -> str:  # noqa: PLR0911 - a dispatch table
    """A value as readable text; empty for null."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return _instant(value)
        case timedelta():
            return seconds(value)
        case dict() | list():
            return _dumped(value)
        case bytes():
            return _hex(value)
        case _:
            return writable(str(value))  # type: ignore[no-any-return]  # text stays text


def seconds(duration: timedelta) -> str:
    """`0.034 s`, `90 s`: with milliseconds below a minute."""
    total = duration.total_seconds()
    return f"{total:.3f} s" if abs(total) < 60 and total != int(total) else f"{total:.0f} s"


def size(count: int) -> str:
    """`812 bytes`, `4.2 kB`, `2 GB`: of 1,024 each, as Postgres counts."""
    number, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{number:.1f}".removesuffix(".0") + f" {unit}" if number < 10 else f"{number:.0f} {unit}"


def iso_seconds(duration: timedelta) -> str:
    """`PT90S`, `PT0.5S`: always in seconds, as in definitions."""
    total = duration.total_seconds()
    return f"PT{total:.6f}".rstrip("0").rstrip(".") + "S" if total != int(total) else f"PT{int(total)}S"


def _plain(value: object) -> object:
    match value:
        case datetime():
            return _instant(value)
        case date() | time():
            return value.isoformat()
        case Decimal():
            return float(value) if math.isfinite(float(value)) else str(value)
        case timedelta():
            return iso_seconds(value)
        case bytes():
            return _hex(value)
        case _:
            return str(value)


def _instant(value: datetime) -> str:
    """A timestamp without a zone is not an instant: print it as it is."""
    return rfc3339(value) if value.tzinfo else value.isoformat(sep=" ")


def _hex(value: bytes) -> str:
    """The form in which Postgres shows bytea."""
    return f"\\x{value.hex()}"
