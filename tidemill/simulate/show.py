"""Prints a comparison of forecasts: for people as one table and the differences, for programs as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from schemas.times import run_id_time
from tidemill.explain.telling import lasted
from tidemill.output import say, show_rows
from tidemill.simulate.compare import Report
from tidemill.simulate.durations import ASSUMED, Durations, seconds_of
from tidemill.simulate.summary import OPEN_AT_THE_END, P50, P95, Difference, Summary, percentile

LISTED = 5
_WORDS = {OPEN_AT_THE_END: "open at the end"}
_Figure = tuple[str, float | None, str]
"""What, how much, and its unit: nothing, or `s`."""


def show(report: Report) -> None:
    play = report.play
    if report.until < play.end:
        say(
            f"A simulation has at most {play.most_steps:,} steps, so it ends at {run_id_time(report.until)} instead of "
            f"{run_id_time(play.end)}."
        )
    what = "" if report.new is None else ", and with " + ", ".join(f"{name}={value}" for name, value in _said(report))
    say(f"{play.name} from {run_id_time(play.begin)} to {run_id_time(report.until)}{what}:")
    columns = ("", "now") if report.new is None else ("", "old", "new", "difference")
    show_rows(_rows(report.old, report.new), columns, as_json=False)
    if report.difference is not None:
        _show_difference(report.difference)
    say(_durations(play.durations, play.seed))
    say(f"Assumed: {'; '.join(report.notes)}.")


def as_json_value(report: Report) -> dict[str, Any]:
    play = report.play
    return {
        "name": play.name,
        "kind": play.old.kind.value,
        "version": play.old.version,
        "set": play.values,
        "from": play.begin,
        "to": report.until,
        "asked_to": play.end,
        "seed": play.seed,
        "durations": _durations_as_json(play.durations),
        "old": _plain(report.old),
        "new": _plain(report.new),
        "difference": _plain(report.difference),
        "assumed": report.notes,
    }


def _plain(value: Summary | Difference | None) -> Any:
    return msgspec.to_builtins(value, builtin_types=(datetime,))


def _said(report: Report) -> Iterator[tuple[str, str]]:
    for name, value in report.play.values.items():
        yield name, "null" if value is None else f"'{value}'" if " " in str(value) else str(value)


def _rows(old: Summary, new: Summary | None) -> Iterator[dict[str, Any]]:
    names = [name for name, _, _ in _figures(old, new)]
    before = {name: value for name, value, _ in _figures(old, new)}
    after = {name: value for name, value, _ in _figures(new, old)} if new else {}
    units = {name: unit for name, _, unit in _figures(old, new)}
    for name in names:
        yield {
            "": name,
            "now": _number(before[name], units[name]),
            "old": _number(before[name], units[name]),
            "new": _number(after.get(name), units[name]),
            "difference": _change(before[name], after.get(name), units[name]),
        }


def _figures(mine: Summary, other: Summary | None) -> Iterator[_Figure]:
    """The same names for both: also those that only the other one has."""
    ends = sorted(mine.ends.keys() | (other.ends if other else {}).keys())
    reasons = sorted(mine.not_run.keys() | (other.not_run if other else {}).keys())
    yield "occurrences", mine.occurrences, ""
    yield "runs", mine.runs, ""
    for each in ends:
        yield f"  {_WORDS.get(each, each)}", mine.ends.get(each, 0), ""
    yield "not run", mine.occurrences - mine.runs, ""
    for each in reasons:
        yield f"  {each}", mine.not_run.get(each, 0), ""
    yield "processes at once, most", mine.processes_max, ""
    yield "processes at once, 95% of the time", mine.processes_p95, ""
    yield "processes, all together", mine.busy_seconds, "s"
    late = mine.late
    yield "late, half", late.p50 if late else None, "s"
    yield "late, 95%", late.p95 if late else None, "s"
    yield "late, most", late.max if late else None, "s"


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if not unit else lasted(timedelta(seconds=value))


def _change(before: float | None, after: float | None, unit: str) -> str:
    if before is None or after is None or before == after:
        return ""
    sign = "+" if after > before else "-"
    return f"{sign}{_number(abs(after - before), unit)}"


def _show_difference(found: Difference) -> None:
    _show_times("comes", "come", found.come)
    _show_times("goes", "go", found.gone)
    if found.changed:
        ways = Counter(f"{each.before} → {each.after}" for each in found.changed)
        said = ", ".join(f"{number:,} {way}" for way, number in ways.most_common())
        say(f"{len(found.changed):,} of both end otherwise: {said}.")
    if not (found.come or found.gone or found.changed):
        say("The same occurrences end in the same way.")


def _show_times(of_one: str, of_many: str, times: Sequence[datetime]) -> None:
    if times:
        what = f"1 occurrence {of_one}" if len(times) == 1 else f"{len(times):,} occurrences {of_many}"
        say(f"{what}: {_listed([run_id_time(each) for each in times])}.")


def _listed(texts: Sequence[str]) -> str:
    """The first few and the last one."""
    if len(texts) <= LISTED:
        return ", ".join(texts)
    return f"{', '.join(texts[: LISTED - 1])}, … {texts[-1]}"


def _durations(durations: Durations, seed: int) -> str:
    if durations.takes is not None:
        return f"Each process takes {lasted(durations.takes)} and succeeds."
    known = _durations_as_json(durations)
    if not known["recorded"]:
        assert ASSUMED.takes is not None
        return f"No attempt is recorded: each process is assumed to take {lasted(ASSUMED.takes)} and to succeed."
    p50, p95 = (lasted(timedelta(seconds=known[name])) for name in ("p50", "p95"))
    return (
        f"Processes go as {known['recorded']:,} recorded attempts, drawn with seed {seed}: half within {p50}, "
        f"95% within {p95}; {known['failed']:,} failed, {known['timed_out']:,} timed out."
    )


def _durations_as_json(durations: Durations) -> dict[str, Any]:
    every = [each for known in durations.recorded.values() for each in known]
    took = seconds_of(every)
    return {
        "recorded": len(every),
        "takes": durations.takes,
        "assumed": ASSUMED.takes if not every and durations.takes is None else None,
        "p50": percentile(took, P50) if took else None,
        "p95": percentile(took, P95) if took else None,
        "failed": sum(each.exit_code != 0 for each in every if each.takes is not None),
        "timed_out": sum(each.takes is None for each in every),
    }
