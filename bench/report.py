"""Writes results as JSON, as a table and as Markdown; a run of some figures keeps the results of the others."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec
import orjson
from rich.table import Table

from bench.figure import Line

JSON = Path(__file__).with_name("results.json")
MARKDOWN = Path(__file__).with_name("RESULTS.md")
_HEAD = """# Results

`make bench` measures all figures and writes this file; `make bench ONLY=tick,due20` measures some and keeps the rest.
All servers, workers, executors and the load run on the named machine. The baseline is what the same machine did in the
same run without Tidemill, or with little load.

| figure | value | must | aim | met | baseline |
|---|---|---|---|---|---|
"""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    claim: str
    measured_at: str
    machine: str
    lines: tuple[Line, ...]
    error: str | None = None


def machine() -> str:
    """The machine, and its load at the end of the measurement."""
    cores, load_1, memory = os.cpu_count(), os.getloadavg()[0], os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{cores} cores, {memory / 1024**3:.0f} GB, Linux {platform.release()}, load {load_1:.1f}"


def save(results: Sequence[Result]) -> None:
    kept = {name: each for name, each in _saved().items() if name not in {result.name for result in results}}
    everything = [*kept.values(), *results]
    JSON.write_bytes(
        orjson.dumps(msgspec.to_builtins(everything), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )


def load(order: Sequence[str]) -> list[Result]:
    saved = _saved()
    return [saved[name] for name in order if name in saved]


def table(results: Sequence[Result]) -> Table:
    shown = Table("figure", "value", "must", "aim", "met", "baseline")
    for result in results:
        for line in result.lines:
            shown.add_row(f"{result.name}: {line.what}", *_cells(line))
        if result.error:
            shown.add_row(result.name, "not measured", "", "", "no", result.error)
    return shown


def markdown(results: Sequence[Result]) -> None:
    text = _HEAD
    for result in results:
        text += f"| **{result.claim}** | | | | | `{result.name}`, {result.measured_at}, {result.machine} |\n"
        text += "".join(f"| {line.what} | {' | '.join(_cells(line))} |\n" for line in result.lines)
        if result.error:
            text += f"| not measured | | | | no | {result.error.replace('|', '/')} |\n"
    MARKDOWN.write_text(text, encoding="utf-8")


def _cells(line: Line) -> tuple[str, str, str, str, str]:
    must = " and ".join(
        f"{sign} {_number(limit)}" for sign, limit in (("≤", line.at_most), ("≥", line.at_least)) if limit is not None
    )
    met = {None: "", True: "yes", False: "NO"}[line.is_met]
    return f"{_number(line.value)} {line.unit}", must, "" if line.aim is None else _number(line.aim), met, line.baseline


def _number(value: float) -> str:
    """Round to three significant digits, but not above 1,000."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _saved() -> dict[str, Result]:
    if not JSON.exists():
        return {}
    return {each.name: each for each in msgspec.convert(orjson.loads(JSON.read_bytes()), list[Result])}
