"""A throwaway broker and S3, executors as real processes, and a scripted owner that dispatches and reads events."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from connectors.cluster import establish
from infra import leash
from schemas.codec import decode, encode
from schemas.confinement import Confinement
from schemas.control import Kill
from schemas.dispatch import Dispatch
from schemas.event import Ended, EventBatch, Expired, Rejected
from schemas.heartbeat import ExecutorState, Heartbeat
from schemas.log_chunks import is_chunk
from schemas.settings import AgreedSettings, Connections
from schemas.times import from_epoch_ms
from schemas.topics import CONTROL, EVENTS, EXECUTORS, runs_topic
from tests.support.servers.broker_and_s3 import BUCKET, running_servers
from tests.support.waiting import eventually

WAIT_SECONDS = 30.0
PARTITIONS = 4
_numbers = itertools.count()


@pytest.fixture(scope="session")
def shared_servers():
    with running_servers() as made:
        s3_client(made.environment).create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture
def own_servers():
    """Servers for tests that kill them."""
    with running_servers() as made:
        s3_client(made.environment).create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture
def servers(shared_servers):
    """The addresses of the servers, as environment variables."""
    return shared_servers.environment


def s3_client(environment):
    return boto3.client(
        "s3",
        endpoint_url=environment["TIDEMILL_S3_ENDPOINT"],
        aws_access_key_id=environment["TIDEMILL_S3_ACCESS_KEY"],
        aws_secret_access_key=environment["TIDEMILL_S3_SECRET_KEY"],
        region_name="us-east-1",
    )


@pytest.fixture
def objects(servers):
    return Objects(s3_client(servers))


class Objects:
    """Puts objects into S3; returns the address and hash of each."""

    def __init__(self, client):
        self._client = client

    def put(self, data: bytes, key: str | None = None) -> tuple[str, str]:
        key = key or f"bin/{next(_numbers)}/script.sh"
        self._client.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}", hashlib.sha256(data).hexdigest()

    def script(self, text: str) -> tuple[str, str]:
        return self.put(b"#!/bin/sh\n" + text.encode())

    def read(self, prefix_uri: str) -> bytes:
        prefix = prefix_uri.removeprefix(f"s3://{BUCKET}/")
        found = self._client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        keys = sorted(each["Key"] for each in found if is_chunk(each["Key"]))
        return b"".join(self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys)


def make_connections(environment):
    """Connections with new topics."""
    plain = {name.removeprefix("TIDEMILL_").lower(): value for name, value in environment.items()}
    made = Connections(**plain, topic_prefix=f"t{next(_numbers)}.", partitions=PARTITIONS, timeout_classes="10s,1m")
    establish(made, AgreedSettings())
    return made


@pytest.fixture
def connections(servers):
    return make_connections(servers)


@pytest.fixture
def owner(connections):
    with closing(Owner(connections)) as scripted:
        yield scripted


@pytest.fixture
def executors(servers, connections, tmp_path):
    with closing(Fleet(servers, connections, tmp_path)) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def shared_executor(shared_servers, tmp_path_factory):
    """One default executor and its owner, for the tests of a file that do not change it."""
    connections = make_connections(shared_servers.environment)
    folder = tmp_path_factory.mktemp("executor")
    with (
        closing(Owner(connections)) as scripted,
        closing(Fleet(shared_servers.environment, connections, folder)) as fleet,
    ):
        yield scripted, fleet.start()


@dataclass(frozen=True)
class Heard:
    partition: int
    offset: int
    appended_at: datetime
    executor_id: str
    event: object


class Owner:
    """Dispatches in transactions, as owners do, and reads the events of executors."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._producer = Producer(connections.kafka(transactional_id=f"{connections.topic_prefix}owner", linger_ms=0))
        self._producer.init_transactions()
        self._tokens = itertools.count(1)
        self._consumer = self._reader(EVENTS)
        self._heartbeats = self._reader(EXECUTORS)
        self.heard: list[Heard] = []
        self.heartbeats: list[tuple[datetime, Heartbeat]] = []
        self.batches: list[EventBatch] = []

    def _reader(self, name):
        topic = self._connections.topic(name)
        consumer = Consumer(self._connections.kafka(group_id=f"reader-{topic}", fetch_wait_max_ms=50))
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
        return consumer

    def dispatch(self, *dispatches: Dispatch, partition: int | None = None) -> None:
        self._producer.begin_transaction()
        for each in dispatches:
            self._producer.produce(
                self._connections.topic(runs_topic(each.timeout_class)),
                value=encode(each),
                key=each.run_id,
                partition=partition if partition is not None else each.token % PARTITIONS,
            )
        self._producer.commit_transaction()

    def kill(self, *orders: Dispatch, grace: float = 30.0, **changes) -> None:
        self.write_control(*(encode(_kill_of(each, timedelta(seconds=grace), **changes)) for each in orders))

    def write_control(self, *values: bytes | None) -> None:
        self._producer.begin_transaction()
        for value in values:
            self._producer.produce(self._connections.topic(CONTROL), value=value, key="any", partition=0)
        self._producer.commit_transaction()

    def order(self, executable: tuple[str, str | None], **changes) -> Dispatch:
        token = next(self._tokens)
        now = datetime(2026, 11, 21, 3, tzinfo=UTC)
        plain = {
            "run_id": f"job-{token}@2026-11-21T03:00:00Z",
            "owner": f"job-{token}",
            "job_id": f"job-{token}",
            "attempt": 1,
            "token": token,
            "timeout_class": "10s",
            "nominal_time": now,
            "scheduled_time": now,
            "executable": executable[0],
            "sha256": executable[1],
            "args": (),
            "env": {},
            "payload": None,
            "limit": timedelta(seconds=10),
            "valid_for": timedelta(seconds=60),
            "claim_grace": timedelta(seconds=15),
            "lease": timedelta(seconds=30),
        }
        return Dispatch(**{**plain, **changes})

    def run(self, executable, **changes):
        """Dispatch one run and wait for its last event."""
        order = self.order(executable, **changes)
        self.dispatch(order)
        return self.end_of(order)

    def listen(self) -> None:
        for message in self._consumer.consume(500, 0.02):
            assert message.error() is None, message.error()
            batch = decode(message.value(), EventBatch)
            self.batches.append(batch)
            appended_at = from_epoch_ms(message.timestamp()[1])
            place = message.partition(), message.offset(), appended_at, batch.executor_id
            self.heard += [Heard(*place, event) for event in batch.events]
        for message in self._heartbeats.consume(100, 0):
            assert message.error() is None, message.error()
            if message.value() is not None:  # otherwise the client asks the broker for its time
                self.heartbeats.append((from_epoch_ms(message.timestamp()[1]), decode(message.value(), Heartbeat)))

    def wait(self, condition, seconds=WAIT_SECONDS):
        """Listen until `condition()` holds; returns what it returns."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not in {seconds} s; heard {self.heard[-20:]}"
            self.listen()
        return found

    def of(self, order: Dispatch, kind=object) -> list:
        events = (each.event for each in self.heard)
        return [each for each in events if each.token == order.token and isinstance(each, kind)]

    def first(self, order: Dispatch, kind):
        return self.wait(lambda: self.of(order, kind))[0]

    def end_of(self, order: Dispatch):
        return self.first(order, (Ended, Expired, Rejected))

    def last_heartbeat(self, state: ExecutorState | None = None):
        found = [each for _, each in self.heartbeats if state in (None, each.state)]
        return found[-1] if found else None

    def last_heartbeat_of(self, name: str):
        return [each for _, each in self.heartbeats if each.name == name][-1]

    def close(self) -> None:
        self._consumer.close()
        self._heartbeats.close()


def _kill_of(order: Dispatch, grace: timedelta, **changes) -> Kill:
    plain = {"run_id": order.run_id, "token": order.token, "grace": grace, "valid_for": timedelta(seconds=75)}
    return Kill(**{**plain, **changes})


@dataclass
class Executor:
    process: subprocess.Popen
    log: Path
    ready: Path
    work: Path

    @property
    def supervisor(self) -> int:
        """The pid of its only child."""
        return next(pid for pid, parent in processes() if parent == self.process.pid)

    def made(self, name: str) -> list[Path]:
        """The files of this name in the working directories of attempts."""
        return list(self.work.glob(f"*/*/work/{name}"))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


_DIES_WITH_THE_TEST = (*leash.COMMAND, *map(str, (int(signal.SIGKILL), os.getpid(), leash.KEEP_USER, leash.KEEP_USER)))


class Fleet:
    def __init__(self, servers, connections, folder) -> None:
        self._servers, self._connections, self._folder = servers, connections, folder
        self._all: list[Executor] = []

    def start(self, name="executor", *, wait=True, behind=(), **settings) -> Executor:
        """`behind` is a command that executes the executor."""
        folder = self._folder / f"{name}-{len(self._all)}"
        folder.mkdir()
        ours = {
            "TIDEMILL_EXECUTOR_NAME": name,
            "TIDEMILL_TOPIC_PREFIX": self._connections.topic_prefix,
            "TIDEMILL_PARTITIONS": str(PARTITIONS),
            "TIDEMILL_TIMEOUT_CLASSES": self._connections.timeout_classes,
            "TIDEMILL_HEARTBEAT_INTERVAL": "PT0.5S",
            "TIDEMILL_WORK_DIR": str(folder / "work"),
            "TIDEMILL_READY_FILE": str(folder / "ready"),
            **{f"TIDEMILL_{key.upper()}": str(value) for key, value in settings.items()},
        }
        log = folder / "log"
        with log.open("wb") as file:
            command = [*_DIES_WITH_THE_TEST, *behind, sys.executable, "-m", "executors"]
            process = subprocess.Popen(command, env={**os.environ, **self._servers, **ours}, stderr=file)
        executor = Executor(process=process, log=log, ready=folder / "ready", work=folder / "work")
        self._all.append(executor)
        if wait:
            self.wait_ready(executor)
        return executor

    def wait_ready(self, executor: Executor) -> None:
        def is_ready():
            assert executor.process.poll() is None, executor.log.read_text()
            return executor.ready.exists()

        eventually(is_ready, WAIT_SECONDS, executor.log.read_text)

    def close(self) -> None:
        for executor in self._all:
            if executor.process.poll() is None:
                executor.process.send_signal(signal.SIGCONT)
                executor.process.kill()
            executor.process.wait()


class Trace:
    """A file to which all attempts of all executors append the number of their dispatch."""

    def __init__(self, path: Path) -> None:
        path.touch()
        path.chmod(0o666)
        self._path, self.allowed = path, f"rw:{path}"
        self.script = f"echo $TIDEMILL_FENCING_TOKEN >> {path}"
        self.asked = Confinement(unveil=(self.allowed,))

    def read(self) -> list[str]:
        return self._path.read_text().split()


@pytest.fixture
def trace(tmp_path):
    return Trace(tmp_path / "trace")


def processes() -> Iterator[tuple[int, int]]:
    """Every living process and its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            yield int(path.parent.name), int(fields[1])


def marked(mark: str) -> list[int]:
    """The living processes with this text in their command line."""
    found = []
    for pid, _ in processes():
        try:
            if mark.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.fixture
def marks():
    """Creates marks for command lines, to find a test's processes; at the end none may be left."""
    made = []

    def make() -> str:
        made.append(f"{os.getpid()}{time.monotonic_ns() % 10**9}{len(made)}")
        return made[-1]

    yield make
    for mark in made:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def alive():
    """The living processes whose command line has a mark."""
    return marked


@pytest.fixture
def until():
    return eventually
