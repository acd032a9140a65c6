"""Bugs in dispatch and claim: protocol D1, D2, D3, D4, D5 left out."""

from __future__ import annotations

from typing import Any

from executors import claim, runner
from executors.claim import PolledRecords
from schemas.times import EPOCH
from streams.core import step
from streams.core.runs import leases, ready
from streams.core.runs.fleet import Fleet
from streams.owner import judgement
from tests.simulation.planted.bug import Bug, Patch


def _no_window(_: Any) -> Any:
    return lambda *_: 100_000


def _never_expired(original: Any) -> Any:
    def judge(polled: Any, now: Any, given: Any) -> Any:
        return original(polled, EPOCH, given)

    return judge


def _keep_all(_: Any) -> Any:
    return lambda *_: None


def _never_void(_: Any) -> Any:
    return lambda *_: float("inf")


def _never(_: Any) -> Any:
    return lambda *_: False


def _nothing_found(original: Any) -> Any:
    def note_found(state: Any, found: Any, now: Any) -> None:
        leases.note_dispatched(state, found, now)

    return note_found


def _everything_met(_: Any) -> Any:
    return lambda *_: None


BUGS = (
    Bug(
        "D1", "dispatches are sent without regard to windows", (Patch(Fleet, "window", _no_window),), needs="backfills"
    ),
    Bug("D2", "a dispatch never expires", (Patch(claim, "judge", _never_expired),), needs="offsets are lost"),
    Bug(
        "D3",
        "records of a lost partition are claimed",
        (Patch(PolledRecords, "keep_only", _keep_all),),
        needs="an executor is",
    ),
    Bug(
        "D4",
        "a claim is never void",
        (Patch(runner, "void_at", _never_void), Patch(runner, "is_void", _never)),
        needs="frozen after a claim",
    ),
    Bug(
        "D5",
        "silent claims are not judged",
        (Patch(judgement, "wants_claims", _never), Patch(step, "note_found", _nothing_found)),
    ),
    Bug(
        "D7",
        "what a job asks for does not count",
        (Patch(claim, "unmet", _everything_met), Patch(ready, "unmet", _everything_met)),
    ),
    Bug(
        "D7",
        "only an owner asks what an executor gives",
        (Patch(claim, "unmet", _everything_met),),
        needs="gives something else",
    ),
)
