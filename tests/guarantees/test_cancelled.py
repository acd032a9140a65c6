"""Runs stopped while executors claim and start them: the owner's order decides."""

from __future__ import annotations

from collections import Counter

import pytest

from schemas.ids import request_run_id
from schemas.words import RunState
from tests.support import checkers
from tests.support.steady_load import alive_script, ticks

pytestmark = pytest.mark.integration

RACES = 2_000
BATCH = 50
"""Runs requested in one statement and stopped in the next."""
HEAD_STARTS = 3
"""Open batches before the oldest is stopped: by then some runs are claimed, some are running."""
ASK = "insert into requests (request_id, job_id) select * from unnest(%s::text[], %s::text[])"
STOP = """
insert into requests (request_id, kind, run_id) select 'stop-' || each, 'cancel', replace(each, '+', '#')
from unnest(%s::text[]) as each
"""
SOME = 20
"""The least number of runs stopped in each way that proves a race."""
NEVER_DISPATCHED, NEVER_STARTED, STOPPED, TOO_LATE = "never dispatched", "never started", "stopped", "too late"
WAYS = (NEVER_DISPATCHED, STOPPED, TOO_LATE)


def asked_for(stack, jobs, first):
    requests = [f"{jobs[0]}{number}" for number in range(first, first + BATCH)]
    owners = [jobs[number % len(jobs)] for number in range(first, first + BATCH)]
    stack.database.execute(ASK, [requests, owners])
    return list(map(request_run_id, owners, requests))


def way(status):
    """How the race between start and stop ended."""
    if status.state is RunState.SUCCEEDED:
        return TOO_LATE
    if not status.attempts:
        return NEVER_DISPATCHED
    return STOPPED if status.started_at else NEVER_STARTED


def told_to_stop(stack, run_ids):
    stack.database.execute(STOP, [[each.replace("#", "+") for each in run_ids]])


def test_no_run_of_2000_cancelled_during_their_claims_runs_after_its_cancel(stack, name, jobs, journal, all_ended):
    for job in jobs:
        stack.edit_job(job, executable=stack.put_script(name, alive_script(journal, 2)), cancel_grace="1 s")
    batches = []
    for first in range(0, RACES, BATCH):
        batches.append(asked_for(stack, jobs, first))
        if len(batches) > HEAD_STARTS:
            told_to_stop(stack, batches[-1 - HEAD_STARTS])
        if len(batches) > 2 * HEAD_STARTS:
            all_ended(batches[-1 - 2 * HEAD_STARTS])
    for batch in batches[-HEAD_STARTS:]:
        told_to_stop(stack, batch)
    run_ids = [each for batch in batches for each in batch]
    all_ended(run_ids)
    history = stack.history(name)
    dispatches = stack.dispatches(name)
    assert [
        *checkers.materialized_once(history),
        *checkers.legal_history(history),
        *checkers.nothing_lost(history, run_ids),
        *checkers.dispatched_in_order(dispatches),
        *checkers.no_dispatch_after_stop(history, [each for log in dispatches.values() for each in log]),
        *checkers.nothing_runs_after_the_end(history, ticks(journal)),
    ] == []
    ways = Counter(way(status) for status in {each.run_id: each for each in history}.values())
    print(ways)
    assert min(ways[each] for each in WAYS) >= SOME
