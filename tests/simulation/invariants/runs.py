"""Each run is made once, moves legally, and ends; each request is carried out once, or refused for a stated reason."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

from schemas.dag import DagSpec
from schemas.ids import RunId, request_of_run, request_run_id
from schemas.words import OPEN_STATES, RunKind, RunState
from tests.simulation.faults.defects import LANDMINE
from tests.simulation.history import History
from tests.simulation.things.database import RequestRow
from tests.support.checkers import legal_history, materialized_once

FIRST = timedelta(seconds=150)
"""Requests to a topic that is made anew may be lost if they are younger than this: nobody had applied them."""

TTL = timedelta(minutes=20)
"""Later a deletion may be forgotten: the job never was."""
ID = re.compile("[^@#/~]+")
STOPPED_WITHIN = timedelta(seconds=40)
"""Two heartbeats and the longest grace."""
PARKED = timedelta(seconds=50)
"""A request waits for so long at least for its definition."""


def check_histories(history: History) -> list[str]:
    problems: list[str] = []
    for partition in history.by_partition:
        statuses = [status for _, status in partition]
        problems += materialized_once(statuses) + legal_history(statuses)
    return problems


def check_tokens(history: History) -> list[str]:
    """Fencing tokens and versions grow, in each partition, for ever (protocol L5)."""
    problems: list[str] = []
    for partition in history.dispatches:
        last = 0
        for _, dispatch in partition:
            if dispatch.token <= last:
                problems.append(f"token {dispatch.token} of {dispatch.run_id} follows token {last}")
            last = dispatch.token
    return problems


def check_ends(history: History) -> list[str]:
    """Everything that was open has ended: nothing is due any more, and everything that could end it is there."""
    return [
        f"{run_id} never ended: it is {status.state.value} since {status.transitions[-1].at:%H:%M:%S}"
        for run_id, status in sorted(history.last.items())
        if status.state in OPEN_STATES and status.job_id != LANDMINE
    ]


def check_stops(history: History) -> list[str]:
    """While all is well, a run that is told to stop ends soon, whatever order was missed (protocol L4)."""
    begin, problems = history.at(history.deployment.healed_at), []
    for run_id, status in history.last.items():
        told = next((each.at for each in status.transitions if each.state is RunState.CANCELLING), None)
        if told is None or told < begin or status.kind is not RunKind.REQUESTED:
            continue
        took = status.transitions[-1].at - told
        if took > STOPPED_WITHIN:
            problems.append(f"{run_id} was told to stop at {told:%H:%M:%S}, and that took {took.total_seconds():.0f} s")
    return problems


def check_ids(history: History) -> list[str]:
    """The parts of a run id can be told apart (protocol S2)."""
    return [
        f"{run_id} names the request {request_id!r}, and another run could have that id"
        for run_id in history.last
        if (request_id := request_of_run(RunId(run_id))) is not None and not ID.fullmatch(request_id)
    ]


def check_requests(history: History) -> list[str]:
    refused = _refused(history)
    homes: Counter[str] = Counter()
    for partition in history.by_partition:
        homes.update({status.run_id for _, status in partition})
    problems = [f"{run_id} was made in {count} partitions" for run_id, count in homes.items() if count > 1]
    for row in history.deployment.database.requests:
        if row.kind != "run" or _is_gone(history, row):
            continue
        run_id = request_run_id(row.owner, row.request_id)
        reasons = refused.get(row.request_id, [])
        if run_id not in history.last and not any(_is_right(history, row, each) for each in reasons):
            problems.append(f"request {run_id} of {row.at:%H:%M:%S} never became a run: {reasons or 'no reason'}")
    return problems


def _refused(history: History) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for _, record in history.deployment.witness.problems():
        headers = dict(record.headers)
        if "request_id" in headers:
            found.setdefault(headers["request_id"].decode(), []).append(headers["reason"].decode())
    return found


def _is_right(history: History, row: RequestRow, reason: str) -> bool:
    """Whether a `run` may have been refused: its job was not there, deleted, or not what it said."""
    versions = [each for each in history.deployment.database.definitions if each.owner == row.owner]
    if "was deleted" in reason:
        return any(each.spec is None for each in versions)
    if "does not exist" in reason:
        appended = history.deployment.connector.appended.get(versions[0].version) if versions else None
        is_forgotten = any(each.spec is None and each.valid_from + TTL < history.end for each in versions)
        return is_forgotten or appended is None or history.at(appended) > row.at + PARKED
    is_dag = "dag_id" in row.fields and row.fields["dag_id"] is not None
    return "name it in" in reason and any(isinstance(each.spec, DagSpec) is not is_dag for each in versions)


def _is_gone(history: History, row: RequestRow) -> bool:
    return row.door == "topic" and any(row.at <= at <= row.at + FIRST for at in history.deployment.recreated_at)
