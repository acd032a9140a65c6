"""Explains runs of requests and nodes that are not in the database."""

from __future__ import annotations

from datetime import datetime

import psycopg

from schemas.ids import dag_run_of, owner_of_run
from schemas.words import RunState
from streams.core.settings import CoreSettings
from tidemill.explain.history import History, newest_spec
from tidemill.explain.nodes import waits_for
from tidemill.explain.telling import Explanation, Fact, lasted, newest_first
from tidemill.names import no_run, suggested_owner
from tidemill.queries import one, rows
from tidemill.runs import refusal
from tidemill.target import NotFoundError, Row

PARK_LIMIT = CoreSettings().park_limit
"""The default limit; the stream workers may have another setting."""


def explain_node(postgres: psycopg.Connection[Row], run_id: str, history: History) -> Explanation:
    dag_run = dag_run_of(run_id)
    parent = one(postgres, "dag_run", {"run_id": dag_run})
    if parent is None:
        raise NotFoundError(f"there is no DAG run {dag_run!r}; see `tidemill explain '{dag_run}'`")
    return node_of(parent, run_id, rows(postgres, "dag_run_nodes", {"run_id": dag_run}), _zone(history))


def node_of(parent: Row, run_id: str, nodes: list[Row], timezone: str) -> Explanation:
    node_id = run_id.partition("/")[2]
    node = next((each for each in nodes if each["node_id"] == node_id), None)
    if node is None:
        raise NotFoundError(f"{parent['dag_id']} had no node {node_id!r} when {parent['run_id']} started")
    state = RunState(parent["state"])
    needed = waits_for(nodes, node_id)
    if state.is_final:
        answer, why = (
            "not_kept",
            f"is not kept: {parent['run_id']} is {state.value}, and only failures of old weeks are kept",
        )
    elif state is RunState.QUEUED:
        answer, why = (
            "waiting",
            f"has not started: its DAG run has not started ({parent['reason'] or 'it is queued'})",
        )
    elif needed:
        answer, why = "waiting", f"has not started: it waits for {needed}; its trigger_rule is {node['trigger_rule']}"
    else:
        answer, why = "waiting", "has not started: all its dependencies have ended, and it is decided next"
    to_do = (f"tidemill explain '{parent['run_id']}' explains the whole DAG run",)
    return Explanation(
        about=run_id,
        nominal_time=parent["nominal_time"],
        timezone=timezone,
        answer=answer,
        sentence=f"{run_id} {why}.",
        to_do=to_do,
    )


def explain_request(
    postgres: psycopg.Connection[Row], run_id: str, owner: str, history: History, now: datetime
) -> Explanation:
    request_id = run_id.partition("#")[2]
    asked = one(postgres, "explain_request", {"owner": owner, "request_id": request_id})
    problem = refusal(postgres, owner, request_id, everywhere=True)
    is_known = bool(history) or one(postgres, "owner_kind", {"name": owner}) is not None
    if asked is None and problem is None and not is_known:
        raise no_run(postgres, run_id)
    if asked is None and problem is None:
        raise NotFoundError(
            f"there is no run {run_id!r}, no row of tidemill.requests for it, and no problem that names it"
        )
    waits = asked is not None and not is_known and now - asked["created_at"] < 2 * PARK_LIMIT
    meant = suggested_owner(postgres, owner) if waits else None
    return request_of(asked, problem, run_id, now, _zone(history), suggestion=meant)


def request_of(
    asked: Row | None,
    problem: Row | None,
    run_id: str,
    now: datetime,
    timezone: str,
    *,
    suggestion: str | None = None,
) -> Explanation:
    """Explain a request without a run. A request by topic has no row: only its refusal is known.

    `suggestion`: no job or DAG has the name; the text suggests another one.
    """
    facts = [Fact(name="asked_for", at=asked["created_at"], sentence="It was requested.")] if asked else []
    to_do: tuple[str, ...] = ()
    if problem:
        answer, why = "refused", f"did not run: {problem['reason']}"
        facts.append(Fact(name="refused", at=problem["at"], sentence="It was refused."))
    else:
        assert asked is not None
        answer, why, to_do = _undecided(run_id, lasted(now - asked["created_at"]), suggestion)
    return Explanation(
        about=run_id,
        nominal_time=(asked["run_at"] or asked["created_at"]) if asked else None,
        timezone=timezone,
        answer=answer,
        sentence=f"{run_id} {why}" + ("" if why.endswith("?") else "."),
        facts=newest_first(facts),
        to_do=to_do,
    )


def _undecided(run_id: str, since: str, suggestion: str | None) -> tuple[str, str, tuple[str, ...]]:
    """The answer in one word, the sentence, and the advice."""
    if suggestion is None:
        why = "no run of it is in the database: it is not decided yet, or its run is not kept any more"
        to_do = ("tidemill doctor finds the part that does not work, if the request is recent",)
        return "not_there", f"was requested {since} ago, and {why}", to_do
    why = (
        f"there is no job or DAG {owner_of_run(run_id)}: if none is defined within {lasted(PARK_LIMIT)} "
        f"(TIDEMILL_PARK_LIMIT), the request is refused{suggestion}"
    )
    to_do = ("send another request, with a new request id and the right name",)
    return "no_such_owner", f"was requested {since} ago, and {why}", to_do


def _zone(history: History) -> str:
    spec = newest_spec(history)
    return spec.timezone if spec else "UTC"
