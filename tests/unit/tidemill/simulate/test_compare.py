"""Two definitions are played over the same time with the same draws, and the report says what it rests on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from schemas.dag import DagSpec, NodeSpec
from schemas.ids import OwnerId
from schemas.job import Definition, JobSpec
from schemas.words import DefinitionKind
from streams.core.settings import CoreSettings
from tidemill.simulate.compare import Play, compare
from tidemill.simulate.durations import Durations
from tidemill.simulate.forecast import Ending

BEGIN = datetime(2026, 12, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NODES = (("a", ()), ("b", ("a",)), ("c", ("b",)))


def job(**fields):
    spec = JobSpec(job_id="job", executable="s3://tidemill/x", **fields)
    return Definition(owner=OwnerId("job"), version=1, valid_from=BEGIN, deleted=False, spec=spec)


def play(old, new=None, recorded=(), **fields):
    values = {
        "name": "job",
        "values": {},
        "old": old,
        "new": new,
        "begin": BEGIN,
        "end": BEGIN + HOUR,
        "durations": Durations(recorded={None: list(recorded)} if recorded else {}),
        "seed": 0,
        "settings": CoreSettings(),
    }
    return Play(**(values | fields))


@pytest.mark.parametrize("busy", ["old", "new"])
def test_both_sides_end_where_the_slower_one_had_to_stop(busy):
    rare, often = job(schedule="*/5 * * * *"), job(schedule="* * * * * *")
    sides = (often, rare) if busy == "old" else (rare, often)
    found = compare(play(*sides, most_steps=1_000))
    assert found.until < BEGIN + HOUR / 2
    of_rare = found.new if busy == "old" else found.old
    assert of_rare.occurrences == -(-(found.until - BEGIN) // timedelta(minutes=5))


def test_an_occurrence_of_both_draws_the_same_process():
    recorded = [Ending(takes=timedelta(seconds=each)) for each in range(1, 10)]
    found = compare(play(job(schedule="*/2 * * * *"), job(schedule="*/2 * * * *", cpu=1.0), recorded))
    assert found.old == found.new
    assert (found.difference.come, found.difference.gone, found.difference.changed) == ([], [], [])


def test_another_seed_draws_others():
    recorded = [Ending(takes=timedelta(seconds=each)) for each in range(1, 10)]
    first = play(job(schedule="* * * * *"), recorded=recorded)
    assert compare(first) == compare(first)
    assert compare(first).old.busy_seconds != compare(msgspec.structs.replace(first, seed=1)).old.busy_seconds


def test_a_recorded_failure_is_retried_as_the_job_says():
    half = [Ending(takes=timedelta(seconds=1)), Ending(takes=timedelta(seconds=1), exit_code=1)]
    found = compare(play(job(schedule="* * * * *"), job(schedule="* * * * *", max_attempts=20), half))
    assert found.old.ends["failed"] > 10
    assert set(found.new.ends) == {"succeeded"}


def test_each_node_of_a_dag_goes_as_its_own_attempts():
    nodes = tuple(NodeSpec(node_id=each, executable="s3://tidemill/x", depends_on=needed) for each, needed in NODES)
    spec = DagSpec(dag_id="job", schedule="*/10 * * * *", nodes=nodes)
    dag = msgspec.structs.replace(job(), spec=spec, kind=DefinitionKind.DAG)
    takes = {"a": [Ending(takes=timedelta(seconds=2))], "b": [Ending(takes=timedelta(seconds=5), exit_code=1)]}
    found = compare(play(dag, durations=Durations(recorded=takes)))
    assert found.old.ends == {"failed": 6}
    assert found.old.busy_seconds == 6 * (2 + 5)
    assert "nodes write no results" in " ".join(found.notes)


def test_a_recorded_timeout_times_out_again():
    found = compare(
        play(job(schedule="* * * * *", promote=False, timeout=timedelta(seconds=5)), None, [Ending(takes=None)])
    )
    assert set(found.old.ends) == {"timed_out"}


def test_the_share_that_is_done_only_grows():
    shares: list[float] = []
    compare(play(job(schedule="* * * * *"), job(schedule="*/2 * * * *")), shares.append)
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] > 0.9


def test_the_notes_say_what_the_figures_rest_on():
    notes = " ".join(compare(play(job(schedule="* * * * *", paused=True, max_runs=3))).notes)
    assert "no run is open at the start" in notes
    assert "max_runs counts from the start" in notes
    assert "--set paused=false" in notes
