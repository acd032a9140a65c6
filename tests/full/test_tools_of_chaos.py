"""The tools of chaos do what they say: a stepped clock, a full disk, three brokers of which one may be away."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra import stack
from infra.options import StackOptions
from infra.settings import InfraSettings
from tests.chaos.clocks import clocks
from tests.support.waiting import eventually

STEP = 86_400
TOLERANCE = 5
WAIT_SECONDS = 60
STOP_SECONDS = 60
SHOW_CLOCKS = "import time; time.sleep(0.01); print(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))"
FILL = """
import sys
from pathlib import Path
from tests.chaos.disk import small_disk

with small_disk(Path(sys.argv[1])) as disk:
    disk.fill()
    try:
        (disk.folder / "more").write_bytes(bytes(100_000))
    except OSError as error:
        print(error.strerror)
    disk.free()
    (disk.folder / "more").write_bytes(bytes(100_000))
    print("free")
"""


def test_a_step_moves_the_wall_clock_of_a_process_and_leaves_its_boot_clock(tmp_path):
    stepped = clocks(tmp_path / "clocks", InfraSettings(), print)
    variables = {name.partition(":")[2]: value for name, value in stepped.variables(["sink"]).items()}
    stepped.step("sink", STEP)
    done = subprocess.run(
        [sys.executable, "-c", SHOW_CLOCKS], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    wall, boot = map(float, done.stdout.split())
    assert boot == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=TOLERANCE)
    assert wall == pytest.approx(time.clock_gettime(time.CLOCK_REALTIME) + STEP, abs=TOLERANCE)


def test_a_full_disk_takes_no_byte_until_it_is_freed_and_leaves_no_mount(tmp_path):
    small = tmp_path / "small"
    as_root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    command = [*as_root, sys.executable, "-c", FILL, str(small)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["No space left on device", "free"]
    assert not small.is_mount()


def test_one_of_three_brokers_may_be_away_and_takes_no_acknowledged_record_along(tmp_path):
    tmp_path.chmod(0o755)
    data = tmp_path / "stack"
    found = stack.start_detached(StackOptions(data=data, servers_only=True, brokers=3, until_parent_exits=True))
    try:
        options = {"bootstrap.servers": found.addresses["kafka"], "log_level": 0}
        admin = AdminClient(options)
        new = NewTopic("records", 1, 3, config={"min.insync.replicas": "2"})
        admin.create_topics([new])["records"].result(WAIT_SECONDS)
        produce(options, 10)
        leader = admin.list_topics("records", timeout=WAIT_SECONDS).topics["records"].partitions[0].leader
        (pid,) = [each["pid"] for each in found.processes if each["name"] == f"kafka-{leader}"]
        os.kill(pid, 9)
        produce(options, 10)
        assert ends(options) == 20
        eventually(lambda: back(data, leader, pid), WAIT_SECONDS, "the return of the broker")
    finally:
        stack.stop(data, STOP_SECONDS)


def produce(options, count):
    producer = Producer({**options, "acks": "all", "enable.idempotence": True})
    for number in range(count):
        producer.produce("records", str(number))
    assert producer.flush(WAIT_SECONDS) == 0


def ends(options):
    consumer = Consumer({**options, "group.id": "looks"})
    _, end = consumer.get_watermark_offsets(TopicPartition("records", 0), timeout=WAIT_SECONDS)
    consumer.close()
    return end


def back(data, leader, dead):
    found = stack.status(data).processes
    return any(
        each["name"] == f"kafka-{leader}" and each["state"] == "running" and each["pid"] != dead for each in found
    )
