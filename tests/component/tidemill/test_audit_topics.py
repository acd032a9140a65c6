"""`tidemill audit` over the topics, and over the topics and the read model against each other."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from psycopg.rows import dict_row

from connectors.topics import create
from schemas.codec import encode
from schemas.dispatch import Dispatch
from schemas.event import EndCause, Ended, EventBatch, Started
from schemas.partition import partition_of
from schemas.settings import Connections
from schemas.status import Attempt, RunStatus, Transition
from schemas.times import epoch_ms
from schemas.topics import EVENTS, STATUS, executor_group, runs_topic
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
RUNS = runs_topic("10s")


@pytest.fixture(scope="module")
def place():
    """Each test has jobs of its own in the topic."""
    with running_kafka() as address:
        found = Connections(kafka_bootstrap=address, topic_prefix="audit.", partitions=PARTITIONS)
        create(found)
        everywhere = [(found.topic(STATUS), number) for number in range(PARTITIONS)]
        eventually(lambda: answers(found, everywhere), 60)
        let_producers_say_the_time(found)
        yield found


def let_producers_say_the_time(place):
    """Of dispatches and events, so that a test can have old ones."""
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    topics = [place.topic(name) for name in (EVENTS, RUNS)]
    wanted = [ConfigResource(ResourceType.TOPIC, each, incremental_configs=[entry]) for each in topics]
    admin = AdminClient({"bootstrap.servers": place.kafka_bootstrap})
    for each in admin.incremental_alter_configs(wanted).values():
        each.result(30)


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
    """The statuses, and for each of their attempts a dispatch and what the executor reported."""
    publish(place, statuses)
    for status in statuses:
        for attempt in status.attempts:
            append(place, status.job_id, RUNS, attempt.dispatched_at, dispatch(status, attempt))
            append(place, status.job_id, EVENTS, attempt.finished_at, reported(status, attempt))


def publish(place, statuses):
    producer = Producer({"bootstrap.servers": place.kafka_bootstrap})
    for each in statuses:
        number = partition_of(each.job_id, PARTITIONS)
        producer.produce(place.topic(STATUS), key=each.run_id.encode(), value=encode(each), partition=number)
    assert producer.flush(30) == 0


def append(place, job, topic, at, record):
    """Returns its offset."""
    producer, offsets_of = Producer({"bootstrap.servers": place.kafka_bootstrap}), []
    producer.produce(
        place.topic(topic),
        key=job.encode(),
        value=encode(record),
        partition=partition_of(job, PARTITIONS),
        timestamp=epoch_ms(at),
        on_delivery=lambda _, message: offsets_of.append(message.offset()),
    )
    assert producer.flush(30) == 0
    return offsets_of[0]


def dispatch(status, attempt):
    return Dispatch(
        run_id=status.run_id,
        owner=status.job_id,
        job_id=status.job_id,
        attempt=attempt.attempt,
        token=attempt.token,
        timeout_class="10s",
        nominal_time=status.nominal_time,
        scheduled_time=status.scheduled_time,
        executable="s3://bucket/k",
        sha256=None,
        args=(),
        env={},
        payload=None,
        limit=10 * SECOND,
        valid_for=30 * SECOND,
        claim_grace=10 * SECOND,
        lease=15 * SECOND,
        tenant=status.tenant,
    )


def reported(status, attempt, **of_its_end):
    who = {"run_id": status.run_id, "attempt": attempt.attempt, "token": attempt.token}
    end = {"at": attempt.finished_at, "cause": EndCause.EXITED, "exit_code": 0, "started_at": attempt.started_at}
    started = Started(**who, at=attempt.started_at, sha256="0" * 64)
    return EventBatch(executor_id="e.1", events=(started, Ended(**who, **(end | of_its_end))))


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
    assert (report.tally.dispatches, report.tally.starts, report.tally.ends) == (48, 48, 48)


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


def whole(database, place, job, last):
    """A job of which everything is right, but for its last run, which the caller produces."""
    put(database, job)
    statuses = [succeeded(job, at) for at in hours(last)]
    produce(place, statuses[1:])
    publish(place, statuses[:1])
    return statuses[0], statuses[0].attempts[0]


def test_an_attempt_without_a_dispatch_or_a_report_is_found(database, place, last, audited):
    status, _ = whole(database, place, "unsent", last)
    found, report = audited(owner="unsent")
    assert {each[0] for each in found} == {Finding.MISSING, Finding.STATUS_LIE}
    sentences = {each.sentence.partition(": ")[2] for each in report.found}
    assert sentences == {
        "attempt 1 has no dispatch in runs.10s",
        "attempt 1 started by its status, and no executor reported a start",
        "attempt 1 is succeeded by its status, and no executor reported an end",
    }
    assert {each[2] for each in found} == {status.run_id}


def test_a_success_that_its_executor_did_not_report_is_found_with_the_offset_of_the_event(
    database, place, last, audited
):
    status, attempt = whole(database, place, "cheat", last)
    append(place, "cheat", RUNS, last, dispatch(status, attempt))
    offset = append(place, "cheat", EVENTS, last, reported(status, attempt, exit_code=3))
    found, report = audited(owner="cheat")
    assert found == [(Finding.STATUS_LIE, "cheat", status.run_id)]
    assert report.found[0].evidence == f"{place.topic(EVENTS)}/{partition_of('cheat', PARTITIONS)}@{offset}"


@pytest.mark.parametrize("of", ["a run without a status", "an attempt that its status does not have"])
def test_a_dispatch_that_no_status_has_is_found(database, place, last, audited, of):
    job = f"ghost-{of[:5].strip().replace(' ', '-')}"
    put(database, job)
    statuses = [succeeded(job, at) for at in hours(last)]
    produce(place, statuses)
    extra = statuses[0].attempts[0]
    if of.startswith("a run"):
        status = succeeded(job, last, run_id=f"{job}#asked", kind=RunKind.REQUESTED)
    else:
        status, extra = statuses[0], Attempt(attempt=2, token=9, timeout_class="10s", dispatched_at=last)
    append(place, job, RUNS, last, dispatch(status, extra))
    assert audited(owner=job)[0] == [(Finding.UNEXPECTED, job, status.run_id)]


def test_a_start_from_a_dispatch_that_is_not_claimed_is_found(database, place, last, audited):
    status, attempt = whole(database, place, "unclaimed", last)
    offset = append(place, "unclaimed", RUNS, last, dispatch(status, attempt))
    append(place, "unclaimed", EVENTS, last, reported(status, attempt))
    with claimed_below(place, "unclaimed", offset):
        found, report = audited(owner="unclaimed")
        assert found == [(Finding.UNEXPECTED, "unclaimed", status.run_id)]
        assert "not claimed" in report.found[0].sentence
    with claimed_below(place, "unclaimed", offset + 1):
        assert audited(owner="unclaimed")[0] == []


@contextmanager
def claimed_below(place, job, offset):
    where = TopicPartition(place.topic(RUNS), partition_of(job, PARTITIONS), offset)
    group = executor_group(place.topic_prefix, "10s")
    executor = Consumer({"bootstrap.servers": place.kafka_bootstrap, "group.id": group})
    executor.commit(offsets=[where], asynchronous=False)
    executor.close()
    yield
    where.offset = 1_000_000  # other tests have dispatches in this partition
    executor = Consumer({"bootstrap.servers": place.kafka_bootstrap, "group.id": group})
    executor.commit(offsets=[where], asynchronous=False)
    executor.close()


@pytest.mark.parametrize("end", [AttemptEnd.LOST, AttemptEnd.FAILED])
def test_two_processes_at_once_are_explained_by_a_lost_lease_alone(database, place, last, audited, end):
    job = f"double-{end.value}"
    put(database, job)
    produce(place, [succeeded(job, at) for at in hours(last)[1:]])
    first = Attempt(attempt=1, token=1, timeout_class="10s", dispatched_at=last, started_at=last, end=end)
    second = Attempt(
        attempt=2, token=2, timeout_class="10s", dispatched_at=last, started_at=last + 20 * SECOND,
        finished_at=last + 21 * SECOND, end=AttemptEnd.SUCCEEDED,
    )  # fmt: skip
    status = succeeded(job, last, attempts=(first, second))
    publish(place, [status])
    for attempt, finished in ((first, last + 25 * SECOND), (second, second.finished_at)):
        append(place, job, RUNS, last, dispatch(status, attempt))
        append(place, job, EVENTS, finished, reported(status, attempt, at=finished))
    found, report = audited(owner=job)
    if end is AttemptEnd.LOST:
        assert found == []
        assert [(each.run_id, each.token, each.ran_until) for each in report.again] == [
            (status.run_id, 1, last + 25 * SECOND)
        ]
    else:
        assert found == [(Finding.TWICE, job, status.run_id)]
        assert report.again == []


def test_attempts_from_before_the_first_kept_records_are_counted_and_not_called_missing(database, place, last, audited):
    status, attempt = whole(database, place, "pruned", last)
    append(place, "pruned", RUNS, last, dispatch(status, attempt))
    append(place, "pruned", EVENTS, last, reported(status, attempt))
    number = partition_of("pruned", PARTITIONS)
    last_dispatch = append(place, "pruned", RUNS, last + SECOND, dispatch(status, attempt))
    last_event = append(place, "pruned", EVENTS, last + SECOND, reported(status, attempt))
    kept = ((RUNS, last_dispatch), (EVENTS, last_event))
    gone = [TopicPartition(place.topic(topic), number, offset) for topic, offset in kept]
    admin = AdminClient({"bootstrap.servers": place.kafka_bootstrap})
    for each in admin.delete_records(gone).values():
        each.result(30)
    found, report = audited(owner="pruned")
    assert found == []
    assert report.tally.before_kept == 6
    assert report.records_from == last + SECOND


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
