"""An occurrence of a pause runs once, whatever makes a run of it first: a backfill, a rerun, or the catch-up."""

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
from streams.core.policy.rules import Rules
from streams.core.requests import backfill as core
from streams.core.room import Bounds
from tests.support import checkers
from tests.support.simulated.backfilled_job import MINUTE, PARENT, World, asked, at, history
from tests.support.simulated.crashing_owner import Fate
from tests.support.simulated.log import START, Log, ended, started

ALL = {"catchup_after_pause": "all", "overlap_policy": "allow_all"}


class Paused(World):
    """A job that is due every minute and is paused; its executor ends well what it is given."""

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
        self.owner.offer(self.log.foreign(request_id, kind="rerun", run_id=at(minute)))
        self.turn()

    def settle(self) -> None:
        for _ in range(30):
            self.work()
            self.turn(0.3)

    def times_run(self) -> Counter[str]:
        return Counter(each.run_id for each in self.log.dispatches())


def once(*minutes: int) -> dict[str, int]:
    return {at(minute): 1 for minute in minutes}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("resume_limit", [1_000, 5])
def test_a_pause_that_ends_while_its_backfill_is_laid_out(monkeypatch, *, backwards: bool, resume_limit: int) -> None:
    monkeypatch.setattr(core, "AT_A_TIME", 4)
    world = Paused()
    world.owner.state.rules = Rules(resume_limit=resume_limit)
    world.pass_minutes(30)
    world.ask(-29, -1, max_active_runs=9, run_backwards=backwards)  # minutes 1 to 28
    stored = world.owner.state.derived.backfills.by_run["job#bf"].stored
    assert (stored.is_planned, stored.runs) == (False, 4)
    world.define()
    world.settle()
    ran = world.times_run()
    assert set(ran.values()) == {1}
    assert set(ran) >= set(once(*range(1, 29)))
    assert world.parent().state is RunState.SUCCEEDED


@pytest.mark.parametrize("backwards", [False, True])
def test_a_backfill_that_is_cancelled_while_it_is_laid_out_leaves_the_rest_to_the_catch_up(
    monkeypatch, backwards
) -> None:
    monkeypatch.setattr(core, "AT_A_TIME", 4)
    world = Paused()
    world.pass_minutes(20)
    world.ask(-19, -1, run_backwards=backwards)  # minutes 1 to 18
    world.owner.offer(world.log.request("stop", kind="cancel", run_id=PARENT))
    world.turn()
    world.settle()
    laid_out = {run_id for run_id, state in world.states().items() if run_id != PARENT}
    assert 4 <= len(laid_out) < 18
    world.owner = world.log.recover()
    world.define()
    world.settle()
    assert set(world.times_run().values()) == {1}
    assert set(world.states()) == {PARENT, *once(*range(1, 21))}
    not_run = {run_id for run_id in world.states() if run_id not in world.times_run()} - {PARENT}
    assert not_run < laid_out, "they were cancelled with their backfill"


@pytest.mark.parametrize("policy", ["all", "latest", "skip"])
@pytest.mark.parametrize("is_recovered", [False, True])
def test_a_rerun_of_an_occurrence_of_a_pause_is_all_that_runs_of_it(policy: str, *, is_recovered: bool) -> None:
    world = Paused(catchup_after_pause=policy)
    world.pass_minutes(5)
    world.rerun(5)
    world.rerun(2, "another")
    world.settle()
    if is_recovered:
        world.owner = world.log.recover()
    world.define()
    world.settle()
    assert world.times_run() == (once(1, 2, 3, 4, 5) if policy == "all" else once(2, 5))
    ranges = {
        run_id.partition("@")[2]: each.missed.count for run_id, each in world.log.statuses().items() if each.missed
    }
    first, rest = f"{run_id_time(START + MINUTE)}", f"{run_id_time(START + 3 * MINUTE)}"
    expected = {f"{first}~{first}": 1, f"{rest}~{run_id_time(START + 4 * MINUTE)}": 2}
    assert ranges == ({} if policy == "all" else expected), "what ran is in no record of what did not"


def test_an_edit_in_the_pause_forgets_nothing() -> None:
    world = Paused()
    world.pass_minutes(8)
    world.ask(-6, -3)  # minutes 2 to 4
    world.settle()
    world.define(paused=True, args=("x",))
    world.rerun(6)
    world.settle()
    world.define()
    world.settle()
    assert world.times_run() == once(*range(1, 9))


def test_a_resume_that_is_written_long_before_it_commits_runs_nothing_again() -> None:
    """Its time is when it was written: what was due since then is caught up with as well."""
    world = Paused()
    world.pass_minutes(5)
    other = Log()
    other.now = world.log.now
    late = other.define(2, **world.job)
    world.pass_minutes(5)
    world.ask(-9, 0)  # minutes 1 to 9
    world.settle()
    world.owner.offer(world.log.again(late))
    world.turn()
    world.settle()
    assert world.times_run() == once(*range(1, 11))


def test_a_backfill_that_waits_for_the_clock_leaves_alone_what_ran_meanwhile() -> None:
    world = World(overlap_policy="allow_all")
    world.turn(59)
    world.owner.offer(world.log.request("bf", **asked(-3, 1, START + 0.5 * MINUTE)))  # up to 12:01:30, it is 12:00:59
    world.turn()
    world.turn(1)
    assert world.work() == [at(1)]
    world.owner = world.log.recover()
    world.turn(30)
    assert world.work() == [at(-2), at(-1), at(0)]
    assert world.parent().reason == "all 3 runs succeeded"


def test_more_than_so_many_separate_parts_of_a_pause_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(covered, "MAX_COVERED", 2)
    world = Paused()
    world.pass_minutes(30)
    world.rerun(3)
    world.ask(-20, -18)
    world.settle()
    world.rerun(5, "third")
    world.ask(-9, -8, "more")
    (letter,) = [each for each in world.log.written if each.topic == "deadletter"]
    sentence = (
        "'job' is paused, and 2 parts of its pause were run separately, at most 2 may be; "
        "resume it, or ask for one backfill of the whole pause"
    )
    assert dict(letter.headers)["reason"].decode() == f"request 'third' is refused: {sentence}"
    assert world.log.statuses()["job#more"].reason == f"refused: {sentence}"


def test_a_dag_run_of_a_pause_is_opened_once() -> None:
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
    owner.offer(log.request_dag("bf", **asked(-8, -5, log.now)))
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


class Busy(Paused):
    """Everything happens to it, and its owner may die before or after each commit."""

    def __init__(self, policy: str) -> None:
        super().__init__(catchup_after_pause=policy)
        self.is_paused = True

    def commit(self, fate: Fate) -> None:
        self.owner.fault = fate.value
        self.owner.turn()
        if fate is not Fate.COMMITTED:
            self.owner = self.log.recover(rules=Rules(resume_limit=6))

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
                fields = asked(begin, min(begin + length, now + 1), START, **fields)
                if begin < now:
                    self.owner.offer(self.log.request(f"bf-{number}", **fields))
            case "rerun":
                if now - first >= 1:
                    self.ask_again(number, now - first)
            case _:
                order = {"kind": "cancel", "run_id": f"job#bf-{max(0, number - length)}"}
                self.owner.offer(self.log.request(f"stop-{number}", **order))

    def ask_again(self, number: int, minute: int) -> None:
        """As the table's trigger completes it, but also where nothing has run."""
        before = self.log.statuses().get(at(minute))
        again = {"kind": "rerun", "run_id": at(minute), "nominal_time": (START + minute * MINUTE).isoformat()}
        self.owner.offer(self.log.request(f"again-{number}", **again, attempt=before.attempt if before else 0))

    def ran(self) -> dict[str, None]:
        """What the table's trigger finds in a read model that is up to date."""
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
def test_whatever_happens_in_whatever_order_an_occurrence_runs_once_unless_it_is_asked_to_run_again(
    *, steps: list[tuple[str, int, int, Fate]], policy: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "bounds", Bounds(effects=12))
        patch.setattr(core, "AT_A_TIME", 1)
        world = Busy(policy)
        for number, (what, first, length, fate) in enumerate(steps):
            world.act(number, what, first, length)
            world.commit(fate)
        world.act(len(steps), "resume", 0, 1)
        world.log.now += MINUTE  # no backfill waits for the clock any more
        world.finish()
    told = history(world.log)
    assert not world.owner.state.durable.runs
    assert checkers.materialized_once(told) == []
    assert checkers.legal_history(told) == []
    assert checkers.dispatched_once(world.log.dispatches()) == []
    assert run_again_unasked(told) == []
    assert unaccounted(told, world.owner.state.durable.watermark) == []


def run_again_unasked(told: list[RunStatus]) -> list[str]:
    """Lives in which something was executed, behind the first such life of their run, that no rerun asked for."""
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
    """Minutes of which no record says what became of them."""
    minutes = set(range(1, int((until - START) / MINUTE) + 1))
    for each in told:
        if each.kind is RunKind.BACKFILL:
            continue
        first, last = (each.missed.first, each.missed.last) if each.missed else (each.nominal_time, each.nominal_time)
        minutes -= set(range(int((first - START) / MINUTE), int((last - START) / MINUTE) + 1))
    return sorted(minutes)
