"""Changes of runs as server-sent events, from a real Kafka: a reader that comes back misses nothing."""

from __future__ import annotations

import http.client
import itertools
import json
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.codec import encode
from schemas.ids import RunId
from schemas.settings import Connections
from schemas.status import RunStatus
from schemas.topics import STATUS
from schemas.words import RunKind, RunState
from tests.component.api.conftest import PARTS
from tests.support.servers.kafka_node import running_kafka
from tests.support.web_site import running_site

AT = datetime(2026, 11, 21, tzinfo=UTC)
PARTITIONS = 3
_versions = itertools.count(1)


@pytest.fixture(scope="module")
def target(module_dsn):
    with running_kafka() as address:
        made = Connections(postgres_dsn=module_dsn, kafka_bootstrap=address, partitions=PARTITIONS)
        admin = AdminClient({"bootstrap.servers": address})
        made_topic = admin.create_topics([NewTopic(made.topic(STATUS), PARTITIONS, 1)])
        made_topic[made.topic(STATUS)].result(30)
        yield made


@pytest.fixture(scope="module")
def site(target):
    with running_site(target, {"parts": lambda: PARTS}) as made:
        yield made


@pytest.fixture(scope="module")
def producer(target):
    return Producer({"bootstrap.servers": target.kafka_bootstrap})


@pytest.fixture
def write(producer, target):
    def write(job_id, request_id, state, partition=None):
        run_id = RunId(f"{job_id}#{request_id}")
        status = RunStatus(
            run_id=run_id, job_id=job_id, tenant="default", kind=RunKind.REQUESTED, nominal_time=AT, scheduled_time=AT,
            state=RunState(state), version=next(_versions),
        )  # fmt: skip
        number = hash(job_id) % PARTITIONS if partition is None else partition
        producer.produce(target.topic(STATUS), encode(status), run_id, number)
        assert producer.flush(20) == 0
        return run_id

    return write


class Stream:
    def __init__(self, answer):
        self._answer = answer
        self.last_id = None

    def next(self):
        """The next event as (name, data)."""
        name, data = "message", ""
        while line := self._answer.readline():
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "id":
                self.last_id = value
            elif field == "event":
                name = value
            elif field == "data":
                data = value
            elif not field and data:
                return name, json.loads(data)
        return None

    def until_connected(self):
        while not self.last_id:
            self._line()

    def _line(self):
        field, _, value = self._answer.readline().decode().rstrip("\n").partition(": ")
        if field == "id":
            self.last_id = value


@pytest.fixture
def events(site):
    @contextmanager
    def connect(query="", last_id=None):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
        try:
            connection.request("GET", f"/v1/events{query}", headers={"Last-Event-ID": last_id} if last_id else {})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield Stream(answer)
        finally:
            connection.close()

    return connect


def test_a_change_is_an_event_and_filters_hold(events, write):
    with events("?job=a&state=succeeded&state=failed") as stream:
        stream.until_connected()
        write("a", "1", "queued")
        write("b", "1", "succeeded")
        write("a", "1", "failed")
        write("a", "2", "succeeded")
        found = [stream.next() for _ in range(2)]
    assert [(name, run["run_id"], run["state"]) for name, run in found] == [
        ("run", "a#1", "failed"),
        ("run", "a#2", "succeeded"),
    ]
    assert "output" not in found[0][1]


def test_who_comes_back_gets_what_was_written_meanwhile_exactly_once(events, write):
    with events("?job=back") as stream:
        stream.until_connected()
        write("back", "0", "queued", 0)
        assert stream.next()[1]["run_id"] == "back#0"
        last_id = stream.last_id
    for number in range(1, 31):
        write("back", str(number), "queued", number % PARTITIONS)
    with events("?job=back", last_id) as stream:
        seen = {stream.next()[1]["run_id"] for _ in range(30)}
        write("back", "31", "queued", 1)
        assert stream.next()[1]["run_id"] == "back#31"
    assert seen == {f"back#{number}" for number in range(1, 31)}


def test_a_reader_that_has_left_before_the_first_event_misses_nothing(events, write):
    with events("?job=early") as stream:
        stream.until_connected()
        last_id = stream.last_id
    write("early", "1", "queued")
    with events("?job=early", last_id) as stream:
        assert stream.next()[1]["run_id"] == "early#1"


def test_a_stream_about_one_run_ends_with_it(events, write):
    with events(f"?run={quote('one#1', safe='')}") as stream:
        stream.until_connected()
        write("one", "1", "running")
        write("one", "2", "succeeded")
        write("one", "1", "succeeded")
        assert [stream.next()[0] for _ in range(3)] == ["run", "run", "end"]
        assert stream.next() is None


def test_a_place_that_the_topic_does_not_have_is_a_reset(events, write, site):
    beyond = "WzEwMDAwMDAwLDEwMDAwMDAwLDEwMDAwMDAwXQ"  # [10000000,10000000,10000000]
    with events("?job=reset", beyond) as stream:
        assert stream.next() == ("reset", {})
        write("reset", "1", "queued")
        assert stream.next()[1]["run_id"] == "reset#1"


def test_an_id_that_is_none_is_refused(site):
    answer = site.get("/v1/events", Last_Event_ID="no-id")
    assert (answer.status, json.loads(answer.text)["type"]) == (400, "tidemill:malformed")
