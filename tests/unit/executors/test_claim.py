"""Which polled records are claimed, and what a failed commit leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from executors.claim import ClaimDecision, Polled, PolledRecords, offsets_after
from schemas.confinement import Capabilities, Confinement, Sandbox
from schemas.dispatch import Dispatch

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
VALID = timedelta(seconds=60)


GIVEN = Capabilities(sandboxes=(Sandbox.BASIC,))


def dispatch(token=1, **more):
    return Dispatch(
        run_id=f"a@{token}", owner="a", job_id="a", attempt=1, token=token, timeout_class="10s", nominal_time=NOW,
        scheduled_time=NOW, executable="s3://b/k", sha256=None, args=(), env={}, payload=None, limit=VALID,
        valid_for=VALID, claim_grace=VALID, lease=VALID, **more,
    )  # fmt: skip


def polled(partition, offset, age=timedelta(0)):
    return Polled(partition=partition, offset=offset, appended_at=NOW - age, dispatch=dispatch(offset), read=0.0)


@pytest.fixture
def records():
    return PolledRecords(GIVEN)


def positions(chosen):
    return [(each.polled.partition, each.polled.offset) for each in chosen]


def test_no_more_is_chosen_than_there_are_free_slots(records):
    for offset in range(5):
        records.add(polled(0, offset))
    assert positions(records.choose(3, NOW)) == [(0, 0), (0, 1), (0, 2)]
    assert records.choose(0, NOW) == []


def test_an_expired_record_needs_no_slot_but_none_is_skipped_over(records):
    records.add(polled(0, 0, age=VALID + timedelta(seconds=1)))
    records.add(polled(0, 1))
    records.add(polled(0, 2, age=VALID + timedelta(seconds=1)))
    chosen = records.choose(0, NOW)
    assert [(each.polled.offset, each.decision) for each in chosen] == [(0, ClaimDecision.EXPIRED)]


def test_a_record_that_asks_for_more_than_this_executor_gives_needs_no_slot(records):
    strict = dispatch(0, confinement=Confinement(sandbox=Sandbox.STRICT))
    records.add(replace(polled(0, 0), dispatch=strict))
    records.add(replace(polled(0, 1), dispatch=dispatch(1, confinement=Confinement(sandbox=Sandbox.BASIC))))
    chosen = records.choose(1, NOW)
    assert [each.decision for each in chosen] == [ClaimDecision.UNMET, ClaimDecision.RUN]
    assert chosen[0].unmet == "the executor cannot give sandbox strict (it gives basic)"


def test_a_record_is_valid_up_to_its_age_limit(records):
    records.add(polled(0, 0, age=VALID))
    assert records.choose(1, NOW)[0].decision is ClaimDecision.RUN


def test_the_committed_offset_is_the_one_after_the_last_record_of_each_partition(records):
    for position in [(0, 4), (1, 9), (0, 5)]:
        records.add(polled(*position))
    assert offsets_after(records.choose(3, NOW)) == {0: 6, 1: 10}


def test_records_of_a_committed_partition_are_claimed_and_removed(records):
    for position in [(0, 4), (1, 9), (0, 5)]:
        records.add(polled(*position))
    claimed = records.settle(records.choose(3, NOW), {0}, sent=5.0)
    assert positions(claimed) == [(0, 4), (0, 5)]
    assert {each.polled.commit_sent for each in claimed} == {5.0}
    assert positions(records.choose(3, NOW)) == [(1, 9)]


def test_a_failed_commit_claims_nothing_and_keeps_the_order(records):
    for offset in range(4):
        records.add(polled(0, offset))
    assert records.settle(records.choose(2, NOW), set(), sent=5.0) == []
    assert positions(records.choose(4, NOW)) == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_a_claim_counts_from_the_first_commit_that_may_have_succeeded(records):
    records.add(polled(0, 0))
    records.settle(records.choose(1, NOW), set(), sent=5.0)
    claimed = records.settle(records.choose(1, NOW), {0}, sent=9.0)
    assert claimed[0].polled.commit_sent == 5.0


def test_records_of_a_revoked_partition_are_dropped(records):
    for position in [(0, 4), (1, 9)]:
        records.add(polled(*position))
    records.keep_only({1})
    assert positions(records.choose(2, NOW)) == [(1, 9)]


def test_an_unreadable_record_is_skipped_without_a_slot(records):
    records.add(Polled(partition=0, offset=0, appended_at=NOW, dispatch=None, read=0.0))
    assert records.choose(0, NOW)[0].decision is ClaimDecision.UNREADABLE


def test_a_record_that_is_polled_again_is_not_added(records):
    assert [records.add(polled(0, offset)) for offset in (1, 2, 1, 2, 3)] == [True, True, False, False, True]
    assert records.add(polled(1, 1))
    assert positions(records.choose(9, NOW)) == [(0, 1), (0, 2), (0, 3), (1, 1)]


def test_after_a_revocation_a_record_may_be_polled_again(records):
    assert records.add(polled(0, 1))
    records.keep_only({1})
    assert records.add(polled(0, 1))


def test_records_below_the_committed_offsets_are_found_and_dropped(records):
    for partition, offset in ((0, 1), (0, 2), (1, 1)):
        records.add(polled(partition, offset))
    found = records.below({0: 2})
    assert [(each.partition, each.offset) for each in found] == [(0, 1)]
    records.drop(found)
    assert positions(records.choose(9, NOW)) == [(0, 2), (1, 1)]
