"""The number of runs that an owner looks at does not grow with the open ones: counted, not timed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from schemas.dag import NodeSpec
from streams.core.agenda import Agenda
from tests.support.simulated.log import START, DrivenSession, Log, ended, started

S = timedelta(seconds=1)
NODE = NodeSpec(node_id="a", executable="s3://tidemill/x")


class Looks(dict):
    """A dict of runs that counts lookups."""

    looks = 0

    def get(self, key, default=None):
        self.looks += 1
        return super().get(key, default)

    def __getitem__(self, key):
        self.looks += 1
        return super().__getitem__(key)


def counting(owner: DrivenSession) -> Looks:
    runs = owner.state.durable.runs = Looks(owner.state.durable.runs)
    return runs


def settled(log: Log, owner: DrivenSession) -> DrivenSession:
    while owner.backlog or owner.state.has_more_to_do:
        log.turn(owner, 0.001)
    return owner


def of_an_occurrence(open_: int, **fields: object) -> int:
    log = Log()
    log.define(schedule="@every 10s", **fields)
    for number in range(open_):
        log.request(f"now-{number}")
        log.request(f"later-{number}", run_at=(log.now + timedelta(days=1)).isoformat())
    owner = settled(log, log.recover())
    log.turn(owner, 1)
    runs = counting(owner)
    log.turn(owner, 10)
    assert len({each.run_id for each in log.history()}) == 2 * open_ + 1
    return runs.looks


@pytest.mark.parametrize("policy", ["skip", "buffer_one", "buffer_all"])
def test_the_cost_of_an_occurrence_does_not_depend_on_open_runs(policy) -> None:
    assert of_an_occurrence(10, overlap_policy=policy) == of_an_occurrence(500, overlap_policy=policy)


def of_an_end(waiting: int) -> int:
    log = Log()
    log.define_dag(NODE, max_active_epochs=1)
    owner = log.recover()
    for number in range(waiting):
        owner.offer(log.request_dag(f"r-{number:04}"))
    settled(log, owner)
    log.turn(owner, 1)
    (dispatch,) = log.dispatches()
    runs = counting(owner)
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now)))
    settled(log, owner)
    log.turn(owner, 1)
    assert len(log.dispatches()) == 2
    return runs.looks


def test_the_cost_of_a_dag_runs_end_does_not_depend_on_waiting_ones() -> None:
    assert of_an_end(10) == of_an_end(500)


def test_edits_leave_no_stale_entries() -> None:
    log = Log()
    owner = log.recover()
    for version in range(1, 501):
        owner.offer(log.define(version, schedule=f"0 0 {1 + version % 28} 1 *", start_deadline=S))
    settled(log, owner)
    assert owner.state.derived.timers.entries <= 20


def test_runs_cancelled_early_leave_no_stale_entries() -> None:
    log = Log()
    log.define()
    owner = log.recover()
    for number in range(500):
        owner.offer(log.request(f"r-{number}", run_at=(log.now + timedelta(days=300)).isoformat()))
        owner.offer(log.request(f"c-{number}", kind="cancel", run_id=f"job#r-{number}"))
    settled(log, owner)
    derived = owner.state.derived
    ready = sum(each.entries for each in derived.ready["10s"].agendas)
    assert derived.waiting.entries + ready <= 20
    assert not derived.occupancy


def test_an_agenda_stays_ordered_after_any_put_move_and_drop() -> None:
    agenda: Agenda[datetime, int] = Agenda()
    for number in range(100):
        agenda.put(number, START + (number * 37 % 100) * S)
    for number in range(0, 100, 2):
        agenda.drop(number)
    for number in range(0, 100, 4):
        agenda.put(number, START - number * S)
    agenda.put(1, START - 1_000 * S)
    agenda.put(1, START - 1_000 * S)
    places = agenda.places()
    found = [agenda.pop() for _ in range(len(agenda))]
    assert found == sorted((at, key) for key, at in places.items())
    assert len(found) == 75
    assert agenda.head() is None
    assert agenda.pop_due(START) is None
