"""Baselines: what this machine does without Tidemill, measured in the same run."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.figure import percentile
from executors.sandbox.launch import find_launcher
from executors.sandbox.steps import die_with
from schemas.settings import Connections

ANSWER_SECONDS = 20.0
HOPS = 100
PAUSE_SECONDS = 0.02
TRUE = "/bin/true"


def spawn_rate(seconds: float, processes: int = 1) -> float:
    """How many /bin/true a second this many processes spawn and reap, each one after the other, as an executor does."""
    with ProcessPoolExecutor(processes) as pool:
        return sum(pool.map(_spawn_loop, [seconds] * processes))


def _spawn_loop(seconds: float) -> float:
    launcher, launch = find_launcher(), os.memfd_create("launch")
    os.write(launch, launcher.launch_file(die_with(os.getpid())))
    argv = [*launcher.command_with(launch), TRUE]
    null = os.open(os.devnull, os.O_RDWR)
    began, count = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
        actions += launcher.actions(launch, null, ())
        pid = os.posix_spawn(
            argv[0], argv, {}, file_actions=actions, setsid=True, setsigmask=(), setsigdef=(signal.SIGTERM,)
        )
        os.waitpid(pid, 0)
        count += 1
    os.close(null)
    return count / (time.monotonic() - began)


def kafka_hop_ms(connections: Connections) -> tuple[float, float]:
    """p50 and p99 of one small transaction until a read_committed reader has it: the least time of a dispatch."""
    topic = f"bench-{uuid4().hex[:8]}"
    admin = AdminClient(connections.kafka())
    for future in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        future.result(ANSWER_SECONDS)
    producer = Producer(connections.kafka(transactional_id=topic, linger_ms=0))
    producer.init_transactions(ANSWER_SECONDS)
    consumer = Consumer(connections.kafka(group_id=topic, isolation_level="read_committed", fetch_wait_max_ms=100))
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    for _ in range(HOPS):
        began = time.monotonic()
        producer.begin_transaction()
        producer.produce(topic, b"x" * 500)
        producer.commit_transaction(ANSWER_SECONDS)
        assert consumer.poll(ANSWER_SECONDS) is not None
        found.append((time.monotonic() - began) * 1000)
        time.sleep(PAUSE_SECONDS)
    consumer.close()
    return percentile(found[HOPS // 10 :], 0.5), percentile(found[HOPS // 10 :], 0.99)


def hop_line(connections: Connections) -> str:
    p50, p99 = kafka_hop_ms(connections)
    return f"one transaction to a reader: p50 {p50:.0f}, p99 {p99:.0f} ms"
