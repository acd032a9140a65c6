"""The lease of attempts that have no process yet: once it ran out, the next heartbeat does not call it back."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from executors.binaries import Binaries
from executors.cache import Cache
from executors.checkpoints import Checkpoints
from executors.claim import Chosen, Polled, Verdict
from executors.clock import SharedClock, boot_seconds
from executors.events import EventLog
from executors.heart import Heart
from executors.logs import LogStore
from executors.process import SupervisorLink, find_shim
from executors.results import Results
from executors.runner import Policy, Runner
from executors.s3 import ObjectStore
from executors.slots import Slots
from executors.workspace import Workspace
from schemas.codec import decode
from schemas.dispatch import Dispatch
from schemas.event import Claimed, EndCause, Ended, EventBatch
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.settings import Connections
from schemas.times import EPOCH
from streams.core.rules import Rules

RULES = Rules()
MARGIN = timedelta(seconds=5)
NOWHERE = Connections(s3_endpoint="http://127.0.0.1:9")


class Wire:
    """Takes records, and acknowledges them when it is told to."""

    def __init__(self):
        self.records = []
        self._acknowledged = 0

    def send(self, record):
        self.records.append(record)

    def acknowledge(self, sent):
        record = self.records[self._acknowledged]
        self._acknowledged += 1
        record.on_ack(sent)

    def events(self):
        return [event for each in self.records for event in decode(each.value, EventBatch).events]


def runner(wire, folder, tasks, renewed):
    store = ObjectStore(NOWHERE)
    cache = Cache(folder / "cache", max_bytes=100, scratch_prefix="x.1")
    slots = Slots({"10s": 1})
    slots.take("10s", 1)
    return Runner(
        policy=Policy(margin=MARGIN, grace=MARGIN, path="/bin", log_max_bytes=100, secret=str),
        clock=SharedClock(),
        slots=slots,
        events=EventLog(wire, lambda _, function: function(), topic="events", executor_id="x.1"),
        binaries=Binaries(store=store, cache=cache, fetch_timeout=timedelta(minutes=1)),
        logs=LogStore(store, "logs"),
        checkpoints=Checkpoints(store, "kept", keep_timeout=MARGIN, fetch_timeout=MARGIN),
        results=Results(store, "kept", keep_timeout=MARGIN, fetch_timeout=MARGIN),
        workspace=Workspace(folder / "work", "x.1", cache_dir=folder / "cache"),
        link=SupervisorLink(on_notice=print, on_death=print, command=find_shim()),
        tasks=tasks,
        renewed=lambda: renewed[0],
        on_slot_free=lambda *_: None,
    )


def claim():
    dispatch = Dispatch(
        run_id="job#r",
        owner="job",
        job_id="job",
        attempt=1,
        token=7,
        timeout_class="10s",
        nominal_time=EPOCH,
        scheduled_time=EPOCH,
        binary="s3://tidemill/x",
        sha256="0" * 64,
        args=(),
        env={},
        payload=None,
        limit=RULES.lease,
        valid_for=RULES.dispatch_valid_for,
        claim_grace=RULES.claim_grace,
        lease=RULES.lease,
    )
    polled = Polled(partition=0, offset=0, appended_at=EPOCH, dispatch=dispatch, read=0.0, commit_sent=boot_seconds())
    return Chosen(polled=polled, verdict=Verdict.RUN)


async def fetching(folder, renewed):
    """The events of an attempt whose binary is on its way while a heartbeat is acknowledged."""
    wire = Wire()
    async with asyncio.TaskGroup() as tasks:
        hands = runner(wire, folder, tasks, renewed)
        hands.take("10s", [claim()])
        wire.acknowledge(boot_seconds())
        hands.renew()
        hands.close()
        hands.link.close()
    return wire.events()


def test_an_attempt_whose_lease_ran_out_while_its_binary_was_fetched_is_given_up(tmp_path):
    lapsed = boot_seconds() - (RULES.lease - MARGIN).total_seconds()
    claimed, ended = asyncio.run(fetching(tmp_path, [lapsed]))
    assert isinstance(claimed, Claimed)
    assert isinstance(ended, Ended)
    assert (ended.cause, ended.exit_code, ended.started_at) == (EndCause.LEASE, None, None)


def test_an_attempt_whose_lease_lasts_goes_on(tmp_path):
    (claimed,) = asyncio.run(fetching(tmp_path, [boot_seconds()]))
    assert isinstance(claimed, Claimed)


def test_a_heartbeat_renews_from_when_its_list_was_made_however_often_it_was_sent():
    wire, renewed = Wire(), []
    heart = Heart(
        outbox=wire,
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
    heart.beat()
    after = boot_seconds()
    wire.acknowledge(sent=after + 20)
    assert before <= heart.renewed <= after
    assert renewed == [heart.renewed]
