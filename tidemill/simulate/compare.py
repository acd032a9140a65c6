"""Plays a definition, and a changed one beside it, over the same time with the same draws. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from schemas.dag import DagSpec
from schemas.job import Definition
from streams.core.settings import CoreSettings
from tidemill.simulate.durations import Durations, draws
from tidemill.simulate.forecast import STEPS, Forecast, forecast
from tidemill.simulate.summary import Difference, Summary, difference, summary_of


class Play(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    values: dict[str, Any]
    """The columns that `new` has other values of."""
    old: Definition
    new: Definition | None
    """None: nothing is compared."""
    begin: datetime
    end: datetime
    durations: Durations
    seed: int
    settings: CoreSettings
    most_steps: int = STEPS


class Report(msgspec.Struct, frozen=True, kw_only=True):
    play: Play
    until: datetime
    """Earlier than the end that was asked for: one side took too many steps."""
    old: Summary
    new: Summary | None
    difference: Difference | None
    notes: list[str]
    """Sentences on what the figures rest on."""


def compare(play: Play, turn: Callable[[float], object] = lambda _: None) -> Report:
    """Both sides end at the same time, so that they can be compared. `turn` is called with the share that is done."""
    sides = 1 if play.new is None else 2
    old = _played(play, play.old, play.end, lambda done: turn(done / sides))
    if play.new is None:
        return _report(play, old, None)
    new = _played(play, play.new, old.until, lambda done: turn((1 + done) / sides))
    if new.until < old.until:
        old = _played(play, play.old, new.until, lambda done: turn(done / sides))
    return _report(play, old, new)


def _played(play: Play, definition: Definition, end: datetime, turn: Callable[[float], object]) -> Forecast:
    return forecast(
        definition,
        play.begin,
        end,
        draws(play.durations, play.seed),
        play.settings,
        most_steps=play.most_steps,
        turn=turn,
    )


def _report(play: Play, old: Forecast, new: Forecast | None) -> Report:
    return Report(
        play=play,
        until=old.until,
        old=summary_of(old),
        new=summary_of(new) if new else None,
        difference=difference(old, new) if new else None,
        notes=list(dict.fromkeys([*_notes(play), *old.problems, *(new.problems if new else [])])),
    )


def _notes(play: Play) -> Iterator[str]:
    yield "no run is open at the start, executors have room at once, and a process that is stopped ends at once"
    definitions = [each for each in (play.old, play.new) if each]
    specs = [each.spec for each in definitions if each.spec]
    if any(isinstance(each, DagSpec) for each in specs):
        yield "nodes write no results, so none chooses which nodes follow"
    if any(each.max_runs for each in specs):
        yield "max_runs counts from the start of the simulation"
    if play.old.spec and play.old.spec.schedule is None:
        yield f"{play.name} has no schedule"
    if play.old.spec and play.old.spec.paused:
        yield f"{play.name} is paused, and its end decides what runs; `--set paused=false` plays it without"
