"""Any two policies agree: each occurrence ends in a run or in one reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import combinations, product

import pytest

from schemas.codec import decode
from schemas.dag import NodeSpec
from schemas.ids import RunId, occurrence_run_id
from schemas.job import JobSpec
from schemas.reasons import ReasonCode
from schemas.status import RunStatus
from schemas.topics import STATE
from schemas.words import NEVER_RAN, RunKind, RunState
from streams.core.runs.run import Lane, Run
from streams.owner.records import InRecord
from streams.owner.transaction_records import RUN_PREFIX
from tests.support.checkers import legal_history, materialized_once, no_dispatch_after_stop
from tests.support.simulated.log import START, Log
from tests.support.simulated.scenario import Scenario

PERIOD = timedelta(seconds=10)
LAST = 10
"""The number of due occurrences."""
RESUMED = "changed at 0:15: paused = true; changed at 0:55: paused = false"
RETRIES = "max_attempts = 2, initial_interval = 12 s, max_interval = 12 s, retry_jitter = 0"


def policies(column: str) -> dict[str, str]:
    """All that a column may say, the default first."""
    default = getattr(JobSpec(job_id="job", executable="s3://tidemill/x"), column)
    words = sorted(type(default), key=lambda each: each is not default)
    return {each.value: f"{column} = {each.value}" for each in words}


SETTINGS: dict[str, dict[str, str]] = {
    "overlap": policies("overlap_policy"),
    "catchup": policies("catchup_policy"),
    "after a pause": policies("catchup_after_pause"),
    "grace": {"a minute": "", "2 s": "misfire_grace = 2 s", "none": "misfire_grace = 0 s"},
    "window": {"a day": "", "20 s": "catchup_window = 20 s"},
    "deadline": {"none": "", "15 s": "start_deadline = 15 s"},
    "limit": {"none": "", "runs": "max_runs = 2", "failures": "pause_on_failure = 1", "buffer": "buffer_limit = 1"},
    "retries": {"none": "", "after 12 s": RETRIES},
    "class": {"1m": "timeout_class = 1m", "10s": "timeout_class = 10s", "no promotion": "promote = false"},
}
HAPPENINGS: dict[str, dict[str, str]] = {
    "away": {
        "no worker": "no worker from 0:15 to 0:55",
        "paused": RESUMED,
        "both": f"{RESUMED}; no worker from 0:12 to 1:01",
    },
    "runs": {
        "short": "runs take 1 s",
        "one long": "the run of 0:20 takes 15 s",
        "one all the time": "the run of 0:10 takes 50 s",
        "all long": "runs take 12 s",
        "fail": "runs fail",
    },
    "beside": {"nothing": "", "a request": "asked to run at 0:54", "a backfill": "backfill of 0:20 to 0:40 at 0:50"},
}
AXES = SETTINGS | HAPPENINGS
Choice = dict[str, str]
"""Axis -> value."""


def all_pairs() -> Iterator[Choice]:
    """Choices that together contain each pair of values of two axes."""
    left = {
        pair: None
        for a, b in combinations(AXES, 2)
        for pair in product(((a, value) for value in AXES[a]), ((b, value) for value in AXES[b]))
    }
    while left:
        chosen = dict(next(iter(left)))
        for axis in [each for each in AXES if each not in chosen]:
            chosen[axis] = max(AXES[axis], key=lambda value: len(_pairs({**chosen, axis: value}) & left.keys()))
        for pair in _pairs(chosen):
            left.pop(pair, None)
        yield {axis: chosen[axis] for axis in AXES}


def _pairs(chosen: Choice) -> set[tuple[tuple[str, str], ...]]:
    return set(combinations([(axis, chosen[axis]) for axis in AXES if axis in chosen], 2))


CHOICES = list(all_pairs())


class DagLog(Log):
    """A log whose requests are for the DAG."""

    def request(self, request_id: str, **fields: object) -> InRecord:
        return super().request(request_id, **{"dag_id": "dag", "owner": "dag", "job_id": None, **fields})


class OfDag(Scenario):
    """The same scenario for a DAG with one node, which has the job's columns that a DAG lacks."""

    LOG = DagLog
    OF_NODE = ("timeout_class", "promote", "max_attempts", "initial_interval", "max_interval", "retry_jitter")

    def _define(self, version: int, fields: dict[str, object]) -> InRecord:
        of_node = {name: fields[name] for name in self.OF_NODE if name in fields}
        of_dag = {name: value for name, value in fields.items() if name not in self.OF_NODE}
        node = NodeSpec(node_id="a", executable="s3://tidemill/x", **of_node)
        return self.log.define_dag(node, version=version, **of_dag)


OWNERS: dict[str, type[Scenario]] = {"job": Scenario, "dag": OfDag}


def played(owner: str, chosen: Choice) -> Log:
    settings = [values[chosen[axis]] for axis, values in SETTINGS.items()]
    happenings = [values[chosen[axis]] for axis, values in HAPPENINGS.items()] + ["until 1:40"]
    scenario = OWNERS[owner](", ".join(filter(None, settings)), "; ".join(filter(None, happenings)))
    scenario.run(new_owner_each_second=False)
    return scenario.log


def contradictions(owner: str, log: Log) -> list[str]:
    statuses = log.statuses()
    whole = [each for each in statuses.values() if each.node_id is None]
    is_done = any(each.reason_code is ReasonCode.MAX_RUNS for each in whole)
    found = []
    for at in (START + number * PERIOD for number in range(1, LAST + 1)):
        answers = _answers(owner, whole, at)
        by_policy = [each for each in answers if not _is_backfilled(each)]
        if len(by_policy) != 1 and (by_policy or not (is_done or answers)):
            found.append(f"{at:%M:%S} has {len(by_policy)} answers: {[each.run_id for each in by_policy]}")
        found += [each for answer in answers for each in _of_answer(answer, at, statuses, log)]
    return found


def _is_backfilled(status: RunStatus) -> bool:
    """Whether a backfill requested the occurrence, whatever was decided before."""
    return status.kind is RunKind.BACKFILLED or status.rerun_id is not None


def _answers(owner: str, statuses: list[RunStatus], at: datetime) -> list[RunStatus]:
    """The records about the occurrence at that time."""
    run_id = occurrence_run_id(owner, at)
    in_range = [each for each in statuses if each.missed and each.missed.first <= at <= each.missed.last]
    return [each for each in statuses if each.run_id == run_id] + in_range


def _of_answer(answer: RunStatus, at: datetime, statuses: dict[str, RunStatus], log: Log) -> list[str]:
    if answer.state in NEVER_RAN and not (answer.reason and answer.reason_code):
        return [f"{answer.run_id} did not run, and does not say why"]
    other = statuses.get(answer.blocked_by or "")
    if other is None:
        return []
    if other.queued_at is None or other.queued_at > at:
        return [f"{answer.run_id}: {answer.reason}, which was not open at its time"]
    if other.run_id in _catching_up(log):
        return [f"{answer.run_id}: {answer.reason}, which catches up"]
    return []


def _catching_up(log: Log) -> set[RunId]:
    records = [each for each in log.written if each.topic == STATE and each.value and each.key.startswith(RUN_PREFIX)]
    runs = [decode(each.value or b"", Run) for each in records]
    return {each.run_id for each in runs if each.lane is Lane.CATCH_UP}


@pytest.mark.parametrize("chosen", CHOICES, ids=[", ".join(each.values()) for each in CHOICES])
@pytest.mark.parametrize("owner", OWNERS)
def test_under_any_two_policies_each_occurrence_is_a_run_or_has_one_reason(owner: str, chosen: Choice) -> None:
    log = played(owner, chosen)
    history = log.history()
    assert legal_history(history) + no_dispatch_after_stop(history, log.dispatches()) + materialized_once(history) == []
    assert contradictions(owner, log) == []


FIRST = {axis: next(iter(values)) for axis, values in AXES.items()}
CATCH_UP = [
    {"away": "no worker", "catchup": "all", "grace": "none"},
    {"away": "no worker", "catchup": "all", "grace": "a minute"},
    {"away": "paused", "after a pause": "all"},
    {"away": "both", "after a pause": "all", "catchup": "all"},
]


@pytest.mark.parametrize("away", CATCH_UP, ids=[", ".join(each.values()) for each in CATCH_UP])
@pytest.mark.parametrize("overlap", SETTINGS["overlap"])
@pytest.mark.parametrize("owner", OWNERS)
def test_catch_up_runs_under_every_overlap_policy(owner: str, overlap: str, away: Choice) -> None:
    log = played(owner, FIRST | {"overlap": overlap} | away)
    ended = {each.run_id: each.state for each in log.statuses().values()}
    due = [occurrence_run_id(owner, START + number * PERIOD) for number in range(1, LAST)]
    assert {run_id: ended.get(run_id) for run_id in due} == dict.fromkeys(due, RunState.SUCCEEDED)
