"""An owner's indexes match its runs after any history and after recovery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.confinement import NOTHING_GIVEN, Capabilities, Limit, demands, unmet
from schemas.dag import NodeSpec
from schemas.event import EndCause, Expired
from schemas.heartbeat import AttemptInHand, ExecutorState, Heartbeat, Window
from schemas.ids import RunId, occurrence_run_id
from schemas.words import RunKind, RunState
from streams.core.agenda import Agenda
from streams.core.definitions.versions_read import digest_of_state
from streams.core.inputs import HeartbeatHeard
from streams.core.runs.run import Lane, Run
from streams.core.runs.specs import spec_of
from streams.core.settings import CoreSettings
from streams.core.state import OwnerState
from streams.core.step import next_due
from streams.owner.figures import figures_of
from tests.support.simulated.log import START, Log, ended, started

S = timedelta(seconds=1)
CHAIN = (
    NodeSpec(node_id="a", executable="s3://tidemill/x"),
    NodeSpec(node_id="b", executable="s3://tidemill/x", memory=1 << 30),
)
JOBS = {
    "job": {"overlap_policy": "buffer_all", "buffer_limit": 5, "start_deadline": 40 * S, "max_attempts": 2},
    "other": {"overlap_policy": "allow_all", "concurrency_limit": 2, "catchup_policy": "all", "pids": 9},
}


class RandomInputs:
    """Random inputs to one owner and its successors."""

    def __init__(self) -> None:
        self.log = Log()
        self.versions = 0
        self.asked = 0
        for job_id in JOBS:
            self.edit(job_id)
        self.edit_dag()
        self.owner = self.log.recover()
        self.taken = 0
        self.hands: list = []
        self.turn(1)

    def turn(self, seconds: float) -> None:
        self.log.turn(self.owner, seconds)

    def _offer(self, record) -> None:
        if hasattr(self, "owner"):
            self.owner.offer(record)

    def edit(self, job_id: str, **fields: object) -> None:
        self.versions += 1
        plain = {"schedule": f"@every {5 + self.versions % 3}s", **JOBS[job_id]}
        self._offer(self.log.define(self.versions, job_id=job_id, **{**plain, **fields}))

    def edit_dag(self) -> None:
        self.versions += 1
        fields = {"schedule": "@every 11s", "max_active_epochs": 1, "overlap_policy": "buffer_all"}
        self._offer(self.log.define_dag(*CHAIN, version=self.versions, dag_timeout=30 * S, **fields))

    def ask(self, job_id: str, **fields: object) -> None:
        self.asked += 1
        self._offer(self.log.request(f"q{self.asked}", owner=job_id, job_id=job_id, **fields))

    def later(self, seconds: int) -> None:
        self.ask("other", run_at=(self.log.now + seconds * S).isoformat())

    def stop(self, number: int) -> None:
        open_ = sorted(self.owner.state.durable.runs)
        if open_:
            run_id = open_[number % len(open_)]
            owner = self.owner.state.durable.runs[run_id].status.job_id
            named = {"dag_id": "dag", "job_id": None} if owner == "dag" else {"job_id": owner}
            self.asked += 1
            self._offer(
                self.log.request(f"q{self.asked}", **{"owner": owner, "kind": "cancel", "run_id": run_id, **named})
            )

    def again(self, number: int) -> None:
        nominal = START + number * S
        run_id = occurrence_run_id("other", nominal)
        self.ask("other", kind="rerun", run_id=run_id, nominal_time=nominal.isoformat())

    def backfill(self, number: int) -> None:
        stretch = {"backfill_from": (START - 30 * S).isoformat(), "backfill_to": START.isoformat()}
        how = {"reprocess": "none", "max_active_runs": 1 + number % 3, "run_backwards": bool(number % 2)}
        self.ask("other", kind="backfill", dry_run=False, ran=None, **stretch, **how)

    def beat(self, number: int) -> None:
        """A heartbeat of one of two executors, which may hold the partition or not."""
        name, holds = f"e.{number % 2}", number % 3
        windows = tuple(Window(timeout_class=each, partition=0, size=number % 7) for each in ("10s", "1m") if holds)
        listed = tuple(
            AttemptInHand(run_id=d.run_id, token=d.token, partition=0) for d in self.hands[:: 1 + number % 2]
        )
        heartbeat = Heartbeat(
            executor_id=name,
            name=name,
            host="h",
            version="1",
            state=ExecutorState.GONE if number % 11 == 10 else ExecutorState.RUNNING,
            at=self.log.now,
            interval=3 * S,
            slots=(),
            windows=windows,
            attempts=listed,
            capabilities=(None, Capabilities(limits=tuple(Limit)), Capabilities(limits=(Limit.PIDS,)))[number // 7 % 3],
        )
        self.owner.learn(HeartbeatHeard(heartbeat=heartbeat, appended_at=self.log.now))

    def take(self, number: int) -> None:
        dispatches = self.log.dispatches()
        for dispatch in dispatches[self.taken :][: 1 + number % 4]:
            self.taken += 1
            if number % 5 == 4:
                said = Expired(run_id=dispatch.run_id, attempt=dispatch.attempt, token=dispatch.token, at=self.log.now)
                self._offer(self.log.report(said))
            else:
                self.hands.append(dispatch)
                self._offer(self.log.report(started(dispatch, self.log.now)))

    def end(self, number: int) -> None:
        if self.hands:
            dispatch = self.hands.pop(number % len(self.hands))
            cause = (EndCause.EXITED, EndCause.EXITED, EndCause.LIMIT, EndCause.LEASE)[number % 4]
            self._offer(self.log.report(ended(dispatch, self.log.now, number % 2, cause)))

    def judge(self, _: int) -> None:
        self.owner.judge(self.log.now)

    def recover(self, _: int) -> None:
        self.owner = self.log.recover()

    def happen(self, what: str, number: int) -> None:
        match what:
            case "edit":
                self.edit(("job", "other")[number % 2], paused=number % 5 == 0, cpu=1.5 if number % 7 == 0 else None)
            case "delete":
                self.versions += 1
                self._offer(self.log.define(self.versions, job_id="other", deleted=True))
            case "edit_dag":
                self.edit_dag()
            case "ask":
                self.ask(("job", "other")[number % 2])
            case "turn":
                self.turn(number / 4)
            case _:
                getattr(self, what)(number)


HAPPENINGS = [
    *("turn", "turn", "take", "take", "end", "beat", "later", "again", "stop", "judge", "ask"),
    *("backfill", "edit", "edit_dag", "delete", "recover"),
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 40)), min_size=40, max_size=120))
def test_the_indexes_match_the_runs(history) -> None:
    driven = RandomInputs()
    for what, number in history:
        driven.happen(what, number)
        driven.turn(0.1)
        check(driven.owner.state, driven.log.now)
    driven.recover(0)
    check(driven.owner.state, driven.log.now)
    driven.turn(0.1)
    check(driven.owner.state, driven.log.now)


def agendas_of_runs(state: OwnerState) -> dict[str, Agenda[datetime, RunId]]:
    derived = {each.name: getattr(state.derived, each.name) for each in fields(state.derived)}
    return {name: each for name, each in derived.items() if isinstance(each, Agenda) and name != "catchup_slots"}


@pytest.mark.parametrize("name", agendas_of_runs(OwnerState(partition=0, settings=CoreSettings())))
def test_an_owner_wakes_for_what_any_index_has_due(name) -> None:
    state = OwnerState(partition=0, settings=CoreSettings())
    agendas_of_runs(state)[name].put(RunId("job#r"), START)
    assert next_due(state) == START


def check(state: OwnerState, now: datetime) -> None:
    runs = list(state.durable.runs.values())
    whole = [run for run in runs if run.status.node_id is None]
    open_runs = {job_id: set(found) for job_id, found in state.derived.open_runs.items()}
    assert open_runs == _by_job(whole, lambda run: run.run_id)
    _check_occupancy(state, whole, now)
    _check_queues(state, runs)
    _check_flights(state, runs)
    _check_deadlines(state, runs)
    _check_figures(state, runs)
    assert state.derived.digest == digest_of_state(state)
    timers = {each.key: each.next_time for each in state.derived.timers if each.next_time is not None}
    by_run = agendas_of_runs(state)
    assert {run_id for each in by_run.values() for run_id in each.places()} <= state.durable.runs.keys()
    agendas = [*by_run.values(), state.derived.catchup_slots, state.derived.epochs.deadlines]
    agendas += [state.derived.timers._agenda, *_agendas_of_ready_runs(state), *state.seen.fleet._unreported.values()]
    assert state.derived.timers._agenda.places() == timers
    assert all(each.entries <= 2 * len(each) + 16 for each in agendas)


def _agendas_of_ready_runs(state: OwnerState) -> list[Agenda[datetime, RunId]]:
    return [agenda for each in state.derived.ready.values() for agenda in each.agendas]


def _by_job(runs: list[Run], what: Callable[[Run], object]) -> dict[str, set[object]]:
    found: dict[str, set[object]] = {}
    for run in runs:
        found.setdefault(run.status.job_id, set()).add(what(run))
    return found


def _check_occupancy(state: OwnerState, whole: list[Run], now: datetime) -> None:
    """Counts all runs at several times: an interrupted tick continues at an earlier one."""
    counted = [run for run in whole if run.status.kind is not RunKind.BACKFILL and not run.backfill_id]
    for at in (now - 20 * S, now, now + 20 * S):
        there = [run for run in counted if not _is_later(run, at)]
        found = {job: set(each.runs(at)) for job, each in state.derived.occupancy.items()}
        assert {job: ids for job, ids in found.items() if ids} == _by_job(there, lambda run: run.run_id)
        for job, each in state.derived.occupancy.items():
            mine = [run for run in there if run.status.job_id == job]
            assert each.active(at) == sum(not run.held for run in mine)
            held = sorted((run.is_rerun, run.status.nominal_time, run.run_id) for run in mine if run.held)
            assert each.next_held(len(mine), in_order=True) == [run_id for *_, run_id in held]
        for job, each in state.derived.occupancy.items():
            in_their_time = [run for run in counted if run.status.job_id == job and run.lane is not Lane.CATCH_UP]
            assert each.open_before(at) == sum(_in_the_way_since(run) <= at for run in in_their_time)


def _in_the_way_since(run: Run) -> datetime:
    assert run.status.queued_at is not None
    return max(run.status.queued_at, run.status.scheduled_time) if _is_asked_for(run) else run.status.queued_at


def _is_asked_for(run: Run) -> bool:
    return run.status.kind is RunKind.REQUESTED or run.status.request_id is not None


def _is_later(run: Run, now: datetime) -> bool:
    return _is_asked_for(run) and run.status.scheduled_time > now and not (run.held or run.has_started)


def _check_queues(state: OwnerState, runs: list[Run]) -> None:
    """Each run that waits for its time or for a slot is in its own queue, and no other run is in any."""
    waiting = state.derived.waiting.places()
    ready = {
        (name, run_id): order for name, each in state.derived.ready.items() for run_id, order in each.places().items()
    }
    queued = {run.run_id: run for run in runs if run.open_attempt is None and not run.held}
    assert all(queued[run_id].due_at == due_at for run_id, due_at in waiting.items())
    assert all(queued[run_id].dispatch_order == order for (_, run_id), order in ready.items())
    assert all(queued[run_id].status.timeout_class == name for name, run_id in ready)
    for name, run_id in ready:
        assert state.derived.ready[name].demands(run_id) == demands(spec_of(state, queued[run_id]).confinement)
    places = Counter([*waiting, *(run_id for _, run_id in ready)])
    expected = [
        run_id
        for run_id, run in queued.items()
        if run.state in {RunState.QUEUED, RunState.RETRY_WAIT}
        and run.status.kind not in {RunKind.DAG, RunKind.BACKFILL}
        and run.backfill_id is None
    ]
    assert all(places[run_id] == 1 for run_id in expected)
    assert max(places.values(), default=1) == 1


def _check_flights(state: OwnerState, runs: list[Run]) -> None:
    flights = state.seen.in_flight
    open_attempts = {run.run_id: run.open_attempt.token for run in runs if run.open_attempt}
    assert {run_id: flight.token for run_id, flight in flights.items()} == open_attempts
    assert state.seen.fleet._taken == Counter((each.timeout_class, each.executor_id) for each in flights.values())


def _check_figures(state: OwnerState, runs: list[Run]) -> None:
    """What the metrics show is what a count of everything finds."""
    figures, flights = figures_of(state), state.seen.in_flight
    assert figures.held == sum(run.held for run in runs)
    assert figures.jobs == sum(not stored.deleted for stored in state.durable.jobs.values())
    assert figures.unscheduled == len(state.derived.unscheduled)
    for name, each in figures.waiting.items():
        unreported = [
            run_id for run_id, flight in flights.items() if flight.timeout_class == name and flight.executor_id is None
        ]
        queue, given_ = state.derived.ready[name], state.seen.fleet.given(name) or NOTHING_GIVEN
        fitting = [run_id for run_id in queue.places() if not unmet(queue.demands(run_id), given_)]
        due = [state.durable.runs[run_id].due_at for run_id in (*fitting, *unreported)]
        assert (each.count, each.oldest) == (len(due), min(due, default=None))
        assert each.unmet == len(queue) - len(fitting)


def _check_deadlines(state: OwnerState, runs: list[Run]) -> None:
    starts = state.derived.start_deadlines.places()
    by_run = {run.run_id: run for run in runs}
    assert all(by_run[run_id].start_by == start_by for run_id, start_by in starts.items())
    unstarted = [run for run in runs if run.start_by and not run.open_attempt and not run.status.attempts]
    assert all(run.run_id in starts for run in unstarted)
    epochs = {run_id for run_id, epoch in state.derived.epochs.by_run.items() if not epoch.ends_as}
    assert epochs <= state.derived.epochs.deadlines.places().keys() <= state.derived.epochs.by_run.keys()
    _check_epochs(state)


def _check_epochs(state: OwnerState) -> None:
    epochs = {run_id: (state.durable.runs[run_id], each) for run_id, each in state.derived.epochs.by_run.items()}
    assert state.derived.epochs.versions == Counter(
        (run.status.job_id, each.graph.version) for run, each in epochs.values()
    )
    beside = [run for run, _ in epochs.values() if run.backfill_id is None]
    assert state.derived.epochs.by_dag == _by_job(beside, lambda run: run.run_id)
