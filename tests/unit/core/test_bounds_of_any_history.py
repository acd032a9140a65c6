"""No sequence of inputs makes a transaction exceed its limits, and the owner becomes idle after any sequence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from schemas.words import RunState
from tests.support import checkers
from tests.support.simulated.dag_scenario import node
from tests.support.simulated.watched_owner import BOUNDS, WatchedOwner

MANY = 100
"""Far more of anything than a transaction holds."""
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
JOBS = ("job", "other")
RETRIED = {"max_attempts": 3, "initial_interval": HOUR, "max_interval": HOUR, "retry_jitter": 0.0}
KINDS: dict[str, dict[str, object]] = {
    "free": {"overlap_policy": "allow_all", **RETRIED},
    "limited": {"overlap_policy": "allow_all", "concurrency_limit": 80, "buffer_limit": 1_000, **RETRIED},
    "held": {"overlap_policy": "buffer_all", "buffer_limit": 1_000, "schedule": "*/5 * * * * *"},
    "replaced": {"overlap_policy": "cancel_other", "schedule": "* * * * *"},
    "ended": {"overlap_policy": "terminate_other", "schedule": "* * * * * *", "catchup_policy": "all"},
    "urgent": {"overlap_policy": "allow_all", "schedule": "* * * * * *", "start_deadline": MINUTE, "max_runs": 500},
    "eager": {"overlap_policy": "allow_all", "schedule": "*/2 * * * * *", "catchup_policy": "all", **RETRIED},
    "paused": {"overlap_policy": "allow_all", "schedule": "* * * * * *", "paused": True, "catchup_after_pause": "all"},
    "resumed": {"overlap_policy": "allow_all", "schedule": "* * * * * *", "catchup_after_pause": "all"},
    "cancelled": {"overlap_policy": "allow_all", "on_delete": "cancel"},
}
LAYERS = [node("first"), *(node(f"n{number}", "first") for number in range(MANY))]


class BusyOwner(WatchedOwner):
    """An owner; each method gives it many inputs of one kind."""

    requests = 0

    def asks(self, job_id: str, count: int = MANY, **fields: object) -> None:
        for _ in range(count):
            self.requests += 1
            self.request(f"r{self.requests}", owner=job_id, job_id=job_id, **fields)

    def asks_for_later(self, job_id: str) -> None:
        self.asks(job_id, run_at=(self.log.now + HOUR).isoformat())

    def asks_much(self, job_id: str) -> None:
        self.asks(job_id, payload='"' + "x" * 5_000 + '"')

    def backfills(self, job_id: str) -> None:
        span = {"backfill_from": (self.log.now - 5 * MINUTE).isoformat(), "backfill_to": self.log.now.isoformat()}
        how = {"reprocess": "none", "max_active_runs": 90, "run_backwards": False, "dry_run": False, "ran": None}
        self.asks(job_id, 1, kind="backfill", **span, **how)

    def stops(self, job_id: str) -> None:
        self.asks(job_id, 1, kind="cancel")

    def kills(self, job_id: str) -> None:
        self.asks(job_id, 1, kind="terminate")

    def deletes(self, job_id: str) -> None:
        self.define(job_id, deleted=True)

    def edits_many(self, job_id: str) -> None:
        for number in range(MANY):
            self.define(f"{job_id}-{number}", schedule="* * * * *", start_deadline=MINUTE)

    def asks_for_dags(self, _: str) -> None:
        self.define_dag(node("a"), node("b", "a"), max_active_epochs=90, dag_timeout=10 * MINUTE)
        for _ in range(MANY):
            self.requests += 1
            self.owner.offer(self.log.request_dag(f"r{self.requests}"))

    def asks_for_a_dag(self, _: str) -> None:
        self.define_dag(*LAYERS, max_active_epochs=2)
        self.requests += 1
        self.owner.offer(self.log.request_dag(f"r{self.requests}"))

    def stops_dags(self, _: str) -> None:
        self.requests += 1
        self.owner.offer(self.log.request_dag(f"r{self.requests}", kind="cancel"))

    def takes(self, _: str) -> None:
        self.beat(self.log.dispatches()[self.reported :])

    def is_full(self, _: str) -> None:
        self.beat([], window=0)

    def lists_strays(self, _: str) -> None:
        self.beat(self.log.dispatches())
        self.log.now += timedelta(seconds=6)
        self.beat(self.log.dispatches())

    def succeeds(self, _: str) -> None:
        self.report(exit_code=0, at_once=MANY)

    def fails(self, _: str) -> None:
        self.report(exit_code=1, at_once=MANY)

    def falls_silent(self, _: str) -> None:
        self.log.now += 2 * MINUTE
        self.owner.judge(self.log.now)

    def dies(self, _: str) -> None:
        self.recover()


STEPS: list[Callable[[BusyOwner, str], None]] = [
    *[
        BusyOwner.asks,
        BusyOwner.asks_for_later,
        BusyOwner.asks_much,
        BusyOwner.backfills,
        BusyOwner.stops,
        BusyOwner.kills,
        BusyOwner.deletes,
    ],
    *[
        BusyOwner.edits_many,
        BusyOwner.asks_for_dags,
        BusyOwner.asks_for_a_dag,
        BusyOwner.stops_dags,
        BusyOwner.takes,
        BusyOwner.is_full,
    ],
    *[BusyOwner.lists_strays, BusyOwner.succeeds, BusyOwner.fails, BusyOwner.falls_silent, BusyOwner.dies],
]
acts = st.tuples(st.sampled_from(STEPS), st.sampled_from(JOBS))
defines = st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(JOBS))
waits = st.sampled_from([0.0, 0.0, 1.0, 61.0, 300.0, 3700.0, 8 * 24 * 3600.0])
is_taken_at_once = st.sampled_from([True, True, False])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(st.tuples(acts | defines, waits, is_taken_at_once), min_size=2, max_size=12))
@example(
    history=[
        (("cancelled", "job"), 0.0, True),
        ((BusyOwner.asks_for_later, "job"), 0.0, True),
        ((BusyOwner.deletes, "job"), 0.0, True),
        ((BusyOwner.edits_many, "job"), 3700.0, True),
    ]
)
@example(
    history=[
        ((BusyOwner.takes, "job"), 0.0, False),
        (("free", "job"), 0.0, True),
        ((BusyOwner.asks, "job"), 0.0, True),
        ((BusyOwner.fails, "job"), 0.0, True),
        (("replaced", "job"), 3700.0, True),
        ((BusyOwner.lists_strays, "job"), 61.0, True),
    ]
)
def test_no_transaction_exceeds_its_limits(history) -> None:
    watched = BusyOwner()
    for (what, job_id), seconds, is_taken in history:
        if isinstance(what, str):
            watched.define(job_id, catchup_window=5 * MINUTE, **KINDS[what])
        else:
            what(watched, job_id)
        watched.log.now += timedelta(seconds=seconds)
        if is_taken:
            watched.until_idle()
    watched.until_idle()
    event(f"transactions: {watched.transactions // 20 * 20}")
    assert checkers.materialized_once(watched.log.history()) == []
    assert checkers.legal_history(watched.log.history()) == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_work_needs_several_transactions(kind) -> None:
    """The property above is tested with histories that really exceed one transaction."""
    watched = BusyOwner()
    watched.define("job", **KINDS[kind])
    watched.until_idle()
    watched.asks("job")
    watched.asks_for_later("job")
    assert watched.until_idle() > 3 * MANY // BOUNDS.effects
    assert RunState.QUEUED in {each.state for each in watched.log.history()}
