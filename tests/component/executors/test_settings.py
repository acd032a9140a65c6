"""Settings of an executor: slots, limits, grace periods, logs."""

from __future__ import annotations

from datetime import timedelta

from schemas.event import EndCause, Expired, Rejected


def test_an_unreachable_s3_is_rejected_when_the_fetch_limit_is_over(owner, executors, objects):
    executors.start(s3_endpoint="http://127.0.0.1:9", fetch_timeout="PT1S")
    for sha256 in (None, "0" * 64):
        rejected = owner.run(("s3://tidemill/bin/x", sha256))
        assert isinstance(rejected, Rejected)
        assert "S3 is unreachable for s3://tidemill/bin/x" in rejected.reason


def test_a_process_that_ignores_term_is_killed_after_the_grace(owner, executors, objects):
    executors.start(term_grace="PT0.5S")
    stubborn = objects.script("trap '' TERM; echo on; while :; do sleep 0.05; done")
    ended = owner.run(stubborn, limit=timedelta(seconds=1))
    assert (ended.cause, ended.exit_code) == (EndCause.LIMIT, 137)
    assert ended.at - ended.started_at >= timedelta(seconds=1.5)


def test_a_log_beyond_its_limit_keeps_head_and_tail_in_s3(owner, executors, objects):
    executors.start(log_max_bytes=100_000)
    ended = owner.run(objects.script("seq 1 100000"))
    kept = objects.read(ended.log_uri)
    assert len(kept) <= 100_000
    assert kept.startswith(b"1\n2\n")
    assert kept.endswith(b"99999\n100000\n")
    assert f"of {ended.output_bytes} bytes left out".encode() in kept


def test_a_log_can_be_followed_in_s3_while_the_process_runs(owner, executors, objects, until, marks):
    executors.start(log_interval="PT0.2S")
    mark = marks()
    order = owner.order(objects.script(f"seq 1 5000; sleep 60.{mark}"), limit=timedelta(seconds=60))
    owner.dispatch(order)
    prefix = f"s3://tidemill/logs/{order.run_id.replace('@', '%40').replace(':', '%3A')}/1/"
    until(lambda: objects.read(prefix).endswith(b"4999\n5000\n"))


def test_an_s3_that_refuses_the_log_does_not_delay_the_end(owner, executors, objects):
    executors.start(log_max_bytes=100_000, s3_bucket="no-such-bucket")
    ended = owner.run(objects.script("seq 1 5000"))
    assert (ended.exit_code, ended.log_uri) == (0, None)


def test_an_old_dispatch_is_reported_expired_and_not_run(owner, executors, objects, alive):
    order = owner.order(objects.script("echo never"), valid_for=timedelta(milliseconds=1))
    owner.dispatch(order)
    executors.start()
    assert isinstance(owner.end_of(order), Expired)
    assert len(owner.of(order)) == 1


def test_under_load_a_record_carries_many_events(owner, executors, objects):
    executors.start(slots="10s=64")
    hello = objects.script("true")
    owner.run(hello)
    orders = [owner.order(hello) for _ in range(100)]
    owner.dispatch(*orders, partition=0)
    for order in orders:
        owner.end_of(order)
    assert max(len(each.events) for each in owner.batches) > 5


def test_no_more_runs_at_once_than_slots(owner, executors, objects, until):
    executors.start(slots="10s=2")
    slow = objects.script("sleep 0.3")
    orders = [owner.order(slow) for _ in range(6)]
    owner.dispatch(*orders, partition=1)
    ends = [owner.end_of(order) for order in orders]
    moments = [(each.started_at, 1) for each in ends] + [(each.at, -1) for each in ends]
    running, most = 0, 0
    for _, change in sorted(moments):
        running += change
        most = max(most, running)
    assert most == 2
