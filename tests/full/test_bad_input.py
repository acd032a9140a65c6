"""20,000 bad rows and records into a running stack: no process dies, refusals are clear, and good input works on.

Which inputs, a seed decides; the table that is printed says what was sent, and what was refused where.
"""

from __future__ import annotations

import itertools

import orjson
import pytest

from infra import stack as local
from schemas.ids import request_run_id
from schemas.partition import partition_of
from schemas.topics import REQUESTS
from tests.support.bad_input.records import VICTIM, bad_records
from tests.support.bad_input.rows import bad_rows, columns_of
from tests.support.bad_input.sending import Sender
from tests.support.bad_input.sentences import problem_with
from tests.support.waiting import eventually

SEED = 1
RECORDS, ROWS = 12_000, 8_000
BATCHES = 10
CANARY_SECONDS = 60
REFUSED_SECONDS = 60


def pids(stack):
    seen = local.status(stack.data)
    return {each["name"]: (each["pid"], each["state"]) for each in seen.processes}


@pytest.fixture
def canaries(stack):
    """A job of each timeout class and a DAG, all in the partition that gets the bad records."""
    executable = stack.put_script("canary", "true")
    home = partition_of(VICTIM, stack.connections.partitions)
    names = filter(
        lambda each: partition_of(each, stack.connections.partitions) == home, map("good-{}".format, itertools.count())
    )
    stack.put_job(VICTIM, executable)
    found = {}
    for name in stack.connections.timeout_classes.split(","):
        found[name] = next(names)
        stack.put_job(found[name], executable, overlap_policy="allow_all", timeout_class=name)
    dag = next(names)
    with stack.database.transaction():
        for dag_id in (dag, f"{VICTIM}-dag"):
            stack.insert("dags", dag_id=dag_id)
            stack.insert("dag_nodes", dag_id=dag_id, node_id="a", executable=executable)
    return found, dag, names


def assert_good_input_works(stack, canaries, number):
    """A request by row and by topic of each class, a DAG, a new job by its schedule, and a change of it."""
    jobs, dag, names = canaries
    runs = [stack.request(each, f"row-{number}") for each in jobs.values()]
    for each in jobs.values():
        stack.write(REQUESTS, each, orjson.dumps({"request_id": f"topic-{number}", "job_id": each}))
        runs.append(request_run_id(each, f"topic-{number}"))
    stack.insert("requests", dag_id=dag, request_id=f"dag-{number}")
    runs.append(request_run_id(dag, f"dag-{number}"))
    scheduled = next(names)
    stack.put_job(scheduled, stack.put_script("canary", "true"), schedule="@every 1s")
    for each in runs:
        assert stack.wait_until_final(each, CANARY_SECONDS)["state"] == "succeeded"
    ran = "select 1 from runs where job_id = %s and state = 'succeeded'"
    eventually(lambda: stack.rows(ran, [scheduled]), CANARY_SECONDS, f"a run of {scheduled} by its schedule")
    stack.edit_job(scheduled, schedule=None)


def test_bad_input_stops_no_process_and_each_refusal_is_one_clear_sentence(stack, canaries):
    sender, before = Sender(stack), pids(stack)
    records = bad_records(SEED, RECORDS, stack.connections.partitions)
    rows = bad_rows(SEED, ROWS, columns_of(stack.database))
    for number in range(BATCHES):
        sender.records(itertools.islice(records, RECORDS // BATCHES))
        sender.rows(itertools.islice(rows, ROWS // BATCHES))
        assert_good_input_works(stack, canaries, number)
        assert pids(stack) == before
    eventually(sender.all_refused_are_known, REFUSED_SECONDS, "a refusal of each record that cannot be decoded")
    print(f"\n{sender.table()}")
    assert sorted({sentence for *_, sentence in sender.sentences if problem_with(sentence)}) == []
    logs = (stack.data / "logs").glob("*.log")
    assert not [each.name for each in logs if "crashed" in each.read_text(errors="replace")]
