"""A job or DAG on which the core fails is quarantined, whatever the pass; others continue."""

from __future__ import annotations

from datetime import timedelta
from pkgutil import resolve_name

import pytest

from schemas.dag import NodeSpec
from schemas.heartbeat import AttemptInHand
from schemas.ids import owner_of_run
from schemas.status import RunStatus
from schemas.topics import DEADLETTER
from schemas.words import OnDelete, RunState
from streams.core.dag.epoch import Epoch
from streams.core.inputs import HeartbeatHeard
from streams.core.requests.open_backfills import OpenBackfill
from streams.core.runs.run import Run
from streams.owner.failures import MOST_JOBS_AT_ONCE, JobFailedError
from streams.owner.session_calls import Fence
from tests.support.simulated.heartbeats import heartbeat as plain_heartbeat
from tests.support.simulated.log import START, Log, ended, started

MINUTE = timedelta(minutes=1)
FAULT = "this job is more than we can take"
ENOUGH_TURNS = MOST_JOBS_AT_ONCE + 2
"""For a session to throw some owners away and to write what is left."""
LATER = 1_000
"""A version above all defined ones."""


class Worker:
    """A session over the log that a test can replace by a new worker's."""

    def __init__(self, log):
        self.log, self.session = log, log.recover()

    @property
    def owner(self):
        return self.session.owner

    @property
    def owners(self):
        return sum(isinstance(each, Fence) for each in self.session.calls)

    def turn(self, seconds=0):
        self.log.now += timedelta(seconds=seconds)
        for _ in range(ENOUGH_TURNS):
            self.log.turn(self.session)

    def offer(self, record):
        self.session.offer(record)
        self.turn()

    def begin_anew(self):
        """Lets another worker take over."""
        self.session = self.log.recover()
        self.turn()


def owner_in(value):
    match value:
        case Run():
            return value.status.job_id
        case RunStatus():
            return value.job_id
        case Epoch():
            return owner_of_run(value.run_id)
        case OpenBackfill():
            return value.stored.job_id
        case str():
            return value
        case _:
            return None


def fail_for(monkeypatch, place, *bad):
    """Makes the function at `place` raise for these jobs."""
    within, _, name = place.rpartition(".")
    module = resolve_name(within)
    real = getattr(module, name)

    def failing(*arguments, **named):
        if any(owner_in(each) in bad for each in arguments):
            raise RuntimeError(FAULT)
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, failing)


def problems(log, owner):
    """The problems of the owner, without refused requests."""
    return [each for each in letters(log, owner) if "is refused" not in each]


def letters(log, owner):
    found = [each for each in log.written if each.topic == DEADLETTER and each.key == owner]
    return [dict(each.headers)["reason"].decode() for each in found]


def states(log, owner):
    return {run_id: each.state for run_id, each in log.statuses().items() if owner_of_run(run_id) == owner}


def of_both(log, **fields):
    return [log.define(number, job_id=each, **fields) for number, each in enumerate(("bad", "job"), 1)]


def ask_both(log, request_id="r", **fields):
    return [log.request(request_id + each, owner=each, job_id=each, **fields) for each in ("bad", "job")]


def missed(log):
    of_both(log, schedule="* * * * *", start_deadline=MINUTE / 2, overlap_policy="allow_all")
    yield 0
    yield 60
    yield 60
    yield 45


def held(log):
    of_both(log, schedule="* * * * *", overlap_policy="buffer_one")
    for _ in range(4):
        yield 60
    ends = [e for each in log.dispatches() for e in (started(each, log.now), ended(each, log.now))]
    log.report(*ends)
    yield None


def asked(log):
    of_both(log)
    ask_both(log)
    yield 0
    yield 1


def silent(log):
    of_both(log)
    ask_both(log)
    yield 1
    log.report(*(started(each, log.now) for each in log.dispatches()))
    yield None
    yield 1
    yield "judge"
    yield "judge"


def filled(log):
    of_both(log, schedule="* * * * *")
    yield 0
    log.now += 3 * MINUTE
    yield 0
    asked_for = {"backfill_from": START.isoformat(), "backfill_to": (START + 2 * MINUTE).isoformat()}
    ask_both(
        log,
        kind="backfill",
        reprocess="completed",
        max_active_runs=1,
        run_backwards=False,
        dry_run=False,
        ran="{}",
        **asked_for,
    )
    yield None
    yield 1


def dag_asked(log):
    log.define_dag(NodeSpec(node_id="a", executable="s3://b/a"), NodeSpec(node_id="b", executable="s3://b/b"))
    log.define(2)
    log.request_dag("r")
    log.request("s")
    yield 0
    yield 1


HISTORIES = [
    ("streams.core.runs.deadline.transition_to", missed, "bad"),
    ("streams.core.runs.overlapping._release", held, "bad"),
    ("streams.core.state.OwnerState.make_ready", asked, "bad"),
    ("streams.core.runs.life._dispatch", asked, "bad"),
    ("streams.core.runs.leases.end_attempt", silent, "bad"),
    ("streams.core.requests.backfill._plan", filled, "bad"),
    ("streams.core.requests.backfill._release_runs", filled, "bad"),
    ("streams.core.dag.advance._decide", dag_asked, "dag"),
    ("streams.core.dag.advance._open_or_hold", dag_asked, "dag"),
    ("streams.core.dag.advance._publish_status", dag_asked, "dag"),
]


def play(worker, history):
    """Plays the history; at `None` another owner reads the log again."""
    for pause in history(worker.log):
        if pause is None:
            worker.begin_anew()
        elif pause == "judge":
            worker.log.now += 2 * MINUTE
            worker.session.judge(worker.log.now)
            worker.turn()
        else:
            worker.turn(pause)
    for _ in range(3):
        worker.turn(1)


@pytest.fixture(params=HISTORIES, ids=lambda each: each[0])
def failed(request, monkeypatch):
    """The worker after the core has failed on one job, the failing function, and the history."""
    place, history, bad = request.param
    worker = Worker(Log())
    fail_for(monkeypatch, place, bad)
    play(worker, history)
    return worker, bad, history, monkeypatch


def test_a_quarantine_is_a_problem_with_a_sentence_and_a_remedy(failed):
    worker, bad, _, _ = failed
    (problem,) = problems(worker.log, bad)
    assert FAULT in problem
    assert "any change of its definition lets it be tried again" in problem
    assert worker.owners >= 2


def test_other_jobs_continue_during_a_quarantine(failed):
    worker, _, history, monkeypatch = failed
    monkeypatch.undo()
    untroubled = Worker(Log())
    play(untroubled, history)
    assert states(worker.log, "job") == states(untroubled.log, "job") != {}


def test_the_next_worker_keeps_the_quarantine(failed):
    worker, bad, _, _ = failed
    before = states(worker.log, bad)
    successor = Worker(worker.log)
    for _ in range(3):
        successor.turn(1)
    assert successor.owners == 1
    assert states(worker.log, bad) == before
    assert len(problems(worker.log, bad)) == 1


def test_a_changed_definition_is_tried_again_and_quarantined_if_it_fails_again(failed):
    worker, bad, _, _ = failed
    worker.offer(edit(worker.log, bad))
    for _ in range(3):
        worker.turn(1)
    worker.offer(ask(worker.log, bad))
    assert problems(worker.log, "job") == []


def test_after_a_fix_and_a_change_the_job_continues(failed):
    worker, bad, _, monkeypatch = failed
    monkeypatch.undo()
    worker.offer(edit(worker.log, bad))
    for _ in range(3):
        worker.turn(1)
    worker.offer(ask(worker.log, bad))
    for _ in range(3):
        worker.turn(1)
    assert len(problems(worker.log, bad)) == 1
    assert f"{bad}#more" in worker.log.statuses()
    assert worker.owner.state.durable.quarantined == {}
    assert not any(key.startswith("quarantine/") for key in worker.log.stored())


def edit(log, owner):
    if owner == "dag":
        return log.define_dag(
            NodeSpec(node_id="a", executable="s3://b/a"), NodeSpec(node_id="b", executable="s3://b/c"), version=LATER
        )
    return log.define(LATER, job_id=owner, max_attempts=2)


def ask(log, owner):
    return log.request_dag("more") if owner == "dag" else log.request("more", owner=owner, job_id=owner)


def quarantined(monkeypatch, **fields):
    """A worker with a running run bad#r, whose job is quarantined."""
    log = Log()
    log.define(1, job_id="bad", **fields)
    log.request("r", owner="bad", job_id="bad")
    worker = Worker(log)
    worker.turn()
    fail_for(monkeypatch, "streams.owner.recover._restore", "bad")
    worker.begin_anew()
    assert len(problems(log, "bad")) == 1
    return worker


def test_a_quarantined_job_is_shown_until_its_definition_changes(monkeypatch):
    worker = quarantined(monkeypatch)
    assert worker.session.session.figures.quarantined == 1
    monkeypatch.undo()
    worker.offer(worker.log.define(LATER, job_id="bad"))
    assert worker.session.session.figures.quarantined == 0


def test_a_job_whose_state_cannot_be_restored_is_quarantined(monkeypatch):
    worker = quarantined(monkeypatch)
    worker.offer(worker.log.define(2))
    worker.offer(worker.log.request("s"))
    assert "job#s" in worker.log.statuses()


@pytest.mark.parametrize("place", ["install", "_restore"])
def test_a_definition_or_a_run_that_recovery_fails_on_survives_further_recoveries(monkeypatch, place):
    log = Log()
    log.define(1, job_id="bad", schedule="* * * * *")
    worker = Worker(log)
    worker.turn()
    worker.turn(60)
    stored = {key for key in log.stored() if key.startswith("run/")}
    fail_for(monkeypatch, f"streams.owner.recover.{place}", "bad")
    for _ in range(3):
        log.now += MINUTE
        worker.begin_anew()
    assert {key for key in log.stored() if key.startswith("run/")} == stored
    assert len(problems(log, "bad")) == 1


def test_requests_of_a_quarantined_job_are_refused_with_the_reason(monkeypatch):
    worker = quarantined(monkeypatch)
    worker.offer(worker.log.request("s", owner="bad", job_id="bad"))
    worker.offer(worker.log.request("t", owner="bad", job_id="bad", kind="cancel", run_id="bad#r"))
    _, *refusals = letters(worker.log, "bad")
    assert len(refusals) == 2
    assert all("is refused" in each and FAULT in each for each in refusals)


def test_processes_of_a_quarantined_job_are_not_stopped(monkeypatch):
    worker = quarantined(monkeypatch)
    (dispatch,) = worker.log.dispatches()
    in_hand = AttemptInHand(partition=0, run_id=dispatch.run_id, token=dispatch.token)
    for _ in range(10):
        beat = plain_heartbeat(worker.log.now, attempts=(in_hand,))
        worker.session.learn(HeartbeatHeard(heartbeat=beat, appended_at=worker.log.now))
        worker.turn(30)
    assert worker.log.kills() == []


def test_deleting_a_quarantined_job_stops_its_runs_once_it_can_be_tried_again(monkeypatch):
    worker = quarantined(monkeypatch, on_delete=OnDelete.CANCEL)
    monkeypatch.undo()
    worker.offer(worker.log.define(LATER, deleted=True, job_id="bad"))
    for _ in range(3):
        worker.turn(1)
    assert states(worker.log, "bad")["bad#r"] is RunState.CANCELLING


def test_two_changes_at_once_cause_one_trial_of_the_newest(monkeypatch):
    worker = quarantined(monkeypatch)
    monkeypatch.undo()
    worker.session.offer(worker.log.define(LATER, job_id="bad", paused=True, schedule="* * * * *"))
    worker.offer(worker.log.define(LATER + 1, job_id="bad"))
    worker.turn(1)
    assert worker.owner.state.durable.jobs["bad"].version == LATER + 1
    assert "bad#r" in worker.owner.state.durable.runs


def test_the_worker_ends_when_many_jobs_fail(monkeypatch):
    log = Log()
    names = [f"bad{number}" for number in range(MOST_JOBS_AT_ONCE + 1)]
    for number, name in enumerate(names, 1):
        log.define(number, job_id=name)
        log.request(name, owner=name, job_id=name)
    fail_for(monkeypatch, "streams.core.runs.life._dispatch", *names)
    worker = Worker(log)
    with pytest.raises(JobFailedError):
        worker.turn()


def test_a_fault_outside_any_job_ends_the_worker(monkeypatch):
    log = Log()
    log.define(1)
    worker = Worker(log)
    worker.turn()
    monkeypatch.setattr("streams.core.step.forget_slots", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        worker.turn(10)
