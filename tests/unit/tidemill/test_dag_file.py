"""A DAG in a file: YAML and TOML are equivalent, and a fault is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.dag_file import DagFile, json_of, read_dag
from tidemill.target import UsageError

YAML = """
dag_id: etl
schedule: "@daily"
defaults: {timeout: 90s, executable: s3://programs/each}
nodes:
  extract:
  load: {command: "cat", depends_on: [extract], timeout: 1h}
"""
TOML = """
dag_id = "etl"
schedule = "@daily"
[defaults]
timeout = "90s"
executable = "s3://programs/each"
[nodes.extract]
[nodes.load]
command = "cat"
depends_on = ["extract"]
timeout = "1h"
"""


@pytest.fixture
def read(tmp_path):
    def call(text, name="dag.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return read_dag(path)

    return call


@pytest.mark.parametrize(("text", "name"), [(YAML, "dag.yaml"), (YAML, "dag.yml"), (TOML, "dag.toml")])
def test_both_formats_say_the_same_and_defaults_are_said_of_each_node(read, text, name):
    assert read(text, name) == DagFile(
        dag={"dag_id": "etl", "schedule": "@daily"},
        nodes={
            "extract": {"timeout": "90s", "executable": "s3://programs/each"},
            "load": {"timeout": "1h", "command": "cat", "depends_on": ["extract"]},
        },
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "the file is []: it must be a table"),
        ("dag_id: d", "dag_id or nodes is missing"),
        ("dag_id: d\nschedul: x\nnodes: {}", "the file has 'schedul': allowed are dag_id, tenant, schedule"),
        (
            "dag_id: d\nnodes: {a: {command: x, depend_on: [b]}}",
            "node 'a' has 'depend_on': allowed are executable, depends_on",
        ),
        ("dag_id: d\nnodes: {a: {}}", "node 'a' has no program: it needs executable"),
        ("dag_id: d\nnodes: {a: {command: x, executable: y}}", "node 'a' has both executable and command"),
        ("dag_id: d\nnodes: {a: {command: x, depends_on: b}}", "depends_on is 'b': it must be a list of node ids"),
        ("dag_id: d\nnodes: {a: {command: x, depends_on: [no]}}", "depends_on is [False]: it must be a list"),
        ("dag_id: d\nnodes: {no: {command: x}}", "nodes has the name False: a name must be text; put it into quotes"),
        ("dag_id: d\nnodes:\n  a: {command: x}\n  a: {command: y}", "'a' comes twice in"),
        ("dag_id: [", "cannot be parsed"),
        ("dag_id: 5\nnodes: {a: {command: x}}", "dag_id is 5: it must be text; put it into quotes"),
        ("dag_id:\nnodes: {a: {command: x}}", "dag_id is null: it must be text"),
        ("dag_id: [y]\nnodes: {a: {command: x}}", "dag_id is ['y']: it must be text"),
        ("dag_id: d\nschedule: {a: 1}\nnodes: {a: {command: x}}", "schedule is {'a': 1}: it must be text"),
        ("dag_id: d\nschedule: 2026-11-21\nnodes: {a: {command: x}}", "it must be text; put it into quotes"),
        ("dag_id: d\njitter: [1]\nnodes: {a: {command: x}}", "jitter is [1]: it must be one value"),
        ("dag_id: d\nmax_runs: 99999999999999999999\nnodes: {a: {command: x}}", "an integer have at most 64 bits"),
        ("dag_id: d\nnodes: {a: {command: [x]}}", "node 'a': command is ['x']: it must be text"),
        ("dag_id: d\nnodes: {a: {executable: s3://b/k, sha256: 12}}", "node 'a': sha256 is 12: it must be text"),
        ("dag_id: d\nnodes: {a: {command: x, memory: much}}", "node 'a': memory is 'much': write a size such as 512MB"),
        ("dag_id: d\nnodes: {a: {command: x, network: no}}", "node 'a': network is False: it must be text"),
        ("dag_id: d\nnodes: {a: {command: x, timeout: {s: 9}}}", "node 'a': timeout is {'s': 9}: it must be one value"),
        ("dag_id: d\nnodes: {a: {command: x, env: {1: x}}}", "node 'a': env has the name 1: a name must be text"),
        (
            "dag_id: d\nnodes: {a: {command: x, payload: {b: {yes: 1}}}}",
            "payload.b has the name True: a name must be text",
        ),
        ("dag_id: d\nnodes: {a: {command: x, payload: !!binary 3q0=}}", "payload has b'\\xde\\xad', of the type bytes"),
        ("dag_id: d\nnodes: {a: {command: x, payload: !!set {b}}}", "payload has {'b'}, of the type set"),
        ("dag_id: d\nnodes: {a: {command: x, payload: [1, 18446744073709551616]}}", "have at most 64 bits"),
        ("dag_id: d\nnodes: {a: {command: x, payload: .nan}}", "payload is nan: a number must be finite"),
        ("dag_id: d\nnodes: {a: {command: x, payload: &a [*a]}}", "payload is nested more than 200 levels deep"),
        (f"dag_id: d\nnodes: {{a: {{command: x, payload: {'[' * 5000}{']' * 5000}}}}}", "nested more than 200 levels"),
        ("dag_id: d\nnodes: {[a]: {command: x}}", "a name is a list or a table in"),
        ("? {a: 1}\n: 2", "a name is a list or a table in"),
        ("dag_id: !!python/name:os.system x", "cannot be parsed"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(read, text, sentence):
    with pytest.raises(UsageError) as refused:
        read(text)
    assert sentence in str(refused.value)
    assert "dag.yaml" in str(refused.value)


def test_a_size_of_a_node_has_a_unit_or_is_in_bytes(read):
    file = read("dag_id: d\ndefaults: {memory: 512MB}\nnodes: {a: {command: x, disk: 1048576, unveil: ['r:/srv']}}")
    assert file.nodes["a"] == {"memory": 512 << 20, "command": "x", "disk": 1 << 20, "unveil": ["r:/srv"]}


def test_other_files_are_refused(read, tmp_path):
    with pytest.raises(UsageError, match=r"its name ends in '.json': allowed are .yaml, .yml and .toml"):
        read("{}", "dag.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_dag(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (
            ".yaml",
            "dag_id: d\nnodes: {a: {executable: s3://b/k, payload: [12345678901234567.890, 1.50, -0.0, 1.5e+3, .5]}}",
        ),
        (
            ".toml",
            'dag_id="d"\n[nodes.a]\nexecutable="s3://b/k"\npayload=[12345678901234567.890, 1.50, -0.0, 1.5e+3, 0.5]',
        ),
    ],
)
def test_a_number_in_a_payload_is_written_as_it_stands_in_the_file(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"dag{suffix}"
    path.write_text(text)
    payload = read_dag(path).nodes["a"]["payload"]
    assert json_of(payload) == "[12345678901234567.890,1.50,-0.0,1.5e+3,0.5]"
