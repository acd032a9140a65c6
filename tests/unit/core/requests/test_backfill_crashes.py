"""Backfills whose owner crashes at any moment: each occurrence runs once, within the limits, and the backfill ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.words import OPEN_STATES, RunKind, RunState
from streams.core.room import Bounds
from tests.support import checkers
from tests.support.simulated.backfilled_job import (
    PARENT,
    BackfillScenario,
    at,
    backfill_request,
    history,
    time_in_run_id,
)
from tests.support.simulated.crashing_owner import Fate
from tests.support.simulated.log import BATCH_WAIT, START, Log, ended, started

turns = st.lists(
    st.tuples(
        st.sampled_from(["work", "work", "work", "fail", "wait", "cancel one", "live"]),
        st.sampled_from([Fate.COMMITTED] * 5 + [Fate.LOST, Fate.UNKNOWN]),
    ),
    max_size=40,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns=turns, cancel_at=st.none() | st.integers(0, 40), backwards=st.booleans(), active=st.integers(1, 4))
def test_whenever_the_owner_crashes_each_occurrence_runs_once_and_the_backfill_ends(
    *, turns: list[tuple[str, Fate]], cancel_at: int | None, backwards: bool, active: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "bounds", Bounds(effects=9))
        scenario = CrashingBackfill()
        fields = {
            "run_backwards": backwards,
            "max_active_runs": active,
            "ran": {time_in_run_id(-7): None, time_in_run_id(-3): 2},
        }
        scenario.log.request("bf", **backfill_request(-9, 0, START, **fields))
        scenario.owner = scenario.log.recover()
        for number, (what, fate) in enumerate(turns):
            if number == cancel_at:
                scenario.owner.offer(scenario.log.request("stop", kind="cancel", run_id=PARENT))
            scenario.act(number, what)
            scenario.commit(fate)
            assert scenario.at_work() <= active
        scenario.finish()
    statuses = scenario.log.statuses()
    mine = {run_id for run_id, each in statuses.items() if each.kind is RunKind.BACKFILLED}
    wanted = {at(minute) for minute in range(-9, 0)} - {at(-7)}
    is_cancelled = statuses[PARENT].state is RunState.CANCELLED
    assert mine <= wanted if is_cancelled else mine == wanted
    assert not [each for each in statuses.values() if each.state in OPEN_STATES]
    assert checkers.materialized_once(history(scenario.log)) == []
    assert checkers.legal_history(history(scenario.log)) == []
    assert checkers.dispatched_once(scenario.log.dispatches()) == []
    assert checkers.no_dispatch_after_stop(history(scenario.log), scenario.log.dispatches()) == []
    failed = [run_id for run_id in mine if statuses[run_id].state is not RunState.SUCCEEDED]
    if not is_cancelled:
        assert statuses[PARENT].state is (RunState.FAILED if failed else RunState.SUCCEEDED)
    assert not [key for key in scenario.log.stored() if key.startswith(("bf/", "run/"))]


class CrashingBackfill(BackfillScenario):
    """A backfill whose owner may crash before or after each commit."""

    def commit(self, fate: Fate) -> None:
        self.owner.fault = fate.value
        self.owner.turn()
        if fate is not Fate.COMMITTED:
            self.owner = self.log.recover()

    def act(self, number: int, what: str) -> None:
        match what:
            case "work" | "fail":
                self.execute(1 if what == "fail" else 0)
            case "cancel one":
                fields = {"kind": "cancel", "run_id": at(-1 - number % 9)}
                self.owner.offer(self.log.request(f"one-{number}", **fields))
            case "live":
                self.owner.offer(self.log.request(f"live-{number}"))
            case _:
                self.log.now += timedelta(seconds=0.5)

    def execute(self, exit_code: int) -> None:
        dispatches = self.log.dispatches()
        if self.reported < len(dispatches):
            dispatch = dispatches[self.reported]
            self.reported += 1
            now = self.log.now
            self.owner.offer(self.log.report(started(dispatch, now), ended(dispatch, now, exit_code)))

    def at_work(self) -> int:
        """Runs of the backfill that are dispatched and have not ended, by their last status."""
        return sum(
            each.kind is RunKind.BACKFILLED and bool(each.attempts) and each.state in OPEN_STATES
            for each in self.log.statuses().values()
        )

    def finish(self) -> None:
        for _ in range(200):
            self.execute(0)
            self.commit(Fate.COMMITTED)
            self.log.now += BATCH_WAIT
            self.commit(Fate.COMMITTED)
            if (
                self.reported == len(self.log.dispatches())
                and not self.owner.state.durable.runs
                and not self.owner.backlog
            ):
                return
