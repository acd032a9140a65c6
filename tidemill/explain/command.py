"""`tidemill explain`: explains why a run ran as it did, or why a job or DAG did not run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, assert_never

import msgspec
import psycopg
import typer

from schemas.ids import owner_of_run
from tidemill.complete import owner_and_run_names
from tidemill.dag_runs import is_run
from tidemill.explain.askers import with_askers
from tidemill.explain.history import Moment, last_due, moments, newest_spec
from tidemill.explain.look import find_history, read_history, read_occurrence, read_run
from tidemill.explain.story import Seen, story
from tidemill.explain.telling import Explanation, Fact, Local
from tidemill.explain.unwritten import explain_node, explain_request
from tidemill.explain.why_no_run import Nothing, next_one, why_no_run
from tidemill.instants import instant_in
from tidemill.output import say, show_json
from tidemill.queries import now_of, one
from tidemill.target import DEFAULT_DATA, AsJson, Data, NotFoundError, Row, UsageError, reading


def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN|NAME", help="A run's id, or the id of a job or DAG.", autocompletion=owner_and_run_names
        ),
    ],
    data: Data = DEFAULT_DATA,
    at: Annotated[
        str | None,
        typer.Option(
            help='The time to explain, such as "2026-11-21 03:00", in the job\'s time zone unless it has an offset. '
            "Default: the last and the next occurrence."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain why a run ran as it did, or why a job or DAG did not run."""
    if at is not None and is_run(name):
        raise UsageError("--at is only for a job or DAG, because a run has its own time")
    with reading(data) as postgres:
        found = [explain_run(postgres, name)] if is_run(name) else explain_owner(postgres, name, at)
    if as_json:
        show_json([_plain(each) for each in found])
        return
    for index, each in enumerate(found):
        say(("\n" if index else "") + as_text(each))


def as_text(told: Explanation) -> str:
    local = Local(told.timezone)
    lines = [told.sentence]
    if told.facts:
        timed = any(each.at for each in told.facts)
        lines += [f"The newest first, in the time zone {told.timezone}:" if timed else "Also:"]
        lines += [f"  {_line(each, local)}" for each in told.facts]
    return "\n".join([*lines, *(f"To do: {each}." for each in told.to_do)])


def _line(fact: Fact, local: Local) -> str:
    return f"{local.said(fact.at)}  {fact.sentence}" if fact.at else fact.sentence


def _plain(told: Explanation) -> Row:
    return msgspec.structs.asdict(told) | {"facts": [msgspec.structs.asdict(each) for each in told.facts]}


def explain_run(postgres: psycopg.Connection[Row], run_id: str) -> Explanation:
    """Why a run ran as it did, or why there is none. Raises `NotFoundError`, `UsageError`."""
    owner = owner_of_run(run_id)
    if owner is None:
        raise UsageError(f"{run_id!r} is neither a job, a DAG nor a run: a run is <job>@<time> or <job>#<request>")
    history, now = find_history(postgres, owner), now_of(postgres)
    row = one(postgres, "run", {"run_id": run_id})
    if row:
        told = story(read_run(postgres, row, history, now))
        return with_askers(postgres, told, owner, (row["request_id"], row["rerun_id"]))
    if "/" in run_id:
        return explain_node(postgres, run_id, history)
    if "#" in run_id:
        told = explain_request(postgres, run_id, owner, history, now)
        return with_askers(postgres, told, owner, (run_id.partition("#")[2],))
    moment = Moment(instant=_time_of(run_id))
    return _told(read_occurrence(postgres, owner, moment, read_history(postgres, owner), now))


def explain_owner(postgres: psycopg.Connection[Row], owner: str, at: str | None) -> list[Explanation]:
    """The last and the next occurrence of a job or DAG, or those of a time. Raises `NotFoundError`, `UsageError`."""
    history, now = read_history(postgres, owner), now_of(postgres)
    spec = newest_spec(history)
    timezone = spec.timezone if spec else "UTC"
    if at is not None:
        found = [_told(read_occurrence(postgres, owner, each, history, now)) for each in moments(at, timezone, now)]
        due = [each for each in found if each.answer != "no_occurrence"]
        return due or found[:1]
    last = last_due(history, now)
    following = next_one(owner, history, now, Local(timezone))
    coming = Explanation(
        about=owner, nominal_time=following.at, timezone=timezone, answer=following.name, sentence=following.sentence
    )
    if last is not None:
        return [_told(read_occurrence(postgres, owner, Moment(instant=last), history, now)), coming]
    newest = one(postgres, "explain_newest", {"owner": owner})
    return [story(read_run(postgres, newest, history, now)) if newest else _never_ran(owner, timezone), coming]


def _never_ran(owner: str, timezone: str) -> Explanation:
    return Explanation(
        about=owner,
        nominal_time=None,
        timezone=timezone,
        answer="never_ran",
        sentence=f"{owner} has not been due by its schedule yet, and no request has run it.",
    )


def _told(found: Seen | Nothing) -> Explanation:
    match found:
        case Seen():
            return story(found)
        case Nothing():
            return why_no_run(found)
        case _:
            assert_never(found)


def _time_of(run_id: str) -> datetime:
    text = run_id.rpartition("@")[2]
    instant = instant_in(text)
    if instant is None:
        raise NotFoundError(
            f"there is no run {run_id!r}, and {text!r} is not a time from 1970 to 2199 such as 2026-11-21T03:00:00Z"
        )
    return instant
