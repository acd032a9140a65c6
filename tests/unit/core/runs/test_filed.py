"""A run is filed on the day it became known, for its whole life, and a node with its DAG run (decision 20)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas.ids import OwnerId, RunId
from schemas.job import JobSpec
from schemas.words import RunKind, RunState
from streams.core.runs.life import NewRun, blank_status
from streams.core.runs.run import transition_to

NOW = datetime(2026, 11, 29, 23, 59, 59, tzinfo=UTC)
JOB = JobSpec(job_id=OwnerId("j"), tenant="default", executable="s3://bucket/key")


def new(**fields):
    long_ago = NOW - timedelta(days=3650)
    return NewRun(run_id=RunId("j@1"), kind=RunKind.SCHEDULED, nominal_time=long_ago, scheduled_time=long_ago, **fields)


def test_a_run_keeps_the_day_of_its_first_transition():
    queued = transition_to(blank_status(JOB, new()), RunState.QUEUED, version=1, at=NOW)
    running = transition_to(queued, RunState.RUNNING, version=2, at=NOW + timedelta(days=3))
    assert (queued.filed_on, running.filed_on) == (NOW.date(), NOW.date())


def test_a_node_has_the_day_of_its_dag_run():
    opened = NOW.date() - timedelta(days=9)
    assert transition_to(blank_status(JOB, new(filed_on=opened)), RunState.QUEUED, version=1, at=NOW).filed_on == opened


def test_a_run_stored_without_a_day_gets_none_later():
    queued = transition_to(blank_status(JOB, new()), RunState.QUEUED, version=1, at=NOW)
    old = type(queued)(**{name: getattr(queued, name) for name in queued.__struct_fields__ if name != "filed_on"})
    running = transition_to(old, RunState.RUNNING, version=2, at=NOW + timedelta(days=3))
    assert (running.filed_on, running.filed) == (None, NOW.date())
