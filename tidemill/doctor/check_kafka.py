"""Checks of the brokers and the topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from schemas.topics import MAX_RECORD_BYTES
from tidemill.doctor.facts import Kafka, Topic
from tidemill.doctor.finding import Finding, bad, listed, ok, warn

CONSUMER_PROTOCOL = 1
"""The version of ConsumerGroupHeartbeat in Kafka 4.0."""
SLOW_FAILOVER = timedelta(seconds=15)
SHORTEST_OFFSETS_RETENTION = timedelta(days=1)
ENOUGH_REPLICAS = 3
MIGRATE = "run `tidemill migrate`"
GRAVE = {
    "cleanup.policy": "needed records are deleted, or the topic grows forever",
    "message.timestamp.type": "the pipeline needs the brokers' append times as its clock",
    "max.message.bytes": "the brokers refuse a large record, and its partition makes no progress",
    "min.insync.replicas": "acknowledged records may be lost, or nothing can be written",
}
"""Wrong values of these settings break something, and what they break; other settings only cost time or space."""


def version(facts: Kafka) -> Iterator[Finding]:
    name, found = "kafka.version", facts.consumer_protocol
    if found is None or found < CONSUMER_PROTOCOL:
        yield bad(
            name,
            "the brokers do not support Kafka 4.0's consumer protocol (KIP-848): executors cannot join their groups",
            "use Kafka 4.0 or later, with `consumer` in group.coordinator.rebalance.protocols",
        )
    else:
        yield ok(name, f"Kafka is 4.0 or later, with {len(facts.brokers)} broker(s)")


def writable(facts: Kafka) -> Iterator[Finding]:
    name = "kafka.writable"
    if facts.write_refused:
        yield bad(
            name,
            f"a record could not be written: {facts.write_refused}",
            "check that enough replicas are in sync, and that this user may write to all topics of the prefix, also in "
            "transactions",
        )
    elif facts.clocks:
        yield ok(name, "a record was written and acknowledged")


def topics_exist(facts: Kafka) -> Iterator[Finding]:
    name = "kafka.topics"
    missing = [each.desired.name for each in facts.topics if each.found is None]
    if missing:
        yield bad(name, f"missing topics: {listed(missing)}", MIGRATE)
    else:
        yield ok(name, f"all {len(facts.topics)} topics exist")


def partitions(facts: Kafka) -> Iterator[Finding]:
    name = "kafka.partitions"
    others = [
        f"{each.desired.name} has {each.found.partitions} partitions instead of {each.desired.partitions}"
        for each in facts.topics
        if each.found and each.found.partitions != each.desired.partitions
    ]
    if others:
        yield bad(
            name,
            f"{listed(others)}: the number assigns jobs to partitions, so stream workers do not start",
            "set TIDEMILL_PARTITIONS to the number with which the topics were made",
        )
    else:
        yield ok(name, "every topic has the right number of partitions")


def topic_settings(facts: Kafka) -> Iterator[Finding]:
    """One finding for each wrong setting of a topic."""
    name, fine = "kafka.topic_settings", True
    for topic in facts.topics:
        for setting, found, wanted in _differences(topic):
            fine = False
            said = f"{topic.desired.name} has {setting}={found} instead of {wanted}"
            if setting in GRAVE:
                yield bad(name, f"{said}: {GRAVE[setting]}", f"{MIGRATE}: it corrects the settings of topics")
            else:
                yield warn(name, said, f"{MIGRATE}: it corrects the settings of topics")
    if fine:
        yield ok(name, f"the topics are configured correctly (records up to {MAX_RECORD_BYTES >> 20} MB)")


def _differences(topic: Topic) -> Iterator[tuple[str, str, str]]:
    if topic.found is None:
        return
    for name, wanted in topic.desired.config.items():
        found = topic.found.config.get(name, "unknown")
        if _normal(found) != _normal(wanted):
            yield name, found, wanted


def _normal(value: str) -> str:
    """Sort a list: its order has no meaning."""
    return ",".join(sorted(value.split(",")))


def replicas(facts: Kafka) -> Iterator[Finding]:
    name, count = "kafka.replicas", len(facts.brokers)
    fewest = min((each.found.replicas for each in facts.topics if each.found), default=facts.replication_factor)
    if fewest < min(count, ENOUGH_REPLICAS):
        yield warn(
            name,
            f"there are {count} brokers, but a topic has {fewest} replica(s): if a broker fails, accepted work is lost",
            "set TIDEMILL_REPLICATION_FACTOR=3 before the topics are made; change existing topics with "
            "`kafka-reassign-partitions`",
        )
    elif fewest == 1:
        yield ok(name, "the only broker has the only copy of every topic: if its disk fails, the data is lost")
    else:
        yield ok(name, f"every topic has at least {fewest} replicas")


def in_sync(facts: Kafka) -> Iterator[Finding]:
    name = "kafka.in_sync"
    found = [(each.desired, each.found) for each in facts.topics if each.found]
    leaderless = [each.name for each, there in found if there.leaderless]
    short = [each.name for each, there in found if there.in_sync < int(there.config.get("min.insync.replicas", "1"))]
    behind = [each.name for each, there in found if there.in_sync < there.replicas]
    brokers = "check in the brokers' logs whether a broker is down, or its disk is full or slow"
    if leaderless:
        yield bad(name, f"partitions of {listed(leaderless)} have no leader: no client can read or write them", brokers)
    elif short:
        yield bad(
            name, f"partitions of {listed(short)} have too few replicas in sync: nothing can be written there", brokers
        )
    elif behind:
        yield warn(name, f"partitions of {listed(behind)} are not in sync on every replica", brokers)
    else:
        yield ok(name, "all replicas are in sync")


def broker_settings(facts: Kafka) -> Iterator[Finding]:
    name = "kafka.broker_settings"
    silent = [each.number for each in facts.brokers if not each.settings]
    if silent:
        yield warn(
            name,
            f"the settings of broker {listed(silent)} cannot be read, so they are not checked",
            "allow this user to describe the cluster's configuration, or compare the settings with infra/kafka.py",
        )


def auto_create(facts: Kafka) -> Iterator[Finding]:
    if _any(facts, "auto.create.topics.enable", lambda value: value == "true"):
        yield warn(
            "kafka.auto_create",
            "the brokers create missing topics: a process that starts before `tidemill migrate` makes a topic with the "
            "wrong number of partitions",
            "set auto.create.topics.enable=false, or run `tidemill migrate` before all other processes",
        )


def failover(facts: Kafka) -> Iterator[Finding]:
    name = "kafka.executor_session_timeout"
    slowest = max(_milliseconds(facts, "group.consumer.session.timeout.ms"), default=None)
    if slowest is not None and slowest > SLOW_FAILOVER:
        yield warn(
            name,
            f"group.consumer.session.timeout.ms is {slowest.total_seconds():.0f} s: "
            "the runs in a killed executor's partitions wait for that time",
            "on the brokers (or the groups), set it to 10000 and group.consumer.min.session.timeout.ms to 6000",
        )
    elif slowest is not None:
        yield ok(name, f"other executors get a killed executor's partitions after {slowest.total_seconds():.0f} s")


def worker_session(facts: Kafka) -> Iterator[Finding]:
    name, least = (
        "kafka.worker_session_timeout",
        max(_milliseconds(facts, "group.min.session.timeout.ms"), default=None),
    )
    if least is not None and least > facts.session_timeout:
        yield bad(
            name,
            f"group.min.session.timeout.ms is {least.total_seconds():.0f} s, and TIDEMILL_SESSION_TIMEOUT is only "
            f"{facts.session_timeout.total_seconds():.0f} s: the brokers do not let stream workers join their group",
            "lower it on the brokers, or raise TIDEMILL_SESSION_TIMEOUT",
        )


def offsets_retention(facts: Kafka) -> Iterator[Finding]:
    found = [int(each.settings["offsets.retention.minutes"]) for each in facts.brokers if _has(each.settings)]
    if found and timedelta(minutes=min(found)) < SHORTEST_OFFSETS_RETENTION:
        yield warn(
            "kafka.offsets_retention",
            f"the brokers delete a group's offsets after {min(found)} minutes: after a longer outage every executor "
            "reads a week of old dispatches and refuses them",
            "set offsets.retention.minutes to its default, 10080",
        )


def _has(settings: dict[str, str]) -> bool:
    return "offsets.retention.minutes" in settings


def internal_replicas(facts: Kafka) -> Iterator[Finding]:
    if len(facts.brokers) < ENOUGH_REPLICAS:
        return
    for setting in ("offsets.topic.replication.factor", "transaction.state.log.replication.factor"):
        if _any(facts, setting, lambda value: int(value) < ENOUGH_REPLICAS):
            yield warn(
                "kafka.internal_replicas",
                f"{setting} is below 3: if a broker fails, committed offsets or transactions are lost",
                f"set {setting}=3 before the cluster's first use; later, reassign the internal topics",
            )


def _any(facts: Kafka, setting: str, is_so: Callable[[str], bool]) -> bool:
    return any(is_so(each.settings[setting]) for each in facts.brokers if setting in each.settings)


def _milliseconds(facts: Kafka, setting: str) -> Iterator[timedelta]:
    for each in facts.brokers:
        if setting in each.settings:
            yield timedelta(milliseconds=int(each.settings[setting]))


CHECKS: tuple[Callable[[Kafka], Iterator[Finding]], ...] = (
    version,
    writable,
    topics_exist,
    partitions,
    topic_settings,
    replicas,
    in_sync,
    broker_settings,
    auto_create,
    failover,
    worker_session,
    offsets_retention,
    internal_replicas,
)
