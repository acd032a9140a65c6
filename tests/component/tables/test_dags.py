"""At commit a DAG's rows become one version, in topological order."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from schemas.confinement import Network, Sandbox
from schemas.dag import DagSpec, NodeSpec
from schemas.words import CatchupPolicy, DstFold, DstGap, OnDelete, OverlapPolicy, TriggerRule
from tests.support.dag_rows import EXECUTABLE, put, put_nodes, settle, spec

CPU_LIMIT_SECONDS = 2.0
"""The limit for checking and compiling 10,000 nodes."""


def versions(connection, owner="d"):
    query = "select version, kind, deleted from tidemill.definitions where owner = %s order by version"
    return connection.execute(query, (owner,)).fetchall()


def order(connection):
    return [node.node_id for node in spec(connection).nodes]


def test_rows_of_one_transaction_are_one_version_in_topological_order(tables):
    put_nodes(tables, {"load": ["x", "y"]})
    put(tables, {"y": ["extract"], "x": ["extract"], "extract": []})
    assert versions(tables) == []
    settle(tables)
    version = tables.execute("select version from tidemill.dags").fetchone()[0]
    assert versions(tables) == [(version, "dag", False)]
    assert order(tables) == ["extract", "x", "y", "load"]


def test_the_defaults_of_the_tables_equal_those_of_the_core(tables):
    put(tables, {"a": []})
    settle(tables)
    assert spec(tables) == DagSpec(dag_id="d", nodes=(NodeSpec(node_id="a", executable=EXECUTABLE),))


EVERY_COLUMN = {
    "tenant": "t",
    "schedule": "@every  90s",
    "timezone": "Asia/Kathmandu",
    "overlap_policy": "Allow",
    "buffer_limit": 7,
    "max_active_epochs": 3,
    "dag_timeout": "2 h",
    "on_delete": "cancel",
    "catchup_policy": "all",
    "catchup_window": "7 days",
    "catchup_after_pause": "latest",
    "misfire_grace": "5 s",
    "start_deadline": "10 min",
    "jitter": "30 s",
    "dst_gap": "skip",
    "dst_fold": "second",
    "max_runs": 3,
    "pause_on_failure": 2,
    "resumed_at": "2026-02-01T00:00:00Z",
    "paused": True,
    "paused_note": "wait",
    "starts_at": "2026-01-01T00:00:00.0001+05:45",
    "ends_at": "2027-01-01T00:00:00Z",
}
EVERY_COLUMN_OF_A_NODE = {
    "node_id": "b",
    "depends_on": ["a"],
    "trigger_rule": "none_failed_min_one_success",
    "executable": "s3://tidemill/b",
    "sha256": "ab" * 32,
    "args": json.dumps(["a", ""]),
    "env": json.dumps({"A": "b"}),
    "payload": json.dumps({"a": None}),
    "timeout": "1 day 0.5 s",
    "timeout_class": "1h",
    "promote": False,
    "max_attempts": 3,
    "initial_interval": "0.25 s",
    "backoff_coefficient": 1.5,
    "max_interval": "1 h",
    "retry_jitter": 0.5,
    "non_retryable_exit_codes": [3, 4],
    "skip_exit_codes": [99],
    "max_infra_retries": 2,
    "max_retry_duration": "2 h",
    "cancel_grace": "5 s",
    "sandbox": "strict",
    "memory": 512 * 1024 * 1024,
    "disk": 1 << 40,
    "cpu": 0.5,
    "pids": 100,
    "network": "any",
    "unveil": ["r:/srv/www", "rwx:/opt/a b/ü"],
}
EVERY_FIELD = DagSpec(
    dag_id="d",
    tenant="t",
    schedule="@every 90s",
    timezone="Asia/Kathmandu",
    overlap_policy=OverlapPolicy.ALLOW_ALL,
    buffer_limit=7,
    max_active_epochs=3,
    dag_timeout=timedelta(hours=2),
    on_delete=OnDelete.CANCEL,
    catchup_policy=CatchupPolicy.ALL,
    catchup_window=timedelta(days=7),
    catchup_after_pause=CatchupPolicy.LATEST,
    misfire_grace=timedelta(seconds=5),
    start_deadline=timedelta(minutes=10),
    jitter=timedelta(seconds=30),
    dst_gap=DstGap.SKIP,
    dst_fold=DstFold.SECOND,
    max_runs=3,
    pause_on_failure=2,
    resumed_at=datetime(2026, 2, 1, tzinfo=UTC),
    paused=True,
    paused_note="wait",
    starts_at=datetime(2025, 12, 31, 18, 15, 0, 1000, tzinfo=UTC),
    ends_at=datetime(2027, 1, 1, tzinfo=UTC),
    nodes=(
        NodeSpec(node_id="a", executable=EXECUTABLE),
        NodeSpec(
            node_id="b",
            depends_on=("a",),
            trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
            executable="s3://tidemill/b",
            sha256="ab" * 32,
            args=("a", ""),
            env={"A": "b"},
            payload=msgspec.Raw(b'{"a": null}'),
            timeout=timedelta(days=1, milliseconds=500),
            timeout_class="1h",
            promote=False,
            max_attempts=3,
            initial_interval=timedelta(milliseconds=250),
            backoff_coefficient=1.5,
            max_interval=timedelta(hours=1),
            retry_jitter=0.5,
            non_retryable_exit_codes=(3, 4),
            skip_exit_codes=(99,),
            max_infra_retries=2,
            max_retry_duration=timedelta(hours=2),
            cancel_grace=timedelta(seconds=5),
            sandbox=Sandbox.STRICT,
            memory=512 * 1024 * 1024,
            disk=1 << 40,
            cpu=0.5,
            pids=100,
            network=Network.ANY,
            unveil=("r:/srv/www", "rwx:/opt/a b/ü"),
        ),
    ),
)


def test_every_column_arrives_as_it_was_written(tables):
    put(tables, {"a": []}, **EVERY_COLUMN)
    names = ", ".join(f'"{name}"' for name in EVERY_COLUMN_OF_A_NODE)
    values = ", ".join(["%s"] * len(EVERY_COLUMN_OF_A_NODE))
    tables.execute(
        f"insert into tidemill.dag_nodes (dag_id, {names}) values ('d', {values})",
        list(EVERY_COLUMN_OF_A_NODE.values()),
    )
    settle(tables)
    assert spec(tables) == EVERY_FIELD
    assert set(EVERY_COLUMN) | {"dag_id", "nodes"} == set(DagSpec.__struct_fields__)
    assert set(EVERY_COLUMN_OF_A_NODE) == set(NodeSpec.__struct_fields__)


def test_a_change_of_a_node_alone_is_a_version_of_its_dag(tables):
    put(tables, {"a": [], "b": ["a"]})
    settle(tables)
    tables.execute("update tidemill.dag_nodes set max_attempts = 3 where node_id = 'b'")
    put_nodes(tables, {"c": ["b"]})
    tables.execute("delete from tidemill.dag_nodes where node_id = 'a'")
    tables.execute("update tidemill.dag_nodes set depends_on = '{}' where node_id = 'b'")
    settle(tables)
    assert len(versions(tables)) == 2
    assert order(tables) == ["b", "c"]
    assert tables.execute("select version from tidemill.dags").fetchone()[0] == versions(tables)[-1][0]


def test_a_transaction_that_changes_nothing_appends_nothing(tables):
    put(tables, {"a": [], "b": ["a"]}, schedule="0 3 * * *")
    settle(tables)
    before = tables.execute("select version, updated_at from tidemill.dags").fetchone()
    tables.execute("update tidemill.dags set schedule = ' 0 3  * * * ', version = 7, updated_at = now()")
    tables.execute("update tidemill.dag_nodes set max_attempts = 2")
    tables.execute("update tidemill.dag_nodes set max_attempts = 1")
    tables.execute("delete from tidemill.dag_nodes where node_id = 'b'")
    put_nodes(tables, {"b": ["a"]})
    settle(tables)
    assert tables.execute("select version, updated_at from tidemill.dags").fetchone() == before
    assert len(versions(tables)) == 1


def test_a_change_rolled_back_to_a_savepoint_appends_nothing(tables):
    put(tables, {"a": []})
    tables.execute("savepoint s")
    put_nodes(tables, {"b": ["nowhere"]})
    tables.execute("rollback to s")
    settle(tables)
    assert order(tables) == ["a"]


def test_deleting_a_dag_deletes_its_nodes_and_appends_a_deletion(tables):
    put(tables, {"a": []})
    put(tables, {"a": []}, dag_id="other")
    settle(tables)
    tables.execute("delete from tidemill.dags where dag_id = 'd'")
    settle(tables)
    assert [deleted for _, _, deleted in versions(tables)] == [False, True]
    assert tables.execute("select dag_id from tidemill.dag_nodes").fetchall() == [("other",)]


def test_a_dag_inserted_and_deleted_in_one_transaction_appends_nothing(tables):
    put(tables, {"a": []})
    tables.execute("delete from tidemill.dags")
    settle(tables)
    assert versions(tables) == []


def test_a_dag_deleted_and_inserted_in_one_transaction_is_a_deletion_and_a_creation(tables):
    put(tables, {"a": []})
    settle(tables)
    tables.execute("delete from tidemill.dags")
    put(tables, {"a": []})
    settle(tables)
    assert [deleted for _, _, deleted in versions(tables)] == [False, True, False]


def test_a_new_dag_id_moves_the_nodes(tables):
    put(tables, {"a": [], "b": ["a"]})
    settle(tables)
    tables.execute("update tidemill.dags set dag_id = 'e'")
    settle(tables)
    assert [deleted for _, _, deleted in versions(tables, "d")] == [False, True]
    assert [node.node_id for node in spec(tables, "e").nodes] == ["a", "b"]


def test_a_deleted_jobs_id_can_become_a_dag(tables):
    tables.execute("""insert into tidemill.jobs (job_id, executable) values ('d', 's3://tidemill/x')""")
    tables.execute("delete from tidemill.jobs")
    put(tables, {"a": []})
    settle(tables)
    assert [row[1:] for row in versions(tables)] == [("job", False), ("job", True), ("dag", False)]


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_10_000_nodes_are_compiled_in_2_seconds_of_cpu(tables):
    """Each node depends on five, and the last one on all."""
    nodes = {str(i): [str(each) for each in range(max(0, i - 9), i, 2)] for i in range(9_999)}
    put(tables, {**nodes, "last": list(nodes)})
    before = cpu_seconds(tables.info.backend_pid)
    settle(tables)
    assert cpu_seconds(tables.info.backend_pid) - before < CPU_LIMIT_SECONDS
    assert len(order(tables)) == 10_000
