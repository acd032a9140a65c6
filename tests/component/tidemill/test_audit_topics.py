"""`tidemill audit` over the topic `status`, and over the topic and the read model against each other."""

from __future__ import annotations

from datetime import timedelta

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaException, Producer
from psycopg.rows import dict_row

from connectors.topics import create
from schemas.codec import encode
from schemas.partition import partition_of
from schemas.settings import Connections
from schemas.status import Attempt, RunStatus, Transition
from schemas.topics import STATUS
from schemas.words import AttemptEnd, RunKind, RunState
from tests.component.tidemill.test_overdue import RUN, put
from tests.support.read_model_rows import allow_writes
from tests.support.servers.kafka_node import running_kafka
from tests.support.waiting import eventually
from tidemill.audit.command import Against, look
from tidemill.audit.findings import Finding
from tidemill.audit.matching import Span
from tidemill.audit.tables import Scope
from tidemill.lag import offsets, read_to_end
from tidemill.queries import now_of

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
PARTITIONS = 3


@pytest.fixture(scope="module")
def place():
    """Each test has jobs of its own in the topic."""
    with running_kafka() as address:
        found = Connections(kafka_bootstrap=address, topic_prefix="audit.", partitions=PARTITIONS)
        create(found)
        everywhere = [(found.topic(STATUS), number) for number in range(PARTITIONS)]
        eventually(lambda: answers(found, everywhere), 60)
        yield found


def answers(place, partitions):
    """The partitions of a new topic have no leader at first."""
    try:
        return offsets(place, partitions, OFFSET_BEGINNING)
    except KafkaException:
        return None


@pytest.fixture
def database(tables):
    tables.row_factory = dict_row
    tables.execute("alter table tidemill.definitions disable trigger user")
    allow_writes(tables, [(now_of(tables) - timedelta(days=1)).date()])
    return tables


@pytest.fixture
def last(database):
    return now_of(database).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def audited(database, place, last):
    def audit(against=Against.TOPICS, **scope):
        scope = Scope(span=Span(last - 6 * HOUR, last), **scope)
        report = look(database, scope, target=place, against=against)
        return [(each.finding, each.owner, each.run_id) for each in report.found], report

    return audit


def succeeded(job, at, version=4, **changes):
    attempt = Attempt(
        attempt=1,
        token=2,
        timeout_class="10s",
        dispatched_at=at,
        started_at=at + SECOND / 100,
        finished_at=at + SECOND,
        end=AttemptEnd.SUCCEEDED,
    )
    states = (RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED)
    values = {
        "run_id": f"{job}@{at:%Y-%m-%dT%H:%M:%SZ}",
        "job_id": job,
        "tenant": "default",
        "kind": RunKind.SCHEDULED,
        "nominal_time": at,
        "scheduled_time": at,
        "state": RunState.SUCCEEDED,
        "version": version,
        "attempts": (attempt,),
        "transitions": tuple(Transition(version=n, at=at, state=each, attempt=1) for n, each in enumerate(states)),
    }
    return RunStatus(**(values | changes))


def produce(place, statuses):
    producer = Producer({"bootstrap.servers": place.kafka_bootstrap})
    for each in statuses:
        number = partition_of(each.job_id, PARTITIONS)
        producer.produce(place.topic(STATUS), key=each.run_id.encode(), value=encode(each), partition=number)
    assert producer.flush(30) == 0


def record_at(place, where, offset):
    topic, _, number = where.rpartition("/")
    return next(read_to_end(place, {(topic, int(number)): offset}))


def show(database, status, **changes):
    """The row that the sink writes for a status."""
    row = {"run_id": status.run_id, "job": status.job_id, "at": status.nominal_time, "state": status.state.value}
    database.execute(RUN, row | dict.fromkeys(("code", "first", "last", "count")))
    values = {"version": status.version, "run_id": status.run_id} | changes
    database.execute("update tidemill.runs set version = %(version)s where run_id = %(run_id)s", values)


def hours(last):
    return [last - number * HOUR for number in range(6)]


def test_jobs_of_all_partitions_are_proven_by_the_topic_alone(database, place, last, audited):
    jobs = [f"job-{letter}" for letter in "abcdefgh"]
    for job in jobs:
        put(database, job, tenant="many")
    produce(place, [succeeded(job, at, tenant="many") for job in jobs for at in hours(last)])
    found, report = audited(tenant="many")
    assert found == []
    assert {partition_of(job, PARTITIONS) for job in jobs} == set(range(PARTITIONS))
    assert (report.tally.expected, report.tally.runs, report.tally.owners) == (48, 48, 8)


def test_what_is_missing_in_the_topic_is_found_although_a_table_shows_it(database, place, last, audited):
    put(database, "gap")
    statuses = [succeeded("gap", at) for at in hours(last)]
    produce(place, statuses[1:])
    for each in statuses:
        show(database, each)
    assert audited(owner="gap")[0] == [(Finding.MISSING, "gap", None)]


def test_a_job_without_any_record_is_missing(database, audited):
    put(database, "silent")
    assert audited(owner="silent")[0] == [(Finding.MISSING, "silent", None)]


def test_a_history_that_contradicts_itself_is_found_with_its_offset(database, place, last, audited):
    put(database, "liar")
    at = hours(last)[0]
    lie = succeeded("liar", at, attempts=())
    produce(place, [lie, *[succeeded("liar", each) for each in hours(last)[1:]]])
    found, report = audited(owner="liar")
    assert found == [(Finding.STATUS_LIE, "liar", lie.run_id)]
    where, offset = report.found[0].evidence.split("@")
    assert where == f"{place.topic(STATUS)}/{partition_of('liar', PARTITIONS)}"
    assert record_at(place, where, int(offset)).key() == lie.run_id.encode()


def test_the_latest_record_of_a_run_counts(database, place, last, audited):
    put(database, "moved")
    open_one = succeeded("moved", last, version=2, state=RunState.RUNNING, transitions=(), attempts=())
    produce(place, [open_one, *[succeeded("moved", at) for at in hours(last)]])
    assert audited(owner="moved")[0] == []


@pytest.mark.parametrize("rows", ["behind", "absent", "ahead"])
def test_rows_that_differ_from_the_topic_are_found(database, place, last, audited, rows):
    put(database, rows)
    statuses = [succeeded(rows, at) for at in hours(last)]
    produce(place, statuses)
    for each in statuses[1:]:
        show(database, each)
    database.execute("update tidemill.runs set state = 'succeeded', reason_code = 'marked'")
    if rows != "absent":
        show(database, statuses[0], version=3 if rows == "behind" else 5)
    found = {each for each in audited(Against.BOTH, owner=rows)[0] if each[0] is not Finding.MISSING}
    expected = {(Finding.STATUS_LIE, rows, statuses[0].run_id)}
    assert found == (set() if rows == "ahead" else expected)
