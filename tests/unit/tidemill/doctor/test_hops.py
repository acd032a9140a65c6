"""The probe run's path: the marks of its records, the time of each hop, and the hop where it stops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from schemas.codec import encode
from schemas.event import Claimed, EndCause, Ended, EventBatch, Rejected, Started
from schemas.ids import ExecutorId, RunId
from schemas.status import RunStatus
from schemas.words import RunKind, RunState
from tidemill.doctor.facts import Offset
from tidemill.doctor.finding import Level
from tidemill.doctor.hops import HOPS, HopState, Journey, Mark, findings, timed
from tidemill.doctor.probe import clock_difference
from tidemill.doctor.trail import Trail

T0 = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
MS = timedelta(milliseconds=1)
RUN = RunId("tidemill-doctor#p1")
FAST = {mark: T0 + 10 * number * MS for number, mark in enumerate(Mark)}


def journey(marks, *, succeeded=True, said=None):
    return Journey(run_id=RUN, marks=marks, succeeded=succeeded, said=said, limit=timedelta(seconds=5))


def up_to(last):
    return {mark: at for mark, at in FAST.items() if list(Mark).index(mark) <= list(Mark).index(last)}


def test_a_whole_way_is_seven_hops_and_one_good_finding():
    assert [(each.took, each.state) for each in timed(journey(FAST))] == [(10 * MS, HopState.OK)] * 7
    (found,) = findings(journey(FAST))
    assert (found.level, found.sentence) == (Level.OK, "the probe run passed every hop in 0.070 s")


@pytest.mark.parametrize("hop", HOPS, ids=lambda hop: hop.name)
def test_a_way_that_breaks_off_names_the_hop_and_says_what_to_do(hop):
    broken = journey(up_to(hop.since), succeeded=False)
    states = {each.hop: each.state for each in timed(broken)}
    assert [name for name, state in states.items() if state is HopState.BROKEN] == [hop.name]
    assert list(states.values())[HOPS.index(hop) + 1 :] == [HopState.NOT_REACHED] * (6 - HOPS.index(hop))
    (found,) = findings(broken)
    assert (found.name, found.level) == (f"hop.{hop.name}", Level.BAD)
    assert f"{hop.until.value} did not come within 5 s" in found.sentence
    assert found.remedy


def test_a_reason_that_somebody_gave_is_said():
    (found,) = findings(journey(up_to(Mark.CLAIMED), succeeded=False, said="the executor rejected it: no such object"))
    assert found.sentence == "the probe run stopped at S3 and the executor: the executor rejected it: no such object"


def test_a_slow_hop_is_a_warning():
    late = FAST | {mark: FAST[mark] + timedelta(seconds=3) for mark in (Mark.JUDGED, Mark.SHOWN)}
    (found,) = findings(journey(late))
    assert (found.name, found.level) == ("hop.judge", Level.WARN)
    assert "took 3.0 s" in found.sentence


def test_a_mark_that_is_not_left_behind_takes_no_time():
    marks = {mark: at for mark, at in FAST.items() if mark is not Mark.CLAIMED}
    assert {each.hop: each.took for each in timed(journey(marks))}["fetch"] == timedelta(0)
    assert findings(journey(marks))[0].level is Level.OK


def test_a_run_that_ends_badly_is_no_good_way():
    (found,) = findings(journey(FAST, succeeded=False, said="the process ended by exited with exit code 126"))
    assert (found.name, found.level) == ("probe.result", Level.BAD)
    assert "exit code 126" in found.sentence


def test_clocks_that_disagree_a_little_make_no_negative_times():
    marks = FAST | {Mark.CAPTURED: T0 - 5 * MS}
    assert timed(journey(marks))[0].took == timedelta(0)


def test_postgres_instants_are_counted_by_the_brokers_clock():
    difference = clock_difference(Offset(low=4.9, high=5.1), Offset(low=-1.1, high=-0.9))
    assert difference.total_seconds() == pytest.approx(6)
    assert clock_difference(None, Offset(low=9, high=9)) == timedelta(0)


@pytest.fixture
def trail():
    return Trail(RUN, "p1")


def event(kind, run_id=RUN, **fields):
    made = kind(run_id=run_id, attempt=1, token=1, at=T0, **fields)
    return encode(EventBatch(executor_id=ExecutorId("e.1"), events=(made,)))


def status(state, reason=None, run_id=RUN):
    return encode(
        RunStatus(
            run_id=run_id,
            job_id="tidemill-doctor",
            tenant="default",
            kind=RunKind.REQUESTED,
            nominal_time=T0,
            scheduled_time=T0,
            state=state,
            version=1,
            reason=reason,
        )
    )


def test_each_record_of_the_run_leaves_its_mark_once(trail):
    row = {"request_id": "p1", "owner": "o", "job_id": "o", "created_at": "2026-11-21T03:00:00Z"}
    trail.see("cdc", orjson.dumps({"__table": "requests", **row}), T0)
    trail.see("events", event(Claimed), T0 + MS)
    trail.see("events", event(Claimed), T0 + 2 * MS)
    trail.see("events", event(Started, sha256="x"), T0 + 3 * MS)
    trail.see("events", event(Ended, cause=EndCause.EXITED, exit_code=0, started_at=T0), T0 + 4 * MS)
    trail.see("status", status(RunState.RUNNING), T0 + 4 * MS)
    trail.see("status", status(RunState.SUCCEEDED), T0 + 5 * MS)
    assert trail.marks == {
        Mark.CAPTURED: T0,
        Mark.CLAIMED: T0 + MS,
        Mark.STARTED: T0 + 3 * MS,
        Mark.ENDED: T0 + 4 * MS,
        Mark.JUDGED: T0 + 5 * MS,
    }
    assert (trail.state, trail.said) == (RunState.SUCCEEDED, None)


def test_records_of_others_and_garbage_leave_none(trail):
    trail.see("events", event(Claimed, run_id="other#1"), T0)
    trail.see("status", status(RunState.SUCCEEDED, run_id="other#1"), T0)
    for topic in ("cdc", "events", "status", "runs.10s"):
        trail.see(topic, b"\xff", T0)
    assert trail.marks == {}


def test_what_the_executor_rejects_or_the_owner_refuses_is_remembered(trail):
    trail.see("events", event(Rejected, reason="no such object"), T0)
    trail.see("status", status(RunState.DEAD, "rejected"), T0)
    assert trail.said == "the executor rejected it: no such object"
    other = Trail(RUN, "p1")
    other.see("status", status(RunState.SKIPPED, "the job is paused"), T0)
    assert other.said == "the run is skipped: the job is paused"
