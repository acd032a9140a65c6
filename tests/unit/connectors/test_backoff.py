"""The backoff between retries grows, and resets after a success."""

from __future__ import annotations

from datetime import timedelta

from connectors.backoff import Backoff
from connectors.plan import Actual, RestartTask, Task
from connectors.supervisor import Watch, after_round, after_search

BACKOFF = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=60))
HEALTHY = Actual(config={}, state="RUNNING", tasks=(Task(number=0, state="RUNNING"),))


def delays(backoff, count):
    found = []
    for _ in range(count):
        backoff = backoff.failed()
        found.append(backoff.delay.total_seconds())
    return found


def test_waits_double_up_to_the_longest():
    assert delays(BACKOFF, 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_ten_thousand_failures_still_wait_the_longest():
    assert Backoff(first=BACKOFF.first, longest=BACKOFF.longest, failures=10_000).delay == BACKOFF.longest


def test_without_a_failure_there_is_no_wait():
    assert BACKOFF.delay == BACKOFF.failed().succeeded().delay == timedelta(0)


def test_restarts_of_a_task_that_fails_again_at_once_slow_down():
    watch = Watch()
    for _ in range(4):
        watch = after_round(watch, "failed", HEALTHY, [RestartTask(number=0)])
        watch = after_round(watch, "runs", HEALTHY, [])
    assert watch.backoff.delay == timedelta(seconds=8)


def test_a_task_that_ran_for_a_while_resets_the_backoff():
    watch = after_round(Watch(), "failed", HEALTHY, [RestartTask(number=0)])
    for _ in range(30):
        watch = after_round(watch, "runs", HEALTHY, [])
    assert watch.backoff.delay == timedelta(0)


def test_restarts_that_failed_without_postgres_do_not_delay_the_one_after_its_return():
    watch = Watch()
    for _ in range(9):
        watch = after_round(after_search(watch, None), "failed", HEALTHY, [RestartTask(number=0)])
    assert watch.backoff.delay == timedelta(seconds=60)
    assert after_search(watch, 1).backoff.delay == timedelta(0)


def test_restarts_that_fail_although_postgres_takes_writes_slow_down():
    watch = after_search(Watch(), 0)
    for _ in range(4):
        watch = after_round(after_search(watch, 0), "failed", HEALTHY, [RestartTask(number=0)])
    assert watch.backoff.delay == timedelta(seconds=8)
