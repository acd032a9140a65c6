"""An executor that cannot run anything says why, gives its partitions back to the others, and recovers by itself."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from datetime import timedelta

import pytest

from schemas.event import Ended, Rejected, Started
from tests.support.observed import reserved_port

FOUR_PARTITIONS = 4


@pytest.fixture
def port(tmp_path):
    with reserved_port(tmp_path) as reserved:
        yield reserved


@pytest.fixture
def frozen():
    """A function that freezes a process until the end of the test: a frozen one would outlive its executor."""
    pids = []

    def freeze(pid):
        pids.append(pid)
        os.kill(pid, signal.SIGSTOP)

    yield freeze
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def take_work_dir_away(executor):
    """A file in place of the directory: also root cannot make it anew."""
    executor.work.rename(executor.work.with_name("elsewhere"))
    executor.work.touch()


def give_work_dir_back(executor):
    executor.work.unlink()
    executor.work.with_name("elsewhere").rename(executor.work)


def is_ill(owner, name):
    return owner.wait(lambda: owner.last_heartbeat() and owner.last_heartbeat_of(name).ill)


def holds(owner, name):
    return {(each.timeout_class, each.partition) for each in owner.last_heartbeat_of(name).windows}


def id_of(owner, name):
    return owner.last_heartbeat_of(name).executor_id


def one_in_each_partition(owner, executable):
    orders = [owner.order(executable) for _ in range(FOUR_PARTITIONS)]
    for partition, order in enumerate(orders):
        owner.dispatch(order, partition=partition)
    return orders


def test_runs_go_to_the_other_executor_while_one_has_no_work_directory(owner, executors, objects):
    ill = executors.start("ill")
    executors.start("well")
    owner.wait(lambda: len(owner.heartbeats) > 1 and len(holds(owner, "ill")) == FOUR_PARTITIONS)
    take_work_dir_away(ill)
    assert str(ill.work) in is_ill(owner, "ill")
    ends = [owner.end_of(each) for each in one_in_each_partition(owner, objects.script("true"))]
    assert [getattr(each, "exit_code", each) for each in ends] == [0] * FOUR_PARTITIONS


def test_dispatches_that_an_ill_executor_has_not_claimed_are_claimed_elsewhere_at_once(owner, executors, objects):
    ill = executors.start("ill", slots="10s=1")
    slow = owner.order(objects.script("sleep 8"))
    owner.dispatch(slow, partition=0)
    owner.first(slow, Started)
    waiting = [owner.order(objects.script("true"), valid_for=timedelta(minutes=10)) for _ in range(3)]
    owner.dispatch(*waiting, partition=0)
    take_work_dir_away(ill)
    is_ill(owner, "ill")
    executors.start("well", slots="10s=1")
    assert [owner.end_of(each).exit_code for each in waiting] == [0, 0, 0]
    assert not owner.of(slow, Ended)
    give_work_dir_back(ill)
    assert owner.end_of(slow).exit_code == 0


def test_an_ill_executor_is_not_ready_and_recovers_by_itself(owner, executors, port, objects, until):
    executor = executors.start("ill", observe_listen=port.address)
    until(lambda: port.is_ready)
    take_work_dir_away(executor)
    until(lambda: not port.is_ready)
    assert "the work directory" in port.get("/readyz")[1]
    assert port.is_live
    waiting = one_in_each_partition(owner, objects.script("true"))
    give_work_dir_back(executor)
    assert [owner.end_of(each).exit_code for each in waiting] == [0] * FOUR_PARTITIONS
    owner.wait(lambda: owner.last_heartbeat_of("ill").ill is None)
    until(lambda: port.is_ready)


def test_a_work_directory_that_was_removed_is_made_anew(owner, executors, objects):
    executor = executors.start()
    assert owner.run(objects.script("true")).exit_code == 0
    executor.work.rename(executor.work.with_name("removed"))
    owner.wait(lambda: list(executor.work.glob("*/lock")))
    assert owner.run(objects.script("true")).exit_code == 0


def test_the_retry_of_an_attempt_that_one_executor_could_not_start_goes_to_the_other(owner, executors, objects):
    executors.start("ill", s3_endpoint="http://127.0.0.1:9", fetch_timeout="PT1S")
    executors.start("well")
    owner.wait(lambda: owner.last_heartbeat() and 0 < len(holds(owner, "ill")) < 2 * FOUR_PARTITIONS)
    script = objects.script("echo first")
    first = one_in_each_partition(owner, script)
    rejected = [order for order in first if isinstance(owner.end_of(order), Rejected)]
    assert rejected
    assert "S3 is unreachable" in is_ill(owner, "ill")
    owner.wait(lambda: not holds(owner, "ill"))
    for order in rejected:
        retry = owner.order(script, run_id=order.run_id, attempt=2)
        owner.dispatch(retry, partition=first.index(order))
        assert owner.end_of(retry).exit_code == 0
        assert {each.executor_id for each in owner.heard if each.event.token == retry.token} == {id_of(owner, "well")}


def test_the_retry_of_an_attempt_that_a_silent_supervisor_loses_goes_to_the_other(owner, executors, objects, frozen):
    ill = executors.start("ill", heartbeat_interval="PT1S")
    first = one_in_each_partition(owner, objects.script("sleep 300"))
    for order in first:
        owner.first(order, Started)
    executors.start("well")
    owner.wait(lambda: len({each.name for _, each in owner.heartbeats}) > 1 and holds(owner, "ill"))
    frozen(ill.supervisor)
    assert "supervisor has not answered" in is_ill(owner, "ill")
    for partition, order in enumerate(first):
        retry = owner.order(objects.script("true"), run_id=order.run_id, attempt=2)
        owner.dispatch(retry, partition=partition)
        assert owner.end_of(retry).exit_code == 0
        assert {each.executor_id for each in owner.heard if each.event.token == retry.token} == {id_of(owner, "well")}


def test_executors_that_all_miss_s3_go_on_with_what_they_have(owner, executors):
    for name in ("one", "two"):
        executors.start(name, s3_endpoint="http://127.0.0.1:9", fetch_timeout="PT1S")
    for _ in range(3):
        for each in one_in_each_partition(owner, ("s3://tidemill/bin/x", "0" * 64)):
            assert re.search("S3 is unreachable|did not arrive within 0:00:01", owner.end_of(each).reason)
    assert is_ill(owner, "one")
    assert is_ill(owner, "two")
    owner.wait(lambda: holds(owner, "one") and holds(owner, "two"))
