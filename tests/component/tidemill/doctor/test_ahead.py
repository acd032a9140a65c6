"""The doctor reads from `state` the time up to which a partition's schedules are decided."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

from connectors.topics import create
from schemas.codec import encode
from schemas.settings import Connections
from schemas.topics import STATE
from streams.clock import cluster_clock
from streams.core.stored import StoredClock
from streams.groups import Groups
from streams.owner.records import OutRecord, Transaction
from streams.owner.transaction_records import CLOCK_KEY
from streams.owner_log import OwnerLog
from tests.support.servers.kafka_node import running_node
from tidemill.doctor import look_groups, look_kafka
from tidemill.target import wall_clock

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def take_over(connections, clock, partition):
    groups = Groups(connections, "streams", "worker")
    log = OwnerLog(connections, partition, f"owner-{partition}", clock, groups)
    log.prepare()
    log.fence()
    log.settle()
    return log


def decide(connections, clock, partition, until):
    stored = StoredClock(watermark=until, cursor=None, token=1, applied=(), newest_requests={})
    record = OutRecord(topic=STATE, key=CLOCK_KEY, value=encode(stored))
    with closing(take_over(connections, clock, partition)) as log:
        log.commit(Transaction(records=(record,), applied={}, forwardings=()))


def test_a_partition_that_is_decided_an_hour_ahead_is_found_and_no_other():
    with running_node() as node:
        connections = Connections(kafka_bootstrap=node.address, partitions=2)
        create(connections)
        clock = cluster_clock(connections)
        clock.turn()
        now = wall_clock().replace(microsecond=0)
        decide(connections, clock, 0, now)
        decide(connections, clock, 1, now + HOUR)
        take_over(connections, clock, 1).close()  # the next owner has not committed yet
        found = look_groups.look_streams(connections, now, 0)
        assert set(found.decided_ahead) == {1}
        assert HOUR - MINUTE < found.decided_ahead[1] <= HOUR
        long_ago = look_groups.look_streams(connections, now - HOUR, 0)
        assert set(long_ago.decided_ahead) == {1}, "what is written while the doctor looks is not ahead of the brokers"
        (offset,) = look_kafka.look(connections).clocks.values()
        assert offset.low <= 0 <= offset.high
