"""When a process must be stopped: arithmetic of limits, leases and grace periods."""

from __future__ import annotations

import pytest

from executors.deadlines import (
    CANCELLED,
    EXITED,
    FOREVER,
    KILL,
    LEASE,
    LIMIT,
    STOPPED,
    TERM,
    ProcessTerms,
    Standing,
    enforce,
    may_start,
    next_moment,
    terminate,
)
from schemas.event import EndCause

TERMS = ProcessTerms(limit=10.0, grace=5.0, lease=30.0, margin=6.0, start_before=200.0)
STARTED = Standing(started=100.0)


def test_the_causes_equal_those_of_the_event():
    assert {CANCELLED, EXITED, LIMIT, LEASE, STOPPED} == {each.value for each in EndCause}


def test_nothing_is_due_before_limit_and_lease():
    assert enforce(TERMS, STARTED, 109.9, renewed=100.0) == (STARTED, None)
    assert next_moment(TERMS, STARTED, renewed=100.0) == 110.0
    assert next_moment(TERMS, STARTED, renewed=80.0) == 104.0


def test_at_the_limit_term_is_sent_and_after_the_grace_kill():
    standing, due = enforce(TERMS, STARTED, 110.0, renewed=100.0)
    assert (standing.cause, due) == (LIMIT, TERM)
    assert enforce(TERMS, standing, 114.9, renewed=100.0) == (standing, None)
    killed, due = enforce(TERMS, standing, 115.0, renewed=100.0)
    assert (killed.cause, due) == (LIMIT, KILL)
    assert next_moment(TERMS, killed, renewed=100.0) == FOREVER


def test_the_lease_ends_a_process_that_is_within_its_limit():
    standing, due = enforce(TERMS, STARTED, 104.0, renewed=80.0)
    assert (standing.cause, due) == (LEASE, TERM)


def test_kill_skips_the_grace_once_half_of_the_margin_is_used():
    standing, _ = enforce(TERMS, STARTED, 104.0, renewed=80.0)
    _, due = enforce(TERMS, standing, 107.0, renewed=80.0)
    assert due == KILL


def test_a_renewal_during_the_grace_does_not_cancel_the_stop():
    standing, _ = enforce(TERMS, STARTED, 104.0, renewed=80.0)
    assert enforce(TERMS, standing, 109.0, renewed=104.0)[1] == KILL


def test_the_first_cause_is_kept():
    limited, _ = enforce(TERMS, STARTED, 110.0, renewed=100.0)
    stopped, _ = terminate(limited, 111.0, STOPPED, 0.0)
    assert (stopped.cause, stopped.kill_at) == (LIMIT, 111.0)


def test_one_term_is_sent_and_a_second_order_only_shortens_the_grace():
    cancelled, due = terminate(STARTED, 101.0, CANCELLED, 30.0)
    assert (cancelled.cause, cancelled.kill_at, due) == (CANCELLED, 131.0, TERM)
    assert terminate(cancelled, 104.0, CANCELLED, 30.0) == (cancelled, None)
    shortened, due = terminate(cancelled, 104.0, STOPPED, 5.0)
    assert (shortened.cause, shortened.kill_at, due) == (CANCELLED, 109.0, None)


def test_without_a_grace_kill_is_sent_at_once_and_once():
    killed, due = terminate(STARTED, 101.0, CANCELLED, 0.0)
    assert (killed.cause, due) == (CANCELLED, KILL)
    assert terminate(killed, 102.0, CANCELLED, 0.0)[1] is None
    assert next_moment(TERMS, killed, renewed=100.0) == FOREVER


@pytest.mark.parametrize(
    ("now", "renewed", "allowed"), [(150.0, 140.0, True), (200.0, 199.0, False), (150.0, 126.0, False)]
)
def test_a_process_starts_only_within_claim_and_lease(now, renewed, allowed):
    assert may_start(TERMS, now, renewed) is allowed
