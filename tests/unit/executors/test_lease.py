"""The lease of attempts without a process: after it expired, a later heartbeat does not renew it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from executors.clock import boot_seconds
from executors.heartbeats import HeartbeatSender
from executors.s3 import ObjectStore
from schemas.event import Claimed, EndCause, Ended
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.settings import Connections
from schemas.times import EPOCH
from tests.support.attempt_runner import MARGIN, RULES, RecordingProducer, claim, make_runner

NOWHERE = ObjectStore(Connections(s3_endpoint="http://127.0.0.1:9"))


async def fetching(folder, renewed):
    """The events of an attempt whose executable is being fetched while a heartbeat is acknowledged."""
    producer = RecordingProducer()
    async with asyncio.TaskGroup() as tasks:
        hands = make_runner(producer, NOWHERE, folder, tasks, lambda: renewed)
        hands.on_claimed("10s", [claim()])
        producer.acknowledge(boot_seconds())
        hands.renew()
        hands.close()
        hands.link.close()
    return producer.events()


def test_an_attempt_whose_lease_ran_out_while_its_executable_was_fetched_is_given_up(tmp_path):
    lapsed = boot_seconds() - (RULES.lease - MARGIN).total_seconds()
    claimed, ended = asyncio.run(fetching(tmp_path, lapsed))
    assert isinstance(claimed, Claimed)
    assert isinstance(ended, Ended)
    assert (ended.cause, ended.exit_code, ended.started_at) == (EndCause.LEASE, None, None)


def test_an_attempt_whose_lease_lasts_goes_on(tmp_path):
    (claimed,) = asyncio.run(fetching(tmp_path, boot_seconds()))
    assert isinstance(claimed, Claimed)


def test_a_heartbeat_renews_from_when_its_list_was_made_however_often_it_was_sent():
    producer, renewed = RecordingProducer(), []
    heartbeats = HeartbeatSender(
        outbox=producer,
        topic="executors",
        partition=0,
        compose=lambda: Heartbeat(
            executor_id="x.1",
            name="x",
            host="h",
            version="1",
            state=ExecutorState.RUNNING,
            at=EPOCH,
            interval=timedelta(seconds=3),
            slots=(),
            windows=(),
            attempts=(),
        ),
        on_renewed=renewed.append,
        horizon_seconds=9.0,
    )
    before = boot_seconds()
    heartbeats.send()
    after = boot_seconds()
    producer.acknowledge(sent=after + 20)
    assert before <= heartbeats.renewed <= after
    assert renewed == [heartbeats.renewed]
