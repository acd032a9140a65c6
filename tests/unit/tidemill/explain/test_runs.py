"""The text of `tidemill explain` about runs, case by case, for rows as in Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from schemas.job import JobSpec
from tidemill.explain.command import as_text
from tidemill.explain.reasons import InTheWay
from tidemill.explain.story import Seen, story
from tidemill.explain.unwritten import node_of, request_of
from tidemill.target import NotFoundError

BERLIN = "Europe/Berlin"
DUE = datetime(2026, 11, 21, 2, tzinfo=UTC)
"""Three in the morning in Berlin."""
NOW = DUE + timedelta(hours=6)
NIGHTLY = JobSpec(job_id="nightly", executable="s3://b/k", schedule="0 3 * * *", timezone=BERLIN)


def after(seconds: float) -> datetime:
    return DUE + timedelta(seconds=seconds)


def changed(**columns) -> JobSpec:
    return msgspec.structs.replace(NIGHTLY, **columns)


def row(state="succeeded", **columns):
    return {
        "run_id": "nightly@2026-11-21T02:00:00Z",
        "job_id": "nightly",
        "dag_id": None,
        "node_id": None,
        "kind": "scheduled",
        "nominal_time": DUE,
        "scheduled_time": DUE,
        "state": state,
        "reason": None,
        "reason_code": None,
        "attempt": 1,
        "timeout_class": "10s",
        "queued_at": DUE,
        "started_at": after(0.05),
        "finished_at": after(2),
        "request_id": None,
        "rerun_id": None,
        "missed_from": None,
        "missed_to": None,
        "missed_count": None,
        "missed_at_least": None,
    } | columns


def attempt(number=1, dispatched=0.01, claimed=None, started=0.05, finished=2.0, ended_as="succeeded", **columns):
    return {
        "attempt": number,
        "timeout_class": "10s",
        "ended_as": ended_as,
        "exit_code": 0,
        "reason": None,
        "reason_code": None,
        "executor_id": "executor-0.x",
        "dispatched_at": after(dispatched),
        "claimed_at": claimed and after(claimed),
        "started_at": started and after(started),
        "finished_at": finished and after(finished),
        "cpu_seconds": None,
        "peak_memory": None,
    } | columns


def change(seconds, state, reason=None, reason_code=None):
    return {"at": after(seconds), "state": state, "attempt": 0, "reason": reason, "reason_code": reason_code}


def seen(run, *attempts, changes=(), **known):
    known = {"spec": NIGHTLY, "now": NOW, "timezone": BERLIN} | known
    return Seen(run=run, attempts=list(attempts), transitions=list(changes), **known)


UNSTARTED = {"started_at": None, "finished_at": None}
NEVER = UNSTARTED | {"attempt": 0, "timeout_class": None}
HELD = {"reason": "waits for the run before it", "reason_code": "overlap_waiting"}
INCAPABLE = {
    "reason": "waits for an executor that can run it: the executor cannot give sandbox strict (it gives basic)",
    "reason_code": "no_capable_executor",
}
LEARNED = {"reason": "3 of the last 3 runs outlived 10s", "reason_code": "class_learned"}
SILENT = {"reason": "its executor was silent for 0:00:30", "reason_code": "lease_expired"}
FAILED_3 = {"reason": "exit code 3", "reason_code": "exit_code"}
DEAD = FAILED_3 | {"reason": "exit code 3; all 2 attempts are used up"}
SKIPPED = {"reason_code": "overlap_skipped"}
MISSED = NEVER | {
    "run_id": "nightly@2026-11-20T02:00:00Z~2026-11-22T02:00:00Z",
    "missed_from": DUE - timedelta(days=1),
    "missed_to": DUE + timedelta(days=1),
    "missed_count": 3,
    "missed_at_least": False,
}
OTHER_WAITS = {"run_id": "nightly@2026-11-20T02:00:00Z", "queued_at": DUE - timedelta(days=1)}
OTHER = {"run_id": "nightly@2026-11-20T02:00:00Z", "state": "running"}

RUNS = {
    "on time": (seen(row(), attempt()), ["ran and succeeded; it started 0.050 s after it was due", "the smallest"]),
    "decided late": (
        seen(row(queued_at=after(90)), attempt(dispatched=90, started=91, finished=92)),
        ["it started 91 s after", "It was decided 90 s late: no stream worker"],
    ),
    "after a pause": (
        seen(row(queued_at=after(90)), attempt(started=91), spec=changed(resumed_at=after(89))),
        ["90 s late: its pause ended then"],
    ),
    "no slot before it was dispatched": (
        seen(row(), attempt(dispatched=700, started=701), changes=[change(0, "queued")]),
        ["dispatched after 11 min in the queue: no executor of the class 10s had a free slot"],
    ),
    "no slot after it was dispatched": (seen(row(), attempt(started=30)), ["it had waited 29.990 s for a slot"]),
    "a slow executable": (
        seen(row(), attempt(claimed=1, started=9)),
        ["waited 8 s for its executable", "fetched its executable"],
    ),
    "held": (
        seen(row(), attempt(dispatched=60, started=61), changes=[change(0, "queued", **HELD), change(60, "queued")]),
        ["It waits for the run before it (overlap_waiting)", "Its wait ended after 60 s"],
    ),
    "learned": (
        seen(row(), attempt(timeout_class="1m"), changes=[change(0, "queued", **LEARNED)]),
        ["started in the class 1m, by the history of the job: 3 of the last 3 runs outlived 10s"],
    ),
    "promoted": (
        seen(
            row(),
            attempt(ended_as="promoted", reason="longer than 10s, goes on in 1m", finished=10),
            attempt(2, dispatched=10, started=10.1, finished=30, timeout_class="1m"),
            spec=changed(timeout_class="10s"),
        ),
        ["10s (its timeout_class)", "Attempt 1 was promoted after 9.950 s: longer than 10s", "Attempt 2 succeeded"],
    ),
    "by its timeout": (seen(row(), attempt(), spec=changed(timeout=timedelta(seconds=5))), ["its timeout of 5 s"]),
    "in the longest": (seen(row(), attempt(), spec=changed(promote=False)), ["must not be stopped for a promotion"]),
    "given up": (
        seen(
            row("dead", **DEAD),
            attempt(ended_as="failed", exit_code=3, **FAILED_3),
            attempt(2, dispatched=3, started=3, finished=4, ended_as="failed", exit_code=3, **FAILED_3),
            changes=[change(0, "queued"), change(2, "retry_wait", **FAILED_3), change(4, "dead", **DEAD)],
        ),
        ["was given up as dead: exit code 3", "waits before its next attempt", "tidemill rerun", "tidemill logs"],
    ),
    "lost": (
        seen(
            row(),
            attempt(ended_as="lost", finished=None, **SILENT),
            attempt(2, started=40, finished=41),
            changes=[change(0, "queued"), change(0.05, "running"), change(33, "queued", **SILENT)],
        ),
        ["2026-11-21 03:00:33 +01:00  Attempt 1 was lost: its executor was silent for 0:00:30."],
    ),
    "timed out": (
        seen(row("timed_out", reason="timed out after 0:00:10", reason_code="timed_out"), attempt()),
        ["ran, and timed out after 0:00:10.", "a longer timeout"],
    ),
    "out of memory": (
        seen(row("failed", reason="exit code 137 (SIGKILL); it needed more", reason_code="out_of_memory"), attempt()),
        ["a greater memory, or an executor with more of it, lets it use more"],
    ),
    "too many processes": (
        seen(row("failed", reason="exit code 1", reason_code="too_many_processes"), attempt()),
        ["To do: a greater pids lets it start more"],
    ),
    "cancelled before it started": (
        seen(row("cancelled", reason="cancelled: a test", reason_code="cancelled_by_request", **UNSTARTED)),
        ["never started, and was cancelled: a test"],
    ),
    "told to stop": (
        seen(row("cancelling", reason="cancelled: x"), changes=[change(1, "cancelling", "cancelled: x")]),
        ["exit is not confirmed yet", "It was requested to stop: cancelled: x"],
    ),
    "running": (seen(row("running"), attempt(ended_as=None, finished=None)), ["is running, since 2026-11-21 03:00"]),
    "waiting for others": (
        seen(row("queued", **HELD, **NEVER), changes=[change(0, "queued", **HELD)], open_runs=[OTHER]),
        [
            "has not started yet: it waits for the run before it",
            "open runs: nightly@2026-11-20T02:00:00Z (running)",
            "To do: tidemill explain",
        ],
    ),
    "waiting for a slot": (
        seen(row("queued", **UNSTARTED), attempt(started=None, ended_as=None, finished=None), now=after(20.01)),
        ["dispatched to the class 10s 20 s ago", "tidemill status"],
    ),
    "waiting for its executable": (
        seen(row("queued", **UNSTARTED), attempt(claimed=1, started=None, ended_as=None, finished=None)),
        ["executor-0.x has claimed it and fetches its executable, since 2026-11-21 03:00:01"],
    ),
    "waiting in the queue": (seen(row("queued", **NEVER), changes=[change(0, "queued")]), ["all slots of the class"]),
    "waiting for an executor that can run it": (
        seen(row("queued", **INCAPABLE, **NEVER), changes=[change(0, "queued"), change(0, "queued", **INCAPABLE)]),
        [
            "has not started yet: it waits for an executor that can run it: the executor cannot give sandbox strict",
            "It could not be dispatched: the executor cannot give sandbox strict (it gives basic).",
            "To do: tidemill status shows what each executor gives; start one that can, or let the job ask for less",
        ],
    ),
    "an executor that can run it came": (
        seen(
            row(),
            attempt(dispatched=60, started=60.1, finished=61, cpu_seconds=0.25, peak_memory=5 << 20),
            changes=[change(0, "queued"), change(0, "queued", **INCAPABLE)],
        ),
        [
            "It was dispatched 60 s later, to an executor that gives what it asks for.",
            "Attempt 1 succeeded after 0.900 s, with 0.250 s of CPU time and 5 MB of memory.",
        ],
    ),
    "not due yet": (seen(row("queued", **NEVER), now=after(-60)), ["its time is 2026-11-21 03:00:00 +01:00, in 60 s"]),
    "retry": (
        seen(row("retry_wait", reason="exit code 3"), attempt(ended_as="failed")),
        ["before its next attempt", "To do: tidemill rerun 'nightly@2026-11-21T02:00:00Z' starts its next attempt now"],
    ),
    "skipped": (
        seen(row("skipped", **SKIPPED, reason="nightly@2026-11-20T02:00:00Z is running", **NEVER)),
        ["did not run: its overlap_policy allows no other run (nightly@2026-11-20T02:00:00Z is running)", "rerun"],
    ),
    "skipped for one that waits, of the job before": (
        seen(
            row("skipped", **SKIPPED, reason="nightly@2026-11-20T02:00:00Z waits for its next attempt", **NEVER),
            in_the_way=InTheWay(run=row("retry_wait", **OTHER_WAITS), deleted_at=after(-60)),
        ),
        [
            "(nightly@2026-11-20T02:00:00Z waits for its next attempt)",
            "2026-11-20 03:00:00 +01:00  nightly@2026-11-20T02:00:00Z, which blocked it, was queued; now it is",
            "it belongs to the nightly that was deleted at 2026-11-21 02:59:00 +01:00.",
            "To do: tidemill rerun 'nightly@2026-11-20T02:00:00Z' starts its next attempt now, and tidemill cancel '",
        ],
    ),
    "skipped late": (
        seen(
            row("skipped", **SKIPPED, reason="x", **NEVER | {"queued_at": None, "finished_at": after(20)}),
            changes=[change(20, "skipped")],
        ),
        ["It was decided that it does not run, 20 s late"],
    ),
    "missed": (
        seen(row("missed", reason_code="start_deadline", reason="not started within 0:00:10 of its time", **NEVER)),
        ["it could not start within its start_deadline", "tidemill rerun"],
    ),
    "one of a range": (
        seen(row("skipped", reason_code="paused", reason="paused: moving house", **MISSED), asked_at=DUE),
        [
            "nightly@2026-11-21T02:00:00Z, one of the 3 occurrences of nightly@2026-11-20T02:00:00Z~",
            "it was paused: moving house",
            "tidemill backfill nightly --from 2026-11-21T02:00:00Z --to 2026-11-21T02:00:01Z",
        ],
    ),
    "a range": (
        seen(row("missed", reason_code="catchup_latest", reason="a later occurrence ran instead", **MISSED)),
        ["stands for 3 occurrences, up to 2026-11-22 03:00", "--from 2026-11-20T02:00:00Z --to 2026-11-22T02:00:01Z"],
    ),
    "stopped by failures": (
        seen(row("skipped", reason_code="paused_on_failure", reason="2 runs in a row ended badly", **NEVER)),
        ["pause_on_failure stopped it", "tidemill job resume nightly"],
    ),
    "run again": (
        seen(
            row(rerun_id="x"),
            attempt(2, started=9000),
            changes=[change(8999, "queued", "run again: a note", "rerun_by_request")],
        ),
        ["ran and succeeded.", "It was run again: a note"],
    ),
    "backfilled": (
        seen(row(kind="backfilled", request_id="b1"), attempt(dispatched=9000, started=9000)),
        ["ran and succeeded.", "the backfill b1 requested it", "live runs go before a backfill"],
    ),
    "waiting for its backfill": (
        seen(row("queued", kind="backfilled", request_id="b1", reason="backfill b1", **NEVER)),
        ["its backfill runs at most max_active_runs at a time", "tidemill backfills --job nightly"],
    ),
    "asked for": (seen(row(kind="requested", request_id="r1"), attempt()), ["requested for this time, by request r1"]),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_run_is_told_by_what_is_written_about_it(case):
    found, said = RUNS[case]
    text = as_text(story(found))
    assert [each for each in said if each not in text] == [], text


def test_programs_read_the_code_and_never_the_sentence():
    told = story(
        seen(row("queued", **HELD, **NEVER), changes=[change(0, "queued", **LEARNED), change(0, "queued", **HELD)])
    )
    assert told.reason_code == "overlap_waiting"
    assert [fact.data["reason_code"] for fact in told.facts if fact.data] == ["overlap_waiting", "class_learned"]
    as_if = row("skipped", reason="overlap: x#y is running", **NEVER)
    assert story(seen(as_if)).sentence.endswith("did not run: overlap: x#y is running.")


def test_the_newest_fact_comes_first_with_its_time_in_the_zone_of_the_job():
    lines = as_text(story(seen(row(), attempt()))).splitlines()
    assert lines[1] == "The newest first, in the time zone Europe/Berlin:"
    assert [each.split("  ")[1] for each in lines[2:]] == [
        "2026-11-21 03:00:02 +01:00",
        "2026-11-21 03:00:00.050 +01:00",
        "2026-11-21 03:00:00 +01:00",
    ]


def node(node_id, state, *depends_on, **columns):
    return {
        "node_id": node_id,
        "depends_on": list(depends_on),
        "trigger_rule": "all_success",
        "run_id": state and f"etl#r/{node_id}",
        "state": state,
        "reason": None,
        "started_at": state and DUE,
        "finished_at": state and after(1),
    } | columns


FAILED = [
    node("a", "failed", reason="exit code 3"),
    node("b", "upstream_failed", "a"),
    node("c", "succeeded"),
    node("d", "upstream_failed", "b", "c"),
]
WAITING = [node("a", "running", finished_at=None), node("b", None, "a"), node("c", None, "b")]
OF_DAG = {"job_id": "etl", "dag_id": "etl", "request_id": "r"}


def test_a_node_that_did_not_run_is_traced_to_those_that_failed():
    reason = "trigger_rule all_success: of its dependencies 1 succeeded, 1 upstream_failed"
    columns = OF_DAG | NEVER | {"run_id": "etl#r/d", "node_id": "d", "kind": "node", "reason": reason}
    text = as_text(story(seen(row("upstream_failed", **columns), nodes=FAILED)))
    assert "The cause: etl#r/a failed: exit code 3." in text
    assert "It depends on b (upstream_failed), c (succeeded); its trigger_rule is all_success." in text
    assert "tidemill explain 'etl#r/a'" in text


def test_a_node_that_was_not_chosen_says_what_was():
    nodes = [node("a", "succeeded", next_nodes=["c"]), node("b", "skipped", "a"), node("c", "succeeded", "a")]
    reason = "trigger_rule all_success: of its dependencies 1 that chose others"
    columns = OF_DAG | NEVER | {"run_id": "etl#r/b", "node_id": "b", "kind": "node", "reason": reason}
    assert "It depends on a (succeeded, and chose c)" in as_text(story(seen(row("skipped", **columns), nodes=nodes)))


def test_a_dag_run_names_the_nodes_that_failed_or_are_open():
    columns = OF_DAG | {"run_id": "etl#r", "kind": "dag", "timeout_class": None}
    text = as_text(story(seen(row("failed", reason="1 of 4 nodes failed: a", **columns), nodes=FAILED)))
    assert "Node a failed: exit code 3." in text
    assert "tidemill explain 'etl#r/a' explains why that node failed" in text
    assert "Open nodes: a (running)." in as_text(story(seen(row("running", **columns), nodes=WAITING)))


def test_a_node_that_is_nothing_yet_says_what_it_waits_for():
    parent = row("running", **OF_DAG | {"run_id": "etl#r", "kind": "dag"})
    assert "it waits for b (waiting)" in node_of(parent, "etl#r/c", WAITING, BERLIN).sentence
    failed = node_of(parent | {"state": "failed"}, "etl#r/c", WAITING, BERLIN)
    assert "only failures of old weeks are kept" in failed.sentence
    assert "its DAG run has not started" in node_of(parent | {"state": "queued"}, "etl#r/c", WAITING, BERLIN).sentence
    with pytest.raises(NotFoundError, match="no node 'x'"):
        node_of(parent, "etl#r/x", WAITING, BERLIN)


def test_a_request_without_a_run_was_refused_or_has_not_been_decided():
    asked = {"created_at": DUE, "run_at": None}
    assert "is not decided yet" in request_of(asked, None, "nightly#r", NOW, BERLIN).sentence
    told = request_of(asked, None, "nightyl#r", after(3), BERLIN, suggestion="; did you mean 'nightly'?")
    assert told.sentence.startswith("nightyl#r was requested 3 s ago, and there is no job or DAG nightyl: if none is")
    assert told.sentence.endswith("the request is refused; did you mean 'nightly'?")
    problem = {"at": NOW, "reason": "request 'r' is refused: job 'nightly' was deleted"}
    told = request_of(asked, problem, "nightly#r", NOW, BERLIN)
    assert (told.answer, [fact.name for fact in told.facts]) == ("refused", ["refused", "asked_for"])
