"""A status keeps a bounded history of its run: the first transition and the newest ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas.ids import OwnerId, RunId
from schemas.job import JobSpec
from schemas.status import MAX_TRANSITIONS
from schemas.words import RunKind, RunState
from streams.core.runs.life import NewRun, blank_status
from streams.core.runs.run import transition_to

NOW = datetime(2026, 11, 29, tzinfo=UTC)
JOB = JobSpec(job_id=OwnerId("j"), tenant="default", executable="s3://bucket/key")


def test_a_status_keeps_the_first_and_the_newest_transitions():
    new = NewRun(run_id=RunId("j@1"), kind=RunKind.SCHEDULED, nominal_time=NOW, scheduled_time=NOW)
    status, version = blank_status(JOB, new), 0
    for _ in range(MAX_TRANSITIONS):
        for state in (RunState.QUEUED, RunState.RUNNING):
            version += 1
            status = transition_to(status, state, version=version, at=NOW + timedelta(seconds=version))
    kept = [each.version for each in status.transitions]
    assert kept == [1, *range(version - MAX_TRANSITIONS + 2, version + 1)]
