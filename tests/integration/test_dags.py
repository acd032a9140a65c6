"""DAGs on the real stack: rows become a DAG run, and the read model shows it."""

from __future__ import annotations

import orjson
import pytest

from tests.support.waiting import eventually
from tidemill.cli import run

pytestmark = pytest.mark.integration

READ_SECONDS = 20
DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


@pytest.fixture
def put_dag(stack, name):
    """Creates the DAG `name`; `nodes` maps node ids to dependencies, `scripts` is one script or one per node."""

    def put(nodes, scripts, **columns):
        with stack.database.transaction():
            stack.insert("dags", dag_id=name)
            for node_id, needed in nodes.items():
                executable = stack.put_script(f"{name}{node_id}", scripts.get(node_id, "echo from $TIDEMILL_RUN_ID"))
                stack.insert(
                    "dag_nodes", dag_id=name, node_id=node_id, depends_on=needed, executable=executable, **columns
                )

    return put


@pytest.fixture
def tidemill(stack, capsys):
    def call(*arguments, code=0):
        ended_with = run([*arguments, "--data", str(stack.data)])
        printed = capsys.readouterr()
        assert ended_with == code, printed.out + printed.err
        return printed.out + printed.err

    return call


def nodes_of(stack, run_id):
    found = stack.rows("select * from runs where starts_with(run_id, %s)", [f"{run_id}/"])
    return {each["node_id"]: each for each in found}


def all_nodes(stack, run_id, states):
    """Waits for the node runs: the sink may write them in another batch than the DAG run."""

    def look():
        return {node_id: each["state"] for node_id, each in nodes_of(stack, run_id).items()} == states

    eventually(look, READ_SECONDS, lambda: f"{states} of {nodes_of(stack, run_id)}")
    return nodes_of(stack, run_id)


def test_a_diamond_runs_in_order_beside_a_branch_that_fails(stack, name, put_dag, tidemill):
    put_dag(DIAMOND | {"bad": ["a"], "behind": ["bad"]}, {"bad": "exit 3", "c": "cat"})
    run_id = f"{name}#{name}r"
    said = tidemill("run", name, "--request-id", f"{name}r", "--payload", '{"day": 1}', "--wait", code=1)
    assert said == f"{run_id} failed\n"
    succeeded = dict.fromkeys(DIAMOND, "succeeded")
    nodes = all_nodes(stack, run_id, succeeded | {"bad": "failed", "behind": "upstream_failed"})
    for node_id, needed in DIAMOND.items():
        for before in needed:
            assert nodes[before]["finished_at"] <= nodes[node_id]["queued_at"]
    (epoch,) = stack.rows("select * from dag_runs where run_id = %s", [run_id])
    assert epoch["nodes"] == {"succeeded": 4, "failed": 1, "upstream_failed": 1}
    assert epoch["reason"] == "1 of 6 nodes failed: bad; 1 could not run because of it"
    assert tidemill("logs", f"{run_id}/d") == f"from {run_id}/d\n"
    assert "its nodes have logs" in tidemill("logs", run_id, "--follow", code=1)
    assert orjson.loads(tidemill("logs", f"{run_id}/c")) == {"payload": {"day": 1}, "results": {"a": None}}

    shown = orjson.loads(tidemill("dag", "show", run_id, "--json"))
    assert [each["level"] for each in shown["nodes"]] == [0, 1, 1, 1, 2, 2]
    assert shown["critical_path"][0] == "a"
    assert f"{run_id} failed" in " ".join(tidemill("dag", "runs", "--dag", name).split())
    assert '"a" -> "b"' in tidemill("dag", "show", run_id, "--dot")


BRANCH = {"count": [], "large": [], "pick": ["count", "large"], "load": ["pick"], "report": ["pick"], "end": ["load"]}
RESULTS = {
    "count": """echo '{"rows": 3, "what": "ü"}' > "$TIDEMILL_RESULT" """,
    "large": """{ printf '"'; head -c 300000 /dev/zero | tr '\\0' x; printf '"'; } > "$TIDEMILL_RESULT" """,
    "pick": """cat; echo '{"tidemill_next": ["load"]}' > "$TIDEMILL_RESULT" """,
    "load": "exit 99",
    "end": "echo never",
}


def test_results_go_to_dependents_and_a_node_chooses_its_dependents(stack, name, put_dag, tidemill):
    put_dag(BRANCH, RESULTS, skip_exit_codes=[99])
    run_id = f"{name}#{name}r"
    tidemill("run", name, "--request-id", f"{name}r", "--wait")
    never = {"report": "skipped", "end": "skipped"}
    nodes = all_nodes(stack, run_id, dict.fromkeys(BRANCH, "succeeded") | never)
    rows = {"rows": 3, "what": "ü"}
    assert (nodes["count"]["result"], nodes["count"]["result_uri"]) == (rows, None)
    assert (nodes["large"]["result"], nodes["large"]["result_bytes"]) == (None, 300_002)
    read = orjson.loads(tidemill("logs", f"{run_id}/pick"))
    assert read == {"payload": None, "results": {"count": rows, "large": "x" * 300_000}}
    assert (nodes["pick"]["next_nodes"], nodes["load"]["next_nodes"]) == (["load"], [])
    assert nodes["report"]["reason"] == "trigger_rule all_success: of its dependencies 1 that chose others"
    assert orjson.loads(tidemill("show", f"{run_id}/count", "--json"))["result"] == rows
    assert tidemill("show", f"{run_id}/count").endswith('\nResult:\n{\n  "rows": 3,\n  "what": "ü"\n}\n')
    shown = {each["node_id"]: each for each in orjson.loads(tidemill("dag", "show", run_id, "--json"))["nodes"]}
    assert shown["pick"]["next_nodes"] == ["load"]
    assert "load" in tidemill("dag", "show", run_id)


def test_a_dag_run_continues_from_failed_and_marked_nodes(stack, name, put_dag, tidemill):
    mended = stack.journals / f"mended-{name}"
    put_dag(DIAMOND, {"b": f"test -e {mended}"})
    run_id = f"{name}#{name}r"
    tidemill("run", name, "--request-id", f"{name}r", "--wait", code=1)
    all_nodes(stack, run_id, {"a": "succeeded", "b": "failed", "c": "succeeded", "d": "upstream_failed"})
    assert tidemill("dag", "mark", f"{run_id}/b", "skipped", "--note", "not today") == f"{run_id}/b skipped\n"
    nodes = all_nodes(stack, run_id, {"a": "succeeded", "b": "skipped", "c": "succeeded", "d": "skipped"})
    assert nodes["b"]["reason"] == "marked skipped: not today"
    eventually(lambda: stack.wait_until_final(run_id)["state"] == "succeeded", READ_SECONDS)

    mended.touch()
    assert tidemill("rerun", f"{run_id}/b", "--downstream", "--note", "it is back") == f"{run_id}/b\n"
    nodes = all_nodes(stack, run_id, dict.fromkeys(DIAMOND, "succeeded"))
    assert {node_id: each["attempt"] for node_id, each in nodes.items()} == {"a": 1, "b": 2, "c": 1, "d": 1}
    epoch = stack.wait_until_final(run_id)
    assert (epoch["state"], epoch["nodes"]) == ("succeeded", {"succeeded": 4})
    told = stack.rows("select reason from transitions where run_id = %s order by version", [f"{run_id}/b"])
    assert [each["reason"] for each in told if each["reason"]][-2:] == [
        "marked skipped: not today",
        "run again: it is back",
    ]


def test_a_dag_run_is_cancelled_with_its_nodes(stack, name, put_dag, tidemill):
    put_dag(DIAMOND, {"a": "trap 'exit 0' TERM; while :; do sleep 0.05; done"}, timeout="10 s")
    stack.insert("requests", dag_id=name, request_id=f"{name}r")
    run_id = f"{name}#{name}r"
    stack.wait_for_state(f"{run_id}/a", "running")
    tidemill("cancel", "--job", name, "--note", "not needed", "--wait")
    nodes = all_nodes(stack, run_id, dict.fromkeys(DIAMOND, "cancelled"))
    assert {each["reason"] for each in nodes.values()} == {"cancelled: not needed"}
    epoch = stack.wait_until_final(run_id)
    assert (epoch["state"], epoch["reason"], epoch["nodes"]) == ("cancelled", "cancelled: not needed", {"cancelled": 4})
