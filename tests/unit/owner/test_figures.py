"""What an owner shows of itself, from its indexes: tests/unit/core/test_indexes.py counts it again in any history."""

from __future__ import annotations

from datetime import timedelta

from streams.core.runs.ready import ReadyQueue
from streams.core.runs.run import Lane
from streams.core.settings import CoreSettings
from streams.owner.figures import WaitingRuns, figures_of
from tests.support.simulated.log import START, Log, ended, started

S = timedelta(seconds=1)
WINDOW = CoreSettings().probe_window


def settled(log, owner):
    while owner.backlog or owner.state.has_more_to_do:
        log.turn(owner, 0.001)
    return figures_of(owner.state)


def shown(log):
    """The figures of an owner that has applied everything."""
    return settled(log, log.recover())


def test_an_owner_without_jobs_shows_its_watermark_and_no_runs_of_each_class():
    figures = shown(log := Log())
    assert START <= figures.watermark <= log.now
    assert set(figures.waiting) == {each.name for each in CoreSettings().classes}
    assert set(figures.waiting.values()) == {WaitingRuns(count=0, oldest=None)}
    assert (figures.jobs, figures.held, figures.quarantined, figures.unscheduled) == (0, 0, 0, 0)


def test_a_run_waits_from_the_time_at_which_it_is_due_until_an_executor_reports_it():
    log = Log()
    log.define()
    log.request("r", run_at=(log.now + 5 * S).isoformat())
    owner = log.recover()
    assert settled(log, owner).waiting["10s"].count == 0
    log.turn(owner, 6)
    due = START + 5 * S
    assert figures_of(owner.state).waiting["10s"] == WaitingRuns(count=1, oldest=due)
    successor = log.recover()
    assert settled(log, successor).waiting["10s"] == WaitingRuns(count=1, oldest=due)
    (dispatch,) = log.dispatches()
    successor.offer(log.report(started(dispatch, log.now)))
    assert settled(log, successor).waiting["10s"].count == 0


def test_the_oldest_run_is_shown_even_if_others_are_dispatched_before_it():
    log = Log()
    log.define(schedule="@every 30s", overlap_policy="allow_all")
    for number in range(WINDOW):
        log.request(f"first-{number}")
    owner = log.recover()
    settled(log, owner)
    owner.offer(log.report(*(started(each, log.now) for each in log.dispatches())))  # the window stays full
    past = {"backfill_from": (START - 30 * S).isoformat(), "backfill_to": START.isoformat()}
    rules = {"reprocess": "none", "max_active_runs": 1, "run_backwards": False, "dry_run": False, "ran": None}
    owner.offer(log.request("b", kind="backfill", **past, **rules))
    log.turn(owner, 1)
    settled(log, owner)
    of_backfill = log.now
    log.turn(owner, 2)
    owner.offer(log.request("live"))
    log.turn(owner, 2)
    assert settled(log, owner).waiting["10s"] == WaitingRuns(count=2, oldest=of_backfill)
    assert owner.state.derived.ready["10s"].head() == (Lane.LIVE, "job#live")


def test_runs_that_wait_for_other_runs_are_held_and_do_not_wait_for_an_executor():
    log = Log()
    log.define(schedule="@every 1s", overlap_policy="buffer_all", buffer_limit=9)
    owner = log.recover()
    settled(log, owner)
    log.turn(owner, 1)
    log.turn(owner, 1)
    log.turn(owner, 1)
    figures = settled(log, owner)
    assert (figures.held, figures.waiting["10s"].count) == (2, 1)
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now)))
    assert settled(log, owner).held == 1


def test_a_deleted_job_does_not_count_though_the_owner_remembers_its_deletion():
    log = Log()
    log.define(1, job_id="kept")
    log.define(2, job_id="deleted")
    log.define(3, job_id="deleted", deleted=True)
    assert shown(log).jobs == 1
    assert shown(log).jobs == 1, "a new owner counts otherwise"


def test_a_job_whose_deletion_is_forgotten_does_not_count():
    log = Log()
    log.define(1, job_id="deleted")
    log.define(2, job_id="deleted", deleted=True)
    owner = log.recover()
    settled(log, owner)
    log.now += 2 * CoreSettings().request_ttl
    owner.offer(log.define(3, job_id="kept"))
    log.turn(owner)
    figures = settled(log, owner)
    assert set(owner.state.durable.jobs) == {"kept"}
    assert figures.jobs == 1


def test_a_ready_run_that_gets_another_priority_has_only_one_place():
    queue = ReadyQueue()
    queue.put("job#r", (Lane.BACKFILL, False, START))
    queue.put("job#r", (Lane.LIVE, False, START + S))
    assert (queue.head(), queue.oldest, len(queue)) == ((Lane.LIVE, "job#r"), START + S, 1)
    queue.drop("job#r")
    assert (queue.head(), queue.oldest, len(queue)) == (None, None, 0)


def test_a_job_with_a_schedule_that_this_owner_cannot_follow_is_unscheduled():
    log = Log()
    log.define(schedule="61 * * * *")
    assert shown(log).unscheduled == 1
    log.define(2, schedule="1 * * * *")
    assert shown(log).unscheduled == 0


def test_a_transaction_knows_the_first_row_that_it_has_an_effect_of():
    log = Log()
    owner = log.recover()
    settled(log, owner)
    known = log.define()
    owner.offer(known)
    assert log.turn(owner).first_captured == known
    owner.offer(log.append_copy(known))
    first = log.request("r")
    owner.offer(first)
    owner.offer(log.request("s"))
    assert log.turn(owner, 1).first_captured == first
    assert log.turn(owner, 10).first_captured is None


def test_the_figures_look_at_no_run_and_no_job():
    def looks(size):
        log = Log()
        for number in range(size):
            log.define(number + 1, job_id=f"job-{number}")
            log.request(f"r{number}", owner=f"job-{number}", job_id=f"job-{number}")
        owner = log.recover()
        settled(log, owner)
        for name in ("jobs", "runs", "requests", "tallies"):
            setattr(owner.state.durable, name, Looked(getattr(owner.state.durable, name)))
        figures_of(owner.state)
        return Looked.count

    assert looks(10) == looks(500) == 0


class Looked(dict):
    """A dict that counts how often one looks into it; its length is no look."""

    count = 0

    def __getitem__(self, key):
        type(self).count += 1
        return super().__getitem__(key)

    def __iter__(self):
        type(self).count += 1
        return super().__iter__()

    get = __contains__ = items = values = keys = __getitem__
