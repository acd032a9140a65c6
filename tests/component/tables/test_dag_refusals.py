"""An invalid DAG is refused at commit at the latest, with its nodes, also with concurrent writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import psycopg
import pytest
from psycopg import IsolationLevel

from tests.support.dag_rows import put, put_nodes, settle, spec
from tests.support.read_model_rows import allow_writes
from tests.support.request_cases import TRACEPARENT
from tests.support.waiting import eventually


def refused(connection, sentence):
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        settle(connection)
    assert sentence in str(error.value)
    assert len(error.value.diag.context.splitlines()) == 1  # psql shows the detail below the sentence


GRAPHS = [
    ({"a": ["b"], "b": ["a"]}, 'dag "d" is refused: its dependencies form a cycle: a → b → a'),
    ({"c": ["b"], "b": ["a"], "a": ["c"], "top": [], "z": ["a", "top"]}, "a cycle: a → b → c → a"),
    ({"a": [], "b": ["a", "d"], "c": ["b"], "d": ["c"], "e": ["d"]}, "a cycle: b → c → d → b"),
    ({f"n{i:02}": [f"n{(i - 1) % 40:02}"] for i in range(40)}, "n08 → n09 → … (21 more) … → n31 → n32"),
    ({"a": ["x"]}, 'dag "d" is refused: node "a" depends on "x", which the DAG does not have'),
    ({"a": ["x", "y"], "b": ["x"]}, 'node "a" depends on "x", node "a" depends on "y", node "b" depends on "x", which'),
    (
        {f"n{i}": ["x"] for i in range(9)},
        'node "n4" depends on "x", and 4 more like these, which the DAG does not have',
    ),
    ({}, "it has no node; insert at least one row into tidemill.dag_nodes"),
    ({str(i): [] for i in range(10_001)}, "it has 10001 nodes; at most 10000 are allowed"),
]


@pytest.mark.parametrize(("nodes", "sentence"), GRAPHS)
def test_an_invalid_graph_is_refused_at_commit_with_its_nodes(tables, nodes, sentence):
    put(tables, nodes)
    refused(tables, sentence)


def test_a_dag_larger_than_4_mb_is_refused(tables):
    put(tables, {str(i): [] for i in range(20)})
    tables.execute("update tidemill.dag_nodes set payload = to_json(repeat('x', 250 * 1024))")
    refused(tables, "bytes as JSON; at most 4 MB (4194304 bytes) are allowed")


def test_nodes_without_their_dag_are_refused(tables):
    put_nodes(tables, {"b": [], "a": []})
    refused(tables, 'dag "d" is refused: it has no row in tidemill.dags, but the node "a" in tidemill.dag_nodes')


BAD_NODES = [
    ({"a": ["a"]}, 'depends_on is "a": node "a" depends on itself'),
    ({"a": ["b", "c", "b"], "b": [], "c": []}, 'depends_on is "b": node "a" names it twice'),
    ({"a": ["b/c"]}, 'depends_on is "b/c": an id has 1 to 200 characters'),
    ({"a": [None]}, "depends_on is null"),
    ({"a/b": []}, 'node_id is "a/b": an id has'),
    ({"a": None}, "depends_on is null: it must be a list of node ids"),
]


@pytest.mark.parametrize(("nodes", "sentence"), BAD_NODES)
def test_an_invalid_node_is_refused_at_once(tables, nodes, sentence):
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        put_nodes(tables, nodes)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("trigger_rule = 'some'", 'trigger_rule is "some": allowed are all_success, all_failed, all_done, one_success'),
        ("executable = 'x'", 'executable is "x": it must be s3://bucket/key'),
        ("payload = (repeat('[', 201) || repeat(']', 201))::json", "JSON is nested at most 200 levels deep"),
        ("payload = '[\"\\u0000\"]'", "which Postgres cannot read in JSON"),
        ("max_attempts = 0", 'max_attempts is "0": allowed are numbers from 1 to 1000'),
        ("dag_id = 'a/b'", 'dag_id is "a/b"'),
        ("depends_on = '{{b},{c}}'", "it must be a list of node ids"),
    ],
)
def test_a_bad_column_of_a_node_is_refused_with_its_name(tables, change, sentence):
    put(tables, {"a": []})
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        tables.execute(f"update tidemill.dag_nodes set {change}")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"dag_id": "a@b"}, 'dag_id is "a@b": an id has'),
        ({"schedule": "61 * * * *"}, 'schedule is "61 * * * *"'),
        ({"timezone": "CEST"}, 'timezone is "CEST"'),
        ({"overlap_policy": "queue"}, 'overlap_policy is "queue": allowed are skip, buffer_one'),
        ({"max_active_epochs": 0}, 'max_active_epochs is "0": allowed are numbers from 1 to 1000'),
        ({"max_runs": 0}, 'max_runs is "0": allowed are numbers from 1'),
        ({"pause_on_failure": 1001}, 'pause_on_failure is "1001": allowed are numbers from 1 to 1000'),
        ({"dag_timeout": "0 s"}, 'dag_timeout is "00:00:00": it must be longer than 0'),
    ],
)
def test_a_bad_column_of_a_dag_is_refused_with_its_name(tables, columns, sentence):
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        put(tables, {}, **columns)
    assert sentence in str(error.value)


@pytest.mark.parametrize("table", ["dags", "dag_nodes"])
def test_truncate_is_refused(tables, table):
    with pytest.raises(psycopg.errors.CheckViolation, match=f"TRUNCATE of tidemill.{table} is refused"):
        tables.execute(f"truncate tidemill.{table}")


JOB = "insert into tidemill.jobs (job_id, executable) values ('d', 's3://tidemill/x')"


def test_a_job_cannot_have_the_id_of_a_dag(tables):
    put(tables, {"a": []})
    settle(tables)
    with pytest.raises(psycopg.errors.CheckViolation, match='job_id is "d": a DAG has this id'):
        tables.execute(JOB)


def test_a_dag_cannot_have_the_id_of_a_job(tables):
    tables.execute(JOB)
    put(tables, {"a": []})
    refused(tables, 'dag_id is "d": a job has this id; jobs and DAGs share one name space')


def test_a_request_names_a_job_a_dag_or_a_run(tables):
    insert = "insert into tidemill.requests (request_id, kind, job_id, dag_id, run_id) values (%s, %s, %s, %s, %s)"
    tables.execute(insert, ("r1", "run", None, "d", None))
    tables.execute(insert, ("r2", "cancel", None, "d", "d#r1/a"))
    tables.execute(insert, ("r3", "cancel", None, None, "d#r1"))
    query = "select owner, dag_id, job_id from tidemill.requests order by request_id"
    assert tables.execute(query).fetchall() == [("d", "d", None), ("d", "d", None), ("d", None, "d")]
    for row, sentence in [
        (("r4", "run", "j", "d", None), 'dag_id is "d": job_id is j; a request may name only one of them'),
        (("r4", "cancel", None, "d", "e#r1"), 'dag_id is "d": run e#r1 belongs to e'),
        (("r4", "run", None, "a/b", None), 'dag_id is "a/b"'),
    ]:
        with pytest.raises(psycopg.errors.CheckViolation) as error, tables.transaction():
            tables.execute(insert, row)
        assert sentence in str(error.value)


def waiting(dsn, pid):
    query = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
    with psycopg.connect(dsn) as watcher:
        return watcher.execute(query, (pid,)).fetchone()[0]


@pytest.mark.parametrize("level", list(IsolationLevel)[1:])
def test_one_of_two_transactions_that_together_make_a_cycle_is_refused(tables_dsn, level):
    with psycopg.connect(tables_dsn) as writer:
        put(writer, {"a": [], "b": []})
    with psycopg.connect(tables_dsn) as one, psycopg.connect(tables_dsn) as two, ThreadPoolExecutor() as threads:
        one.isolation_level = two.isolation_level = level
        one.execute("update tidemill.dag_nodes set depends_on = '{b}' where node_id = 'a'")
        two.execute("update tidemill.dag_nodes set depends_on = '{a}' where node_id = 'b'")
        settle(one)
        second = threads.submit(two.commit)
        eventually(lambda: waiting(tables_dsn, two.info.backend_pid))
        one.commit()
        with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.SerializationFailure)) as error:
            second.result()
        assert level > IsolationLevel.READ_COMMITTED or "a cycle: a → b → a" in str(error.value)
        assert [node.depends_on for node in spec(one).nodes] == [(), ("b",)]


def test_transactions_that_write_dags_in_different_orders_do_not_deadlock(tables_dsn):
    change = "update tidemill.dag_nodes set timeout = '1 h' where node_id = %s and dag_id = %s"
    with psycopg.connect(tables_dsn) as writer:
        put(writer, {"a": [], "b": []}, "d")
        put(writer, {"a": [], "b": []}, "e")
    with ThreadPoolExecutor() as threads, ExitStack() as stack:
        one, two, reader = (stack.enter_context(psycopg.connect(tables_dsn)) for _ in range(3))
        for dag_id in "ed":
            one.execute(change, ("a", dag_id))
        for dag_id in "de":
            two.execute(change, ("b", dag_id))
        reader.execute("select from tidemill.dags where dag_id = 'e' for update")
        first = threads.submit(one.commit)
        eventually(lambda: waiting(tables_dsn, one.info.backend_pid))
        second = threads.submit(two.commit)
        eventually(lambda: waiting(tables_dsn, two.info.backend_pid))
        reader.rollback()
        first.result()
        second.result()
        for dag_id in "de":
            assert [node.timeout for node in spec(one, dag_id).nodes] == [timedelta(hours=1)] * 2


def test_a_job_and_a_dag_with_one_id_cannot_both_commit(tables_dsn):
    with psycopg.connect(tables_dsn) as one, psycopg.connect(tables_dsn) as two, ThreadPoolExecutor() as threads:
        put(two, {"a": []})
        one.execute(JOB)
        second = threads.submit(two.commit)
        eventually(lambda: waiting(tables_dsn, two.info.backend_pid))
        one.commit()
        with pytest.raises(psycopg.errors.CheckViolation, match="a job has this id"):
            second.result()


def test_a_node_added_while_its_dag_is_deleted_is_refused(tables_dsn):
    with psycopg.connect(tables_dsn) as writer:
        put(writer, {"a": []})
    with psycopg.connect(tables_dsn) as one, psycopg.connect(tables_dsn) as two, ThreadPoolExecutor() as threads:
        put_nodes(two, {"b": ["a"]})
        one.execute("delete from tidemill.dags")
        second = threads.submit(two.commit)
        eventually(lambda: waiting(tables_dsn, two.info.backend_pid))
        one.commit()
        with pytest.raises(psycopg.errors.CheckViolation, match=r'no row in .*, but the node "b"'):
            second.result()


REQUESTS = [
    ({"job_id": "d"}, 'job_id is "d": it is a DAG; name it in dag_id'),
    ({"dag_id": "j"}, 'dag_id is "j": it is a job; name it in job_id'),
    ({"dag_id": "j", "kind": "cancel"}, "it is a job; name it in job_id"),
    (
        {"job_id": "d", "kind": "backfill", "backfill_from": "2026-01-01", "backfill_to": "2026-01-02"},
        'job_id is "d": it is a DAG; name it in dag_id',
    ),
    (
        {"dag_id": "d", "kind": "backfill", "backfill_from": "2026-01-01", "backfill_to": "2026-01-02"},
        'dag_id is "d": it has no schedule, so nothing was ever due',
    ),
    ({"run_id": "d#s", "kind": "rerun"}, 'run_id is "d#s": there is no such run'),
    (
        {"run_id": "d#r", "kind": "mark", "mark_as": "skipped"},
        "kind mark needs the run id of a node: <DAG run>/<node_id>",
    ),
    ({"run_id": "d#r/a", "kind": "mark"}, "mark_as is null: kind mark needs it; allowed are succeeded, skipped"),
    ({"run_id": "d#r/a", "kind": "mark", "mark_as": "failed"}, 'mark_as is "failed": allowed are succeeded, skipped'),
    ({"run_id": "d#r/a", "kind": "cancel", "mark_as": "skipped"}, "only kind mark takes it"),
    ({"run_id": "d#r/x", "kind": "mark", "mark_as": "skipped"}, 'run_id is "d#r/x": DAG d has no node x'),
    ({"run_id": "d#s/a", "kind": "mark", "mark_as": "skipped"}, "there is no DAG run d#s"),
    ({"run_id": "d#r/", "kind": "mark", "mark_as": "skipped"}, "after the / of a run id comes the id of one node"),
    ({"run_id": "d#r/a/b", "kind": "mark", "mark_as": "skipped"}, 'run_id is "d#r/a/b": after the / of a run id'),
    ({"run_id": "d#r/a", "kind": "cancel", "downstream": True}, "only kind rerun takes it"),
    ({"run_id": "j#r", "kind": "rerun", "downstream": True}, "run j#r does not belong to a DAG"),
]


@pytest.mark.parametrize(("columns", "sentence"), REQUESTS)
def test_a_request_that_confuses_job_and_dag_is_refused(tables, columns, sentence):
    put(tables, {"a": []})
    tables.execute("""insert into tidemill.jobs (job_id, executable) values ('j', 's3://tidemill/x')""")
    allow_writes(tables)
    tables.execute(
        """insert into tidemill.runs
               (run_id, job_id, dag_id, tenant, kind, nominal_time, scheduled_time, state, attempt, version)
           values ('d#r', 'd', 'd', 'default', 'dag', '2026-03-01', '2026-03-01', 'failed', 0, 1),
                  ('j#r', 'j', null, 'default', 'requested', '2026-03-01', '2026-03-01', 'failed', 1, 2)"""
    )
    names = ", ".join(columns)
    insert = f"insert into tidemill.requests (request_id, {names}) values ('r', {', '.join(['%s'] * len(columns))})"
    with pytest.raises(psycopg.errors.CheckViolation) as error:
        tables.execute(insert, list(columns.values()))
    assert sentence in str(error.value)


RUNS = """insert into tidemill.runs
    (run_id, job_id, dag_id, node_id, tenant, kind, nominal_time, scheduled_time, state, attempt, request_id, version,
     result, result_bytes, result_uri, result_sha256, next_nodes)
    values
    ('d#r', 'd', 'd', null, 'default', 'dag', '2026-03-01', '2026-03-01', %s, 0, 'r', 9, null, null, null, null, null),
    ('d#r/a', 'd', 'd', 'a', 'default', 'node', '2026-03-01', '2026-03-01', 'succeeded', 1, null, 7,
     '{"n": null}', 10, null, null, '["b"]'),
    ('d#r/b', 'd', 'd', 'b', 'default', 'node', '2026-03-01', '2026-03-01', 'dead', 3, null, 8,
     '"long"', 2000, 's3://x/y', 'abc', null),
    ('d#r2/b', 'd', 'd', 'b', 'default', 'node', '2026-03-01', '2026-03-01', 'dead', 3, null, 6,
     null, null, null, null, null)"""
ENDED = {
    "a": {"state": "succeeded", "attempt": 1, "result": {"bytes": 10, "value": {"n": None}}, "next_nodes": ["b"]},
    "b": {"state": "dead", "attempt": 3, "result": {"bytes": 2000, "uri": "s3://x/y", "sha256": "abc"}},
}


@pytest.mark.parametrize(
    ("state", "carried"), [("failed", (ENDED, 9, [7], TRACEPARENT)), ("running", (None, 0, None, None))]
)
@pytest.mark.parametrize(("kind", "run_id", "mark_as"), [("rerun", "d#r/b", None), ("mark", "d#r/c", "succeeded")])
def test_a_request_for_an_ended_dag_run_carries_the_ends_of_its_nodes(tables, state, carried, kind, run_id, mark_as):
    put(tables, {"a": [], "b": ["a"], "c": ["b"]})
    allow_writes(tables)
    tables.execute("insert into tidemill.requests (request_id, dag_id, payload) values ('r', 'd', '[7]')")
    tables.execute(RUNS, [state])
    tables.execute("update tidemill.runs set traceparent = %s where run_id = 'd#r'", [TRACEPARENT])
    found = tables.execute(
        """insert into tidemill.requests (request_id, kind, run_id, mark_as, nodes, seen_version)
           values ('o', %s, %s, %s, '{"made": "up"}', 77)
           returning owner, nominal_time::date::text, nodes, seen_version, payload, traceparent""",
        [kind, run_id, mark_as],
    ).fetchone()
    assert found == ("d", "2026-03-01", *carried)


def test_a_repeated_mark_is_no_error_after_its_run_was_pruned(tables):
    put(tables, {"a": [], "b": ["a"], "c": ["b"]})
    allow_writes(tables)
    tables.execute("insert into tidemill.requests (request_id, dag_id, payload) values ('r', 'd', '[7]')")
    tables.execute(RUNS, ["failed"])
    mark = """insert into tidemill.requests (request_id, kind, run_id, mark_as) values ('o', 'mark', 'd#r/b', 'skipped')
              on conflict do nothing"""
    assert tables.execute(mark).rowcount == 1
    tables.execute("delete from tidemill.runs")
    assert tables.execute(mark).rowcount == 0


def test_a_rerun_of_a_dag_run_with_pruned_nodes_needs_downstream(tables):
    put(tables, {"a": [], "b": ["a"], "c": ["b"]})
    allow_writes(tables)
    tables.execute("insert into tidemill.requests (request_id, dag_id, payload) values ('r', 'd', '[7]')")
    tables.execute(RUNS, ["failed"])
    tables.execute("""update tidemill.runs set nodes = '{"succeeded": 2, "dead": 1}' where run_id = 'd#r'""")
    order = "insert into tidemill.requests (request_id, kind, run_id, downstream) values (%s, 'rerun', 'd#r', %s)"
    gone = "1 of the 3 nodes of d#r have no history any more"
    with pytest.raises(psycopg.errors.CheckViolation, match=gone), tables.transaction():
        tables.execute(order, ["o", False])
    tables.execute(order, ["o", True])
