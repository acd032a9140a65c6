"""Edits, pauses and deletions take effect at once and decide no occurrence twice; requests wait for definitions."""

from __future__ import annotations

from datetime import timedelta

from schemas.topics import DEADLETTER
from schemas.words import RunState
from streams.owner.owner import Owner
from tests.support.simulated.log import START, Log, ended, started

EVERY_10S = {"schedule": "@every 10s", "overlap_policy": "allow_all", "misfire_grace": timedelta(hours=2)}


def running(log: Log, **fields: object) -> Owner:
    log.define(**{**EVERY_10S, **fields})
    owner = log.recover()
    log.turn(owner)
    return owner


def seconds_run(log: Log) -> list[int]:
    """Nominal times of the dispatched runs, in seconds since the start."""
    return sorted(int((dispatch.nominal_time - START).total_seconds()) for dispatch in all_runs(log))


def all_runs(log: Log) -> list:
    return [status for status in log.statuses().values() if status.state not in (RunState.MISSED, RunState.SKIPPED)]


def problems(log: Log) -> list[str]:
    return [dict(r.headers)["reason"].decode() for r in log.written if r.topic == DEADLETTER]


def test_an_edit_counts_from_the_moment_it_was_written() -> None:
    log = Log()
    owner = running(log)
    log.turn(owner, 25)
    owner.offer(log.define(version=2, **{**EVERY_10S, "schedule": "@every 7s"}))
    log.turn(owner, 0.1)
    log.turn(owner, 10)
    assert seconds_run(log) == [10, 20, 28, 35]


def test_an_edit_without_a_new_schedule_keeps_the_phase() -> None:
    log = Log()
    owner = running(log)
    log.turn(owner, 15)
    owner.offer(log.define(version=2, **{**EVERY_10S, "args": ("x",)}))
    log.turn(owner, 0.1)
    log.turn(owner, 15)
    assert seconds_run(log) == [10, 20, 30]


def test_occurrences_before_a_late_change_follow_the_old_definition() -> None:
    log = Log()
    owner = running(log)
    log.turn(owner, 5)
    log.now += timedelta(seconds=20)
    log.define(version=2, **{**EVERY_10S, "paused": True, "paused_note": "holidays"})
    log.now += timedelta(hours=1)
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 60)
    assert seconds_run(log) == [10, 20]


def test_occurrences_skipped_by_a_pause_are_one_record_with_the_reason() -> None:
    log = Log()
    owner = running(log, paused=True, paused_note="holidays")
    log.turn(owner, 95)
    owner.offer(log.define(version=2, **EVERY_10S))
    log.turn(owner, 0.1)
    log.turn(owner, 5)
    (record,) = [status for status in log.statuses().values() if status.state is RunState.SKIPPED]
    assert (record.missed.count, record.reason) == (9, "paused: holidays")
    assert record.run_id == "job@2026-03-01T12:00:10Z~2026-03-01T12:01:30Z"
    assert seconds_run(log) == [100]


def test_a_deleted_job_is_not_due_any_more_and_its_open_run_finishes() -> None:
    log = Log()
    owner = running(log)
    log.turn(owner, 10)
    owner.offer(log.define(version=2, deleted=True))
    log.turn(owner, 0.1)
    log.turn(owner, 60)
    assert seconds_run(log) == [10]
    assert [dispatch.executable for dispatch in log.dispatches()] == ["s3://tidemill/x"]


def test_an_older_version_changes_nothing() -> None:
    log = Log()
    owner = running(log, version=5)
    owner.offer(log.define(version=4, deleted=True))
    log.turn(owner, 10)
    assert seconds_run(log) == [10]


def test_a_job_that_is_deleted_and_recreated_decides_no_occurrence_twice() -> None:
    log = Log()
    owner = running(log)
    log.turn(owner, 4)
    late_delete, late_create = log.define(version=2, deleted=True), log.define(version=3, **EVERY_10S)
    log.turn(owner, 6.5)
    owner.offer(late_delete)
    owner.offer(late_create)
    log.turn(owner, 0.1)
    log.turn(owner, 10)
    assert seconds_run(log) == [10, 20]


def test_a_new_job_counts_from_its_writing_even_below_the_watermark() -> None:
    log = Log()
    owner = log.recover()
    log.turn(owner, 9.9)
    late = log.define(**EVERY_10S)
    log.turn(owner, 0.2)
    owner.offer(late)
    log.turn(owner, 0.1)
    assert seconds_run(log) == [10]


def test_a_request_for_an_undefined_job_is_refused_with_the_reason() -> None:
    log = Log()
    log.request("r1")
    owner = log.recover()
    log.turn(owner)
    log.turn(owner, 59)
    assert problems(log) == []
    log.turn(owner, 2)
    assert problems(log) == ["request 'r1' is refused: job 'job' does not exist, and none was defined within 0:01:00"]


def test_a_request_for_a_deleted_job_is_refused_with_the_reason() -> None:
    log = Log()
    log.define()
    log.define(version=2, deleted=True)
    log.request("r1")
    log.turn(log.recover())
    assert problems(log) == ["request 'r1' is refused: job 'job' was deleted"]


def test_a_request_for_later_waits_and_blocks_no_occurrence() -> None:
    log = Log()
    owner = running(log, overlap_policy="skip")
    owner.offer(log.request("later", run_at=(START + timedelta(seconds=35)).isoformat()))
    log.turn(owner, 12)
    assert [dispatch.run_id for dispatch in log.dispatches()] == ["job@2026-03-01T12:00:10Z"]
    log.turn(owner, 23)
    assert "job#later" in [dispatch.run_id for dispatch in log.dispatches()]


def test_an_old_copy_of_a_request_is_refused_and_its_id_is_forgotten() -> None:
    log = Log()
    log.define()
    owner = log.recover()
    old = log.request("old")
    owner.offer(old)
    log.turn(owner)
    (dispatch,) = log.dispatches()
    owner.offer(log.report(started(dispatch, log.now), ended(dispatch, log.now)))
    log.turn(owner)
    log.now += timedelta(days=8)
    owner.offer(log.request("new"))
    log.turn(owner)
    stored = log.stored()
    assert "req/old" not in stored
    owner.offer(log.append_copy(old))
    log.turn(owner)
    assert "older than the request TTL" in problems(log)[-1]


def test_malformed_and_misplaced_records_are_problems_and_the_rest_continues() -> None:
    log = Log()
    owner = running(log)
    owner.offer(log.append_cdc(b"{not json"))
    owner.offer(log.append_cdc(b'{"__table": "elsewhere"}'))
    log.turn(owner, 10)
    assert seconds_run(log) == [10]
    assert [reason.split(" ", 2)[1] for reason in problems(log)] == ["cdc@1", "cdc@2"]


def test_an_unknown_timeout_class_is_a_problem_and_counts_as_unset() -> None:
    log = Log()
    owner = running(log, timeout_class="24h")
    log.turn(owner, 10)
    assert log.dispatches()[0].timeout_class == "10s"
    assert "timeout_class '24h' is not configured; allowed are 10s, 1m, 1h" in problems(log)[0]


def test_a_job_whose_tick_raises_is_quarantined_and_the_others_continue(monkeypatch) -> None:
    log = Log()
    owner = running(log)
    monkeypatch.setattr("streams.core.tick.create_run", lambda *_: 1 / 0)
    log.turn(owner, 10)
    assert "job 'job' is quarantined until its definition changes: ZeroDivisionError" in problems(log)[0]
    monkeypatch.undo()
    owner.offer(log.define(version=2, **EVERY_10S))
    log.turn(owner, 1)
    log.turn(owner, 10)
    assert seconds_run(log) == [20]
