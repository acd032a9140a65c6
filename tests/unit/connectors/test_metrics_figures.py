"""What each metric of runs counts, and what it leaves out."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import orjson
import pytest

from connectors.metrics.exposition import Exposition, start_series
from connectors.metrics.fold import MAX_SUCCESSES, Fold, Options, Partition, fold, skip_batch
from connectors.metrics.names import SavedNames
from connectors.metrics.snapshot import (
    FolderInUseError,
    load_names,
    load_snapshot,
    locked,
    names_of,
    restore,
    save,
    snapshot_of,
)
from observe.catalogue import status as catalogue
from observe.metric import Metric
from schemas.codec import encode
from schemas.ids import PROBE_JOBS, RunId
from schemas.reasons import ReasonCode
from schemas.status import Attempt, Missed, RunStatus, Transition
from schemas.topics import STATUS
from schemas.words import AttemptEnd, RunKind, RunState
from tests.support.simulated.dag_scenario import node, request_for_run, requested_dag
from tests.support.simulated.log import Log, ended

DUE = datetime(2026, 11, 30, 12, tzinfo=UTC)
OPTIONS = Options(classes=("10s", "1m"), tenants=2, jobs=2)
Q, R, S = RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED


def at(seconds: float) -> datetime:
    return DUE + timedelta(seconds=seconds)


def new_fold(options: Options = OPTIONS, counts_from: int = 0) -> Fold:
    state = Fold(options)
    state.partitions[0] = Partition(next_offset=0, counts_from=counts_from)
    return state


def attempt(number: int = 1, **fields: object) -> Attempt:
    return Attempt(
        **{"attempt": number, "token": number, "timeout_class": "10s", "dispatched_at": DUE, "started_at": at(2)}
        | fields
    )


def run(*states: RunState | tuple[RunState, int, ReasonCode | None], **fields: object) -> RunStatus:
    """A run with a transition for each state (or state, attempt and reason code), one second apart."""
    steps = [each if isinstance(each, tuple) else (each, 0 if each is Q else 1, None) for each in states]
    transitions = tuple(
        Transition(version=n, at=at(n), state=state, attempt=number, reason_code=code)
        for n, (state, number, code) in enumerate(steps)
    )
    more = {
        "run_id": RunId("job@x"),
        "job_id": "job",
        "tenant": "t",
        "kind": RunKind.SCHEDULED,
        "nominal_time": DUE,
        "scheduled_time": DUE,
        "timeout_class": "10s",
    }
    last = transitions[-1]
    return RunStatus(**more | {"state": last.state, "version": last.version, "transitions": transitions} | fields)


def folded(*runs: RunStatus, options: Options = OPTIONS) -> Fold:
    state = new_fold(options)
    for offset, each in enumerate(runs):
        fold(state, 0, offset, each.run_id.encode(), encode(each))
    return state


def lengths(state: Fold, metric: Metric) -> dict[tuple[str, ...], tuple[int, float]]:
    """(number, seconds in total) by labels."""
    return {
        labels: (sum(each.counts), each.total_ms / 1000) for labels, each in state.figures.times[metric.name].items()
    }


def counts(state: Fold, metric: Metric) -> dict[tuple[str, ...], int]:
    return {labels: count for labels, count in state.figures.counts[metric.name].items() if count}


def test_lateness_counts_from_the_time_with_jitter_to_the_first_process() -> None:
    jittered = run(Q, R, nominal_time=at(-60), attempts=(attempt(started_at=at(2)),))
    assert lengths(folded(jittered), catalogue.LATENESS) == {("scheduled", "10s"): (1, 2.0)}


def test_lateness_of_a_requested_run_counts_from_the_time_that_was_asked_for() -> None:
    asked = run(Q, R, kind=RunKind.REQUESTED, scheduled_time=at(1), attempts=(attempt(),))
    assert lengths(folded(asked), catalogue.LATENESS) == {("requested", "10s"): (1, 1.0)}


@pytest.mark.parametrize(
    "left_out",
    [
        {"kind": RunKind.BACKFILLED},
        {"kind": RunKind.NODE},
        {"rerun_id": "again"},
        {"transitions": run((Q, 0, ReasonCode.OVERLAP_WAITING), Q, R).transitions},
    ],
)
def test_backfills_nodes_reruns_and_runs_that_waited_for_others_do_not_spoil_the_objective(left_out) -> None:
    late = run(Q, R, **{"attempts": (attempt(started_at=at(9_999)),)} | left_out)
    assert lengths(folded(late), catalogue.LATENESS) == {}


@pytest.mark.parametrize("job", sorted(PROBE_JOBS))
@pytest.mark.parametrize("counts_from", [0, 9])
def test_runs_that_only_test_the_way_are_left_out(job, counts_from) -> None:
    state = new_fold(counts_from=counts_from)
    probe = run(Q, R, job_id=job, attempts=(attempt(),))
    fold(state, 0, 0, b"", encode(probe))
    assert counts(state, catalogue.RUNS) == counts(state, catalogue.OPEN_RUNS) == {}
    assert lengths(state, catalogue.LATENESS) == {}


def test_only_the_first_process_of_a_run_can_be_late() -> None:
    lost = attempt(end=AttemptEnd.LOST, reason_code=ReasonCode.LEASE_EXPIRED)
    once = run(Q, R, (Q, 1, ReasonCode.LEASE_EXPIRED), attempts=(lost,))
    again = run(Q, R, (Q, 1, ReasonCode.LEASE_EXPIRED), (R, 2, None), attempts=(lost, attempt(2, started_at=at(50))))
    assert lengths(folded(once, again), catalogue.LATENESS) == {("scheduled", "10s"): (1, 2.0)}
    assert lengths(folded(again), catalogue.LATENESS) == {("scheduled", "10s"): (1, 2.0)}


def test_a_scheduled_dag_run_is_late_until_it_opens_and_a_requested_one_never() -> None:
    opened = run(Q, R, kind=RunKind.DAG, timeout_class=None, started_at=at(1))
    assert lengths(folded(opened), catalogue.LATENESS) == {("dag", "none"): (1, 1.0)}
    asked = msgspec.structs.replace(opened, request_id="r")
    assert lengths(folded(asked), catalogue.LATENESS) == {}


def test_clocks_that_differ_give_no_negative_time() -> None:
    early = run(Q, R, attempts=(attempt(started_at=at(-3)),))
    assert lengths(folded(early), catalogue.LATENESS) == {("scheduled", "10s"): (1, 0.0)}


def test_a_dispatch_that_expired_does_not_begin_a_new_wait() -> None:
    expired = attempt(started_at=None, end=AttemptEnd.EXPIRED, reason_code=ReasonCode.EXPIRED)
    waited = run(Q, (Q, 1, ReasonCode.EXPIRED), (R, 2, None), attempts=(expired, attempt(2, started_at=at(90))))
    state = folded(waited)
    assert lengths(state, catalogue.QUEUE_SECONDS) == {("scheduled", "10s"): (1, 90.0)}
    assert counts(state, catalogue.RETRIES) == {}, "nothing ran before"


def test_a_run_that_is_queued_before_it_is_due_waits_from_then_on() -> None:
    early = run(Q, R, scheduled_time=at(10), attempts=(attempt(started_at=at(11)),))
    assert lengths(folded(early), catalogue.QUEUE_SECONDS) == {("scheduled", "10s"): (1, 1.0)}


def test_promotions_are_ends_of_attempts_and_no_retries_and_a_transition_has_the_class_of_its_attempt() -> None:
    promoted = attempt(end=AttemptEnd.PROMOTED, reason_code=ReasonCode.PROMOTED, finished_at=at(12))
    second = attempt(2, timeout_class="1m", started_at=at(13))
    state = folded(
        run(Q, R, (Q, 1, ReasonCode.PROMOTED), (R, 2, None), timeout_class="1m", attempts=(promoted, second))
    )
    assert counts(state, catalogue.ATTEMPTS) == {("promoted", "10s"): 1}
    assert counts(state, catalogue.RETRIES) == {}
    assert counts(state, catalogue.RUNS) == {
        ("queued", "scheduled", "10s"): 1,
        ("running", "scheduled", "10s"): 1,
        ("queued", "scheduled", "1m"): 1,
        ("running", "scheduled", "1m"): 1,
    }
    assert lengths(state, catalogue.ATTEMPT_SECONDS) == {("10s",): (1, 10.0)}


def test_a_missed_range_counts_each_occurrence_and_a_dry_run_of_a_backfill_none() -> None:
    missed = Missed(first=DUE, last=DUE, count=40, at_least=False)
    ranged = run((RunState.MISSED, 0, ReasonCode.CATCHUP_WINDOW), missed=missed)
    dry = run((RunState.SKIPPED, 0, ReasonCode.DRY_RUN), kind=RunKind.BACKFILL, run_id=RunId("job#b"))
    assert counts(folded(ranged, dry), catalogue.NOT_RUN) == {("missed", "catchup_window"): 40}


def test_the_families_by_job_and_tenant_count_dag_runs_and_not_their_nodes() -> None:
    dag = run(Q, R, S, kind=RunKind.DAG, job_id="dag", started_at=at(1), finished_at=at(2))
    of_it = run(Q, R, S, kind=RunKind.NODE, job_id="dag", run_id=RunId("dag@x/a"))
    state = folded(of_it, dag)
    assert counts(state, catalogue.JOB_RUNS) == {("dag", "succeeded"): 1}
    assert counts(state, catalogue.TENANT_RUNS) == {("t", "succeeded"): 1}
    assert lengths(state, catalogue.DAG_RUN_SECONDS) == {(): (1, 1.0)}


def test_the_first_jobs_and_tenants_have_series_and_the_others_share_one() -> None:
    ends = [run(S, run_id=RunId(f"{n}@x"), job_id=f"job-{n}", tenant=f"tenant-{n}") for n in range(5)]
    state = folded(*ends)
    assert counts(state, catalogue.JOB_RUNS) == {
        ("job-0", "succeeded"): 1, ("job-1", "succeeded"): 1, ("other", "succeeded"): 3,
    }  # fmt: skip
    assert names_of(state) == SavedNames(tenants=("tenant-0", "tenant-1"), jobs=("job-0", "job-1"))
    assert catalogue.JOB_RUNS not in folded(*ends, options=Options(classes=(), jobs=0)).figures.metrics


def test_a_class_that_is_not_configured_is_other() -> None:
    assert counts(folded(run(Q, timeout_class="9h")), catalogue.OPEN_RUNS) == {("queued", "scheduled", "other"): 1}


def test_the_last_success_is_kept_for_a_bounded_number_of_jobs_and_only_if_asked_for() -> None:
    ends = [
        run(S, run_id=RunId(f"{n}@x"), job_id=f"job-{n}", finished_at=at(n)) for n in (*range(MAX_SUCCESSES + 1), 7, 0)
    ]
    again = run(S, version=9, run_id=RunId("job-0@y"), job_id="job-0", finished_at=at(9_000))
    found = folded(*ends, again, options=Options(classes=(), successes=True)).successes
    assert len(found) == MAX_SUCCESSES
    assert (found["job-0"], found["job-7"]) == (at(9_000), at(7))
    assert folded(*ends).successes == {}


@pytest.mark.parametrize(
    "value",
    [
        b"not json",
        b"{}",
        encode(run(Q)).replace(b'"queued"', b'"of a later release"'),
        encode(run(Q)).replace(b"2026-11-30T12:00:00.000Z", b"2026-11-30T12:00:00"),
        encode(run(Q)).replace(b'"version":0', b'"version":1e30'),
    ],
)
def test_a_record_that_cannot_be_decoded_is_skipped_and_counted(value) -> None:
    state = new_fold()
    fold(state, 0, 0, b"x", value)
    fold(state, 0, 1, b"x", encode(run(Q)))
    skip_batch(state, 0, 9)
    assert counts(state, catalogue.UNREADABLE) == {("record",): 1, ("batch",): 1}
    assert counts(state, catalogue.OPEN_RUNS) == {("queued", "scheduled", "10s"): 1}
    assert state.partitions[0].next_offset == 10


def test_a_tombstone_ends_an_open_run() -> None:
    state = folded(run(Q))
    fold(state, 0, 1, b"job@x", None)
    assert counts(state, catalogue.OPEN_RUNS) == {}
    assert state.partitions[0].runs == {}


def test_every_series_with_known_labels_starts_at_0() -> None:
    state = new_fold()
    start_series(state)
    assert state.figures.counts[catalogue.RUNS.name]["dead", "node", "1m"] == 0
    assert state.figures.counts[catalogue.JOB_OPEN.name]["other", "queued"] == 0
    assert {labels[:1] for labels in state.figures.times[catalogue.LATENESS.name] if "none" in labels} == {("dag",)}


def test_counters_are_hidden_until_they_are_complete_and_the_lag_is_shown() -> None:
    exposition = Exposition(folded(run(Q, R)))
    assert [each.name for each in exposition.collect()] == [catalogue.READ_LAG.name]
    exposition.is_complete = True
    assert len(list(exposition.collect())) == 1 + len(catalogue.FOLDED)


def test_a_snapshot_keeps_what_the_fold_knows(tmp_path) -> None:
    state = folded(run(Q, R, attempts=(attempt(),)))
    save(tmp_path, snapshot_of(state, "id"))
    save(tmp_path, names_of(state))
    again = Fold(OPTIONS, load_names(tmp_path))
    restore(again, load_snapshot(tmp_path), "id")
    assert again.figures.counts == state.figures.counts
    assert again.figures.times == state.figures.times
    assert again.partitions == state.partitions


def test_a_lower_limit_drops_series_and_other_does_not_jump() -> None:
    state = folded(*(run(S, run_id=RunId(f"{n}@x"), job_id=f"job-{n}") for n in range(3)))
    fewer = Fold(Options(classes=(), jobs=1), names_of(state))
    restore(fewer, snapshot_of(state, "id"), "id")
    assert counts(fewer, catalogue.JOB_RUNS) == {("job-0", "succeeded"): 1, ("other", "succeeded"): 1}


def test_a_histogram_with_other_buckets_starts_at_0() -> None:
    state = folded(run(Q, R, attempts=(attempt(),)))
    (times,) = state.figures.times[catalogue.LATENESS.name].values()
    times.counts.pop()
    again = Fold(OPTIONS)
    restore(again, snapshot_of(state, "id"), "id")
    assert lengths(again, catalogue.LATENESS) == {}
    assert lengths(again, catalogue.QUEUE_SECONDS) == lengths(state, catalogue.QUEUE_SECONDS)


@pytest.mark.parametrize("content", [b"", b"\xc1", orjson.dumps({}), msgspec.msgpack.encode({"format": 0})])
def test_a_snapshot_that_cannot_be_read_counts_as_none(tmp_path, content) -> None:
    (tmp_path / "metrics.snapshot").write_bytes(content)
    assert load_snapshot(tmp_path) is None


def test_a_snapshot_of_another_topic_keeps_the_figures_and_forgets_the_runs() -> None:
    state = folded(run(Q, R))
    again = Fold(OPTIONS)
    restore(again, snapshot_of(state, "id"), "another")
    assert counts(again, catalogue.RUNS) == counts(state, catalogue.RUNS)
    assert counts(again, catalogue.OPEN_RUNS) == {}
    assert again.partitions == {}


def test_one_process_at_a_time_uses_a_folder(tmp_path) -> None:
    refused = pytest.raises(FolderInUseError, match="TIDEMILL_METRICS_STATE")
    with locked(tmp_path), refused, locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_job_keeps_its_series_if_partitions_are_read_in_another_order_after_a_crash() -> None:
    first, second = (run(S, run_id=RunId(f"{name}@x"), job_id=name) for name in ("a", "b"))
    options = Options(classes=(), jobs=1)
    saved = snapshot_of(new_fold(options), "id")
    before = folded(first, second, options=options)
    after = Fold(options, names_of(before))
    restore(after, saved, "id")
    for offset, each in enumerate((second, first)):
        fold(after, 0, offset, b"x", encode(each))
    assert counts(after, catalogue.JOB_RUNS) == counts(before, catalogue.JOB_RUNS)


def test_what_real_owners_write_is_counted_once() -> None:
    """A node fails and is marked in one transaction; others run again after the end of their DAG run."""
    flow = requested_dag(node("a"), node("b", "a"), node("c"), codes={"a": 1})
    flow.run(holding=("a", "c"))
    of_a, of_c = sorted(flow.log.dispatches(), key=lambda each: each.run_id)
    named = {"nominal_time": flow.log.statuses()["dag#r"].nominal_time.isoformat(), "job_id": None, "dag_id": "dag"}
    flow.owner.offer(flow.log.report(ended(of_a, flow.log.now, 1)))
    flow.owner.offer(flow.log.request_by_topic("m", kind="mark", run_id="dag#r/a", mark_as="succeeded", **named))
    flow.turn(1)
    flow.owner.offer(flow.log.report(ended(of_c, flow.log.now, 1)))
    flow.run()
    flow.codes.clear()
    flow.owner.offer(request_for_run(flow.log, "again", "rerun", "dag#r/c"))
    flow.run()
    assert flow.states() == dict.fromkeys(["dag#r", "dag#r/a", "dag#r/b", "dag#r/c"], "succeeded")
    assert written(flow.log) == shown(flow.log)


def written(log: Log) -> Counter[str]:
    """The states of all transitions; a transition has its run and its version."""
    found = {(run.run_id, each.version): each.state.value for run in log.history() for each in run.transitions}
    return Counter(found.values())


def shown(log: Log) -> Counter[str]:
    state = new_fold()
    for offset, record in enumerate(each for each in log.written if each.topic == STATUS):
        fold(state, 0, offset, record.key.encode(), record.value)
    found: Counter[str] = Counter()
    for (name, _, _), count in counts(state, catalogue.RUNS).items():
        found[name] += count
    return found
