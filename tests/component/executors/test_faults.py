"""Executors and supervisors are killed, frozen and stopped: no process outlives its lease or starts twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.event import EndCause, Ended, Started
from schemas.heartbeat import ExecutorState
from schemas.topics import CONTROL, executor_group, runs_topic

LEASE = timedelta(seconds=8)
MARGIN = timedelta(seconds=4)
DISPATCHES = 300
KILL_AFTER = 80
FREEZE_SECONDS = 14.0
"""Longer than the session timeout of a group member on the test's broker."""
SLOTS = 8


@pytest.fixture
def sleeper(objects, marks):
    """A script whose process and grandchild have a mark."""

    def make():
        mark = marks()
        return objects.script(f"(sleep 120.{mark}; true) & sleep 120.{mark}; true"), mark

    return make


def _start(owner, executable, **changes):
    order = owner.order(executable, limit=timedelta(seconds=100), **changes)
    owner.dispatch(order)
    owner.first(order, Started)
    return order


def test_processes_of_a_killed_executor_die_at_once(owner, executors, sleeper, alive, until):
    executor = executors.start()
    executable, mark = sleeper()
    _start(owner, executable)
    until(lambda: len(alive(mark)) >= 2)
    supervisor = executor.supervisor
    executor.signal(signal.SIGKILL)
    until(lambda: not alive(mark), 2.0)
    until(lambda: not Path(f"/proc/{supervisor}").exists(), 2.0)


def test_an_executor_without_its_supervisor_ends_and_leaves_no_process(owner, executors, sleeper, alive, until):
    executor = executors.start()
    executable, mark = sleeper()
    _start(owner, executable)
    until(lambda: len(alive(mark)) >= 2)
    os.kill(executor.supervisor, signal.SIGKILL)
    assert executor.process.wait(timeout=10) == 70
    until(lambda: not alive(mark), 2.0)


def test_a_supervisor_that_does_not_answer_is_killed(owner, executors, sleeper, alive, until):
    executor = executors.start()
    executable, mark = sleeper()
    _start(owner, executable)
    until(lambda: alive(mark))
    os.kill(executor.supervisor, signal.SIGSTOP)
    assert executor.process.wait(timeout=15) == 70
    until(lambda: not alive(mark), 2.0)


def test_a_new_executor_kills_processes_that_survived_executor_and_supervisor(owner, executors, sleeper, alive, until):
    executor = executors.start()
    executable, mark = sleeper()
    _start(owner, executable)
    until(lambda: len(alive(mark)) >= 2)
    supervisor = executor.supervisor
    executor.signal(signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    executor.signal(signal.SIGKILL)
    executor.process.wait()
    executors.start(work_dir=executor.work)
    assert not alive(mark)


def test_a_frozen_executor_loses_its_processes_before_the_lease_ends(owner, executors, sleeper, alive, until):
    executor = executors.start(lease_margin=MARGIN)
    executable, mark = sleeper()
    order = _start(owner, executable, lease=LEASE)
    until(lambda: alive(mark))
    executor.signal(signal.SIGSTOP)
    frozen = time.monotonic()
    until(lambda: not alive(mark), LEASE.total_seconds())
    assert time.monotonic() - frozen > 1
    executor.signal(signal.SIGCONT)
    assert owner.end_of(order).cause is EndCause.LEASE


def test_a_run_killed_before_an_executor_starts_is_claimed_and_never_started(owner, executors, objects):
    script = objects.script("true")
    killed, following = owner.order(script), owner.order(script)
    owner.kill(killed)
    owner.dispatch(killed, following, partition=0)
    executors.start()
    assert owner.end_of(following).exit_code == 0
    ended = owner.end_of(killed)
    assert (ended.cause, ended.exit_code, ended.started_at) == (EndCause.CANCELLED, None, None)
    assert owner.of(killed, Started) == []


def test_an_executor_starts_runs_during_a_constant_stream_of_kills(owner, executors, objects, connections):
    """Faster than its fetches wait: it has heard enough once it has read what lay there when it began."""
    producer, stopping = Producer(connections.kafka(enable_idempotence=True)), threading.Event()

    def write_on():
        while not stopping.wait(0.01):
            producer.produce(connections.topic(CONTROL), value=b"{}", key="any", partition=0)
            producer.flush()

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        executors.start()
        assert owner.run(objects.script("true")).exit_code == 0
    finally:
        stopping.set()
        writer.join()


def test_an_acknowledged_heartbeat_renews_the_lease(owner, executors, objects):
    executors.start(lease_margin=timedelta(seconds=2))
    ended = owner.run(objects.script("sleep 5"), lease=timedelta(seconds=4))
    assert (ended.cause, ended.exit_code) == (EndCause.EXITED, 0)


def test_a_void_claim_is_never_executed(owner, executors, objects, trace):
    executors.start(lease_margin=MARGIN, unveil=trace.allowed)
    script, confinement = objects.script(trace.script), trace.asked
    owner.run(script, confinement=confinement)
    cached = owner.order(script, claim_grace=MARGIN, confinement=confinement)
    uncached = owner.order(objects.script(f"{trace.script}; true"), claim_grace=MARGIN, confinement=confinement)
    owner.dispatch(cached, uncached, partition=0)
    following = owner.order(script, confinement=confinement)
    owner.dispatch(following, partition=0)
    assert owner.end_of(following).exit_code == 0
    assert owner.of(cached) == owner.of(uncached) == []
    assert trace.read()[1:] == [str(following.token)]


def test_an_executor_frozen_beyond_its_session_starts_no_run_twice(owner, executors, objects, trace):
    sleepy = executors.start("sleepy", slots=f"10s={SLOTS}", unveil=trace.allowed)
    executors.start("awake", slots=f"10s={SLOTS}", unveil=trace.allowed)
    script, confinement = objects.script(trace.script), trace.asked
    orders = [owner.order(script, confinement=confinement) for _ in range(DISPATCHES)]
    batches = list(_batches(orders, 20))
    owner.dispatch(*orders[:100])
    owner.wait(lambda: len(_started(owner)) >= 20)
    sleepy.signal(signal.SIGSTOP)
    woken = time.monotonic() + FREEZE_SECONDS
    for batch in batches[5:]:
        owner.dispatch(*batch)
        owner.listen()
    owner.wait(lambda: time.monotonic() > woken, FREEZE_SECONDS + 5)
    sleepy.signal(signal.SIGCONT)
    owner.wait(lambda: len(set(_started(owner))) >= DISPATCHES - SLOTS)
    _wait_idle(owner, owner.order(script, confinement=confinement), "sleepy", "awake")
    assert max(Counter(trace.read()).values()) == 1
    assert max(Counter(_started(owner)).values()) == 1


def test_none_of_many_dispatches_starts_twice_when_an_executor_is_killed(
    owner, executors, objects, connections, trace, until
):
    victim = executors.start("victim", slots=f"10s={SLOTS}", unveil=trace.allowed)
    executors.start("survivor", slots=f"10s={SLOTS}", unveil=trace.allowed)
    script, confinement = objects.script(f"{trace.script}; sleep 0.05"), trace.asked
    orders = [owner.order(script, confinement=confinement) for _ in range(DISPATCHES)]
    for batch in _batches(orders, 20):
        owner.dispatch(*batch)
    owner.wait(lambda: len(_started(owner)) >= KILL_AFTER)
    victim.signal(signal.SIGKILL)
    admin = AdminClient(connections.kafka())
    until(lambda: _all_claimed(admin, connections), 40)
    _wait_idle(owner, owner.order(script, confinement=confinement), "survivor")
    executed = Counter(trace.read())
    assert max(executed.values()) == 1
    assert max(Counter(_started(owner)).values()) == 1
    ended = {heard.event.token for heard in owner.heard if isinstance(heard.event, Ended)}
    lost = {order.token for order in orders if order.token not in ended}
    # The victim was running them, or their ends were not acknowledged yet: their number depends on how
    # busy the broker is. The protocol guarantees that no other executor had any of them.
    survivors = {heard.event.token for heard in owner.heard if heard.executor_id.startswith("survivor.")}
    assert not survivors & lost
    assert {order.token for order in orders} <= {int(token) for token in executed} | lost


def _batches(values, size):
    return (values[start : start + size] for start in range(0, len(values), size))


def _started(owner):
    return [heard.event.token for heard in owner.heard if isinstance(heard.event, Started)]


def _all_claimed(admin, connections):
    group, topic = executor_group(connections.topic_prefix, "10s"), connections.topic(runs_topic("10s"))
    partitions = [TopicPartition(topic, p) for p in range(connections.partitions)]
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, partitions)])
    committed = {each.partition: each.offset for each in asked[group].result().topic_partitions}
    ends = {each.partition: f.result().offset for each, f in _ends(admin, partitions).items()}
    # After the last dispatch comes its transaction marker.
    return all(ends[p] - committed[p] <= 1 for p in ends)


def _ends(admin, partitions):
    return admin.list_offsets({each: OffsetSpec.latest() for each in partitions})


def _wait_idle(owner, last, *names):
    """Waits until a heartbeat of each executor after the last run lists no attempt."""
    owner.dispatch(last)
    owner.end_of(last)
    since = max(heard.appended_at for heard in owner.heard)

    def idle(name):
        return any(
            appended_at > since and heartbeat.name == name and not heartbeat.attempts
            for appended_at, heartbeat in owner.heartbeats
        )

    owner.wait(lambda: all(map(idle, names)))
    owner.listen()


def test_a_drained_executor_finishes_its_runs_and_reports_that_it_left(owner, executors, objects):
    executor = executors.start()
    order = _start(owner, objects.script("sleep 1.5; echo finished"))
    executor.signal(signal.SIGTERM)
    ended = owner.end_of(order)
    assert (ended.cause, ended.output) == (EndCause.EXITED, "finished\n")
    assert executor.process.wait(timeout=10) == 0
    assert owner.wait(lambda: owner.last_heartbeat(ExecutorState.GONE)).attempts == ()
    draining = [each for _, each in owner.heartbeats if each.state is ExecutorState.DRAINING]
    assert draining
    assert all(window.size == 0 for each in draining for window in each.windows)
    assert not list(executor.work.glob("executor.*"))


def test_a_drained_executor_leaves_its_partitions_to_the_others_at_once(owner, executors, objects):
    leaving = executors.start("leaving")
    executors.start("staying")
    order = _start(owner, objects.script("sleep 3"))
    leaving.signal(signal.SIGTERM)
    began = time.monotonic()
    owner.wait(lambda: len(owner.last_heartbeat_of("staying").windows) == 8, 5)
    assert time.monotonic() - began < 5
    hello = objects.script("true")
    assert owner.run(hello).exit_code == 0
    assert owner.end_of(order).exit_code == 0


def test_runs_that_outlast_the_drain_are_stopped(owner, executors, sleeper, alive, until):
    executor = executors.start(drain_timeout="PT0.5S")
    executable, mark = sleeper()
    order = _start(owner, executable)
    until(lambda: alive(mark))
    executor.signal(signal.SIGTERM)
    ended = owner.end_of(order)
    assert (ended.cause, ended.exit_code) == (EndCause.STOPPED, 143)
    assert executor.process.wait(timeout=10) == 0
    assert not alive(mark)


def test_a_second_sigterm_stops_at_once(owner, executors, sleeper, alive, until):
    executor = executors.start()
    executable, mark = sleeper()
    order = _start(owner, executable)
    until(lambda: alive(mark))
    executor.signal(signal.SIGTERM)
    owner.wait(lambda: owner.last_heartbeat(ExecutorState.DRAINING))
    executor.signal(signal.SIGTERM)
    assert owner.end_of(order).cause is EndCause.STOPPED
    assert executor.process.wait(timeout=10) == 0


def test_windows_are_twice_the_slots_split_over_the_partitions_held(owner, executors, until):
    executors.start(slots="10s=6,1m=1")
    heartbeat = owner.wait(lambda: (found := owner.last_heartbeat()) and len(found.windows) == 8 and found)
    sizes = {(each.timeout_class, each.partition): each.size for each in heartbeat.windows}
    assert sizes == {**{("10s", p): 3 for p in range(4)}, **{("1m", p): 1 for p in range(4)}}
    assert {(each.timeout_class, each.total, each.free) for each in heartbeat.slots} == {("10s", 6, 6), ("1m", 1, 1)}


def test_a_class_without_slots_is_not_served(owner, executors, objects):
    executors.start(slots="1m=2")
    hello = objects.script("true")
    unserved = owner.order(hello)
    owner.dispatch(unserved)
    assert owner.run(hello, timeout_class="1m").exit_code == 0
    assert owner.of(unserved) == []
