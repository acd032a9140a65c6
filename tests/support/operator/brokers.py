"""Three brokers as an operator runs them: TLS and SCRAM for every client, an authorizer that denies what no ACL allows,
three replicas with two in sync, no automatic creation of topics.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import trustme
from confluent_kafka import ElectionType, KafkaException
from confluent_kafka.admin import AdminClient

from infra import kafka
from infra.brokers import NUMBERS, replicated_properties
from infra.jvm import java, properties_file, quiet_logging
from infra.part import Part
from infra.ports import Ports
from infra.process import spawn
from tests.support.servers.secured_kafka_node import write_store
from tests.support.waiting import eventually

ADMIN = "admin"
HEAP_MB = 160
START_SECONDS = 120
"""Three JVMs start at once on few cores."""
LOG_BYTES = 1024 * 1024 * 1024
"""Large enough to keep the whole log: `audit` reads it."""
ANSWER_SECONDS = 2.0
_IMPATIENT = {"log_level": "0", "socket.timeout.ms": "2000"}
"""Tests stop, kill and freeze brokers: the client does not wait long for one broker, and does not log it."""
_LISTENER = "SASL_SSL"
_AUDIT = "kafka.authorizer.logger"
_ELECTIONS = "org.apache.kafka.raft.QuorumState"
_ELECTED = "Completed transition to Leader"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"


class Brokers:
    """Three brokers; a test can stop and start each one."""

    def __init__(self, parts: dict[int, Part], bootstrap: str, login: dict[str, str]) -> None:
        self._parts = parts
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.bootstrap, self.login = bootstrap, {**login, **_IMPATIENT, "bootstrap.servers": bootstrap}
        """Options of librdkafka for the administrator."""
        self.admin = AdminClient(self.login)

    def start(self, number: int) -> None:
        self._processes[number] = spawn(self._parts[number], LOG_BYTES)

    def stop(self, number: int) -> None:
        """A controlled shutdown: the broker hands its partitions over before it ends."""
        process = self._processes.pop(number)
        process.terminate()
        process.wait(START_SECONDS)

    def pid(self, number: int) -> int:
        return self._processes[number].pid

    def kill(self, number: int) -> None:
        """SIGKILL: the broker hands nothing over."""
        process = self._processes.pop(number)
        process.kill()
        process.wait()

    def kill_all(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()

    def are_in_sync(self) -> bool:
        """Every partition has a leader, and all of its replicas are in sync."""
        try:
            found = self.admin.list_topics(timeout=ANSWER_SECONDS)
        except KafkaException:
            return False
        partitions = [each for topic in found.topics.values() for each in topic.partitions.values()]
        return len(found.brokers) == len(NUMBERS) and all(
            each.leader >= 0 and len(each.isrs) == len(each.replicas) for each in partitions
        )

    def leader(self, topic: str, partition: int) -> int:
        """The number of the leader; -1: the partition has no leader."""
        return int(self.admin.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions[partition].leader)

    def balance(self) -> None:
        """Elects the preferred leaders."""
        self.admin.elect_leaders(ElectionType.PREFERRED).result(START_SECONDS)

    def controller(self) -> int:
        """The number of the active controller: the last one elected."""
        elected = {
            line: number
            for number, part in self._parts.items()
            for line in part.log.read_text().splitlines()
            if _ELECTED in line
        }
        return elected[max(elected)]  # each line starts with its time

    def audit(self) -> list[str]:
        """The log lines of the authorizers."""
        return [line for part in self._parts.values() for line in part.log.read_text().splitlines() if _AUDIT in line]


@contextmanager
def running_brokers(data: Path, cache: Path, class_path: str, authority: trustme.CA, ca: Path) -> Iterator[Brokers]:
    data.mkdir()
    password = secrets.token_hex(8)
    names = [f"{kind}-{number}" for number in NUMBERS for kind in ("kafka", "controller")]
    ports = Ports(data, cache, names)
    store = write_store(authority.issue_cert("127.0.0.1"), data / "broker.pem")
    configs = {each: _config(data / f"broker-{each}", each, ports.by_name, password, store, ca) for each in NUMBERS}
    cluster_id, admin = kafka.new_cluster_id(), f"SCRAM-SHA-512=[name={ADMIN},password={password}]"
    with ThreadPoolExecutor(len(NUMBERS)) as pool:
        arguments = (class_path, cluster_id, "--add-scram", admin)
        formatted = [pool.submit(kafka.format_log, each, *arguments) for each in configs.values()]
        for each in formatted:
            each.result()
    parts = {each: _part(data, each, ports.by_name[f"kafka-{each}"], configs[each], class_path) for each in NUMBERS}
    bootstrap = ",".join(f"127.0.0.1:{ports.by_name[f'kafka-{each}']}" for each in NUMBERS)
    brokers = Brokers(parts, bootstrap, client(ADMIN, password, ca))
    try:
        for each in NUMBERS:
            brokers.start(each)
        eventually(brokers.are_in_sync, START_SECONDS, "the start of three brokers")
        yield brokers
    finally:
        brokers.kill_all()
        ports.close()


def client(user: str, password: str, ca: Path) -> dict[str, str]:
    """Options of librdkafka for one user."""
    return {
        "security.protocol": _LISTENER,
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": password,
        "ssl.ca.location": str(ca),
    }


def _config(home: Path, number: int, ports: dict[str, int], password: str, store: Path, ca: Path) -> Path:
    (home / "kafka").mkdir(parents=True)
    config = home / "kafka" / "server.properties"
    port, controller = ports[f"kafka-{number}"], ports[f"controller-{number}"]
    values = replicated_properties(home / "kafka", number, ports, {}) | {
        "listeners": f"{_LISTENER}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"{_LISTENER}://127.0.0.1:{port}",
        "listener.security.protocol.map": f"{_LISTENER}:{_LISTENER},CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": _LISTENER,
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f'{_SCRAM} username="{ADMIN}" password="{password}";',
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(ca),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
        "super.users": f"User:{ADMIN};User:ANONYMOUS",  # the controllers' listener has no logins: only brokers use it
    }
    config.write_text(properties_file(values))
    return config


def _part(data: Path, number: int, port: int, config: Path, class_path: str) -> Part:
    whole = kafka.part(data, port, config, class_path, name=f"kafka-{number}")
    logging = quiet_logging() | {
        f"org.slf4j.simpleLogger.log.{_AUDIT}": "debug",
        f"org.slf4j.simpleLogger.log.{_ELECTIONS}": "info",
    }
    return msgspec.structs.replace(
        whole,
        argv=java("kafka.Kafka", str(config), heap_mb=HEAP_MB, properties=logging),
    )
