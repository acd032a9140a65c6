"""An occurrence of a pause runs once, by whichever comes first: a backfill, a rerun or the catch-up."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.dag import NodeSpec
from schemas.ids import dag_run_of
from schemas.status import RunStatus
from schemas.times import run_id_time
from schemas.words import OPEN_STATES, RunKind, RunState
from streams.core.definitions import covered
from streams.core.requests import backfill as core
from streams.core.room import Bounds
from streams.core.settings import CoreSettings
from tests.support import checkers
from tests.support.simulated.backfilled_job import MINUTE, PARENT, BackfillScenario, at, backfill_request, history
from tests.support.simulated.crashing_owner import Fate
from tests.support.simulated.log import START, Log, ended, started

ALL = {"catchup_after_pause": "all", "overlap_policy": "allow_all"}


class PausedJob(BackfillScenario):
    """A paused job that is due every minute; every run succeeds."""

    def __init__(self, **job: object) -> None:
        self.job = {"schedule": "* * * * *", "max_attempts": 1, **ALL, **job}
        super().__init__(**self.job, paused=True)
        self.version = 1

    def pass_minutes(self, minutes: int) -> None:
        self.turn(minutes * 60)

    def define(self, **fields: object) -> None:
        self.version += 1
        self.owner.offer(self.log.define(self.version, **{**self.job, **fields}))
        self.turn()

    def rerun(self, minute: int, request_id: str = "again") -> None:
        self.owner.offer(self.log.request_by_topic(request_id, kind="rerun", run_id=at(minute)))
        self.turn()

    def settle(self) -> None:
        for _ in range(30):
            self.run_all()
            self.turn(0.3)

    def times_run(self) -> Counter[str]:
        return Counter(each.run_id for each in self.log.dispatches())


def once(*minutes: int) -> dict[str, int]:
    return {at(minute): 1 for minute in minutes}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("resume_limit", [1_000, 5])
def test_a_pause_that_ends_while_its_backfill_is_planned_runs_each_occurrence_once(
    monkeypatch, *, backwards: bool, resume_limit: int
) -> None:
    monkeypatch.setattr(core, "AT_A_TIME", 4)
    scenario = PausedJob()
    scenario.owner.state.settings = CoreSettings(resume_limit=resume_limit)
    scenario.pass_minutes(30)
    scenario.backfill(-29, -1, max_active_runs=9, run_backwards=backwards)  # minutes 1 to 28
    stored = scenario.owner.state.derived.backfills.by_run["job#bf"].stored
    assert (stored.is_planned, stored.runs) == (False, 4)
    scenario.define()
    scenario.settle()
    ran = scenario.times_run()
    assert set(ran.values()) == {1}
    assert set(ran) >= set(once(*range(1, 29)))
    assert scenario.parent().state is RunState.SUCCEEDED


@pytest.mark.parametrize("backwards", [False, True])
def test_a_backfill_cancelled_while_it_is_planned_leaves_the_rest_to_the_catch_up(monkeypatch, backwards) -> None:
    monkeypatch.setattr(core, "AT_A_TIME", 4)
    scenario = PausedJob()
    scenario.pass_minutes(20)
    scenario.backfill(-19, -1, run_backwards=backwards)  # minutes 1 to 18
    scenario.owner.offer(scenario.log.request("stop", kind="cancel", run_id=PARENT))
    scenario.turn()
    scenario.settle()
    laid_out = {run_id for run_id, state in scenario.states().items() if run_id != PARENT}
    assert 4 <= len(laid_out) < 18
    scenario.owner = scenario.log.recover()
    scenario.define()
    scenario.settle()
    assert set(scenario.times_run().values()) == {1}
    assert set(scenario.states()) == {PARENT, *once(*range(1, 21))}
    not_run = {run_id for run_id in scenario.states() if run_id not in scenario.times_run()} - {PARENT}
    assert not_run < laid_out, "they were cancelled with their backfill"


@pytest.mark.parametrize("policy", ["all", "latest", "skip"])
@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_rerun_occurrence_of_a_pause_does_not_run_again_at_the_catch_up(policy: str, *, is_recovered: bool) -> None:
    scenario = PausedJob(catchup_after_pause=policy)
    scenario.pass_minutes(5)
    scenario.rerun(5)
    scenario.rerun(2, "another")
    scenario.settle()
    if is_recovered:
        scenario.owner = scenario.log.recover()
    scenario.define()
    scenario.settle()
    assert scenario.times_run() == (once(1, 2, 3, 4, 5) if policy == "all" else once(2, 5))
    ranges = {
        run_id.partition("@")[2]: each.missed.count for run_id, each in scenario.log.statuses().items() if each.missed
    }
    first, rest = f"{run_id_time(START + MINUTE)}", f"{run_id_time(START + 3 * MINUTE)}"
    expected = {f"{first}~{first}": 1, f"{rest}~{run_id_time(START + 4 * MINUTE)}": 2}
    assert ranges == ({} if policy == "all" else expected), "what ran is in no record of what did not"


def test_an_edit_during_the_pause_keeps_what_has_run() -> None:
    scenario = PausedJob()
    scenario.pass_minutes(8)
    scenario.backfill(-6, -3)  # minutes 2 to 4
    scenario.settle()
    scenario.define(paused=True, args=("x",))
    scenario.rerun(6)
    scenario.settle()
    scenario.define()
    scenario.settle()
    assert scenario.times_run() == once(*range(1, 9))


def test_a_resume_written_long_before_its_commit_runs_nothing_twice() -> None:
    """The resume counts from its writing: later occurrences are caught up too."""
    scenario = PausedJob()
    scenario.pass_minutes(5)
    other = Log()
    other.now = scenario.log.now
    late = other.define(2, **scenario.job)
    scenario.pass_minutes(5)
    scenario.backfill(-9, 0)  # minutes 1 to 9
    scenario.settle()
    scenario.owner.offer(scenario.log.append_copy(late))
    scenario.turn()
    scenario.settle()
    assert scenario.times_run() == once(*range(1, 11))


def test_a_backfill_that_waits_for_the_clock_skips_occurrences_that_ran_meanwhile() -> None:
    scenario = BackfillScenario(overlap_policy="allow_all")
    scenario.turn(59)
    # The clock is at 12:00:59; the backfill ends at 12:01:30.
    scenario.owner.offer(scenario.log.request("bf", **backfill_request(-3, 1, START + 0.5 * MINUTE)))
    scenario.turn()
    scenario.turn(1)
    assert scenario.run_all() == [at(1)]
    scenario.owner = scenario.log.recover()
    scenario.turn(30)
    assert scenario.run_all() == [at(-2), at(-1), at(0)]
    assert scenario.parent().reason == "all 3 runs succeeded"


def test_a_backfill_that_splits_a_pause_into_too_many_parts_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(covered, "MAX_COVERED", 2)
    scenario = PausedJob()
    scenario.pass_minutes(30)
    scenario.rerun(3)
    scenario.backfill(-20, -18)
    scenario.settle()
    scenario.rerun(5, "third")
    scenario.backfill(-9, -8, "more")
    (letter,) = [each for each in scenario.log.written if each.topic == "deadletter"]
    sentence = (
        "'job' is paused, and 2 parts of its pause were run separately, at most 2 may be; "
        "resume it, or ask for one backfill of the whole pause"
    )
    assert dict(letter.headers)["reason"].decode() == f"request 'third' is refused: {sentence}"
    assert scenario.log.statuses()["job#more"].reason == f"refused: {sentence}"


def test_a_dag_run_of_a_pause_opens_once() -> None:
    log = Log()
    nodes = (
        NodeSpec(node_id="a", executable="s3://tidemill/x"),
        NodeSpec(node_id="b", executable="x", depends_on=("a",)),
    )
    fields = {"schedule": "* * * * *", "catchup_after_pause": "all", "overlap_policy": "buffer_all"}
    log.define_dag(*nodes, **fields, paused=True)
    owner, done = log.recover(), 0

    def settle() -> None:
        nonlocal done
        for _ in range(60):
            for each in log.dispatches()[done:]:
                owner.offer(log.report(started(each, log.now), ended(each, log.now)))
            done = len(log.dispatches())
            log.turn(owner, 0.2)

    log.turn(owner)
    log.turn(owner, 10 * 60)
    owner.offer(log.request_dag("bf", **backfill_request(-8, -5, log.now)))
    settle()
    dag_run = f"dag@{run_id_time(START + 3 * MINUTE)}"
    nodes_then = {"a": {"state": "succeeded", "attempt": 1}, "b": {"state": "succeeded", "attempt": 1}}
    again = {"kind": "rerun", "run_id": dag_run, "nominal_time": (START + 3 * MINUTE).isoformat(), "downstream": True}
    seen = {"nodes": str(nodes_then).replace("'", '"'), "seen_version": 10_000}
    owner.offer(log.request_dag("again", **again, **seen))
    settle()
    owner = log.recover()
    owner.offer(log.define_dag(*nodes, version=2, **fields))
    settle()
    ran = Counter(dag_run_of(each.run_id) for each in log.dispatches())
    assert len(ran) == 10
    assert ran.pop(dag_run) == 4, "it was asked for again"
    assert set(ran.values()) == {2}


steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "wait",
                "wait",
                "work",
                "work",
                "work",
                "pause",
                "resume",
                "edit",
                "backfill",
                "backwards",
                "rerun",
                "stop",
            ]
        ),
        st.integers(0, 9),
        st.integers(1, 8),
        st.sampled_from([Fate.COMMITTED] * 5 + [Fate.LOST, Fate.UNKNOWN]),
    ),
    max_size=40,
)


class RandomPausedJob(PausedJob):
    """A paused job with random requests and changes; its owner may crash before or after each commit."""

    def __init__(self, policy: str) -> None:
        super().__init__(catchup_after_pause=policy)
        self.is_paused = True

    def commit(self, fate: Fate) -> None:
        self.owner.fault = fate.value
        self.owner.turn()
        if fate is not Fate.COMMITTED:
            self.owner = self.log.recover(settings=CoreSettings(resume_limit=6))

    def act(self, number: int, what: str, first: int, length: int) -> None:
        now = int((self.log.now - START) / MINUTE)
        match what:
            case "wait":
                self.log.now += timedelta(seconds=20 * length)
            case "work":
                self.execute()
            case "pause" | "resume" | "edit":
                self.is_paused = what == "pause" or (what == "edit" and self.is_paused)
                self.version += 1
                edited = {**self.job, "paused": self.is_paused, "args": (str(number),)}
                self.owner.offer(self.log.define(self.version, **edited))
            case "backfill" | "backwards":
                begin = max(1, now - first)
                fields = {"ran": self.ran(), "run_backwards": what == "backwards", "max_active_runs": 1 + first % 3}
                fields = backfill_request(begin, min(begin + length, now + 1), START, **fields)
                if begin < now:
                    self.owner.offer(self.log.request(f"bf-{number}", **fields))
            case "rerun":
                if now - first >= 1:
                    self.ask_again(number, now - first)
            case _:
                order = {"kind": "cancel", "run_id": f"job#bf-{max(0, number - length)}"}
                self.owner.offer(self.log.request(f"stop-{number}", **order))

    def ask_again(self, number: int, minute: int) -> None:
        """A rerun as the table's trigger completes it, even if the occurrence has not run."""
        before = self.log.statuses().get(at(minute))
        again = {"kind": "rerun", "run_id": at(minute), "nominal_time": (START + minute * MINUTE).isoformat()}
        self.owner.offer(self.log.request(f"again-{number}", **again, attempt=before.attempt if before else 0))

    def ran(self) -> dict[str, None]:
        """What the table's trigger finds in an up-to-date read model."""
        return {
            run_id_time(each.nominal_time): None
            for each in self.log.statuses().values()
            if each.kind is not RunKind.BACKFILL and not each.missed and (each.attempts or each.state in OPEN_STATES)
        }

    def execute(self) -> None:
        dispatches = self.log.dispatches()
        if self.reported < len(dispatches):
            each = dispatches[self.reported]
            self.reported += 1
            self.owner.offer(self.log.report(started(each, self.log.now), ended(each, self.log.now)))

    def finish(self) -> None:
        for _ in range(400):
            self.execute()
            self.commit(Fate.COMMITTED)
            self.log.now += timedelta(milliseconds=50)
            is_idle = not (self.owner.state.durable.runs or self.owner.backlog or self.owner.state.has_more_to_do)
            if is_idle and self.reported == len(self.log.dispatches()):
                return


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(
    steps=[("wait", 0, 8, Fate.COMMITTED), ("backfill", 3, 2, Fate.COMMITTED), ("resume", 0, 1, Fate.COMMITTED)],
    policy="all",
)
@given(steps=steps, policy=st.sampled_from(["all", "latest", "skip"]))
def test_in_any_history_an_occurrence_runs_once_unless_a_rerun_is_requested(
    *, steps: list[tuple[str, int, int, Fate]], policy: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "bounds", Bounds(effects=12))
        patch.setattr(core, "AT_A_TIME", 1)
        scenario = RandomPausedJob(policy)
        for number, (what, first, length, fate) in enumerate(steps):
            scenario.act(number, what, first, length)
            scenario.commit(fate)
        scenario.act(len(steps), "resume", 0, 1)
        scenario.log.now += MINUTE  # so that no backfill waits for the clock
        scenario.finish()
    told = history(scenario.log)
    assert not scenario.owner.state.durable.runs
    assert checkers.materialized_once(told) == []
    assert checkers.legal_history(told) == []
    assert checkers.dispatched_once(scenario.log.dispatches()) == []
    assert run_again_unasked(told) == []
    assert unaccounted(told, scenario.owner.state.durable.watermark) == []


def run_again_unasked(told: list[RunStatus]) -> list[str]:
    """Executed lives of a run after its first one that no rerun requested."""
    lives: dict[str, dict[str | None, None]] = {}
    for each in told:
        if each.attempts:
            lives.setdefault(each.run_id, {})[each.rerun_id] = None
    return [
        f"{run_id} ran again as {life}"
        for run_id, each in lives.items()
        for life in list(each)[1:]
        if not (life or "").startswith("again-")
    ]


def unaccounted(told: list[RunStatus], until: datetime) -> list[int]:
    """Minutes without a record."""
    minutes = set(range(1, int((until - START) / MINUTE) + 1))
    for each in told:
        if each.kind is RunKind.BACKFILL:
            continue
        first, last = (each.missed.first, each.missed.last) if each.missed else (each.nominal_time, each.nominal_time)
        minutes -= set(range(int((first - START) / MINUTE), int((last - START) / MINUTE) + 1))
    return sorted(minutes)
