"""A DAG in a file: YAML and TOML say the same, and what cannot be meant is refused with its place."""

from __future__ import annotations

import pytest

from tidemill.dag_file import DagFile, read_dag
from tidemill.place import UsageError

YAML = """
dag_id: etl
schedule: "@daily"
defaults: {timeout: 90s, binary: s3://programs/each}
nodes:
  extract:
  load: {command: "cat", depends_on: [extract], timeout: 1h}
"""
TOML = """
dag_id = "etl"
schedule = "@daily"
[defaults]
timeout = "90s"
binary = "s3://programs/each"
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
            "extract": {"timeout": "90s", "binary": "s3://programs/each"},
            "load": {"timeout": "1h", "command": "cat", "depends_on": ["extract"]},
        },
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "the file is []: it must be a table"),
        ("dag_id: d", "it needs dag_id, and nodes"),
        ("dag_id: d\nschedul: x\nnodes: {}", "the file has 'schedul': allowed are dag_id, tenant, schedule"),
        (
            "dag_id: d\nnodes: {a: {command: x, depend_on: [b]}}",
            "node 'a' has 'depend_on': allowed are binary, depends_on",
        ),
        ("dag_id: d\nnodes: {a: {}}", "node 'a' has no program: it needs binary"),
        ("dag_id: d\nnodes: {a: {command: x, binary: y}}", "node 'a' has both binary and command"),
        ("dag_id: d\nnodes: {a: {command: x, depends_on: b}}", "depends_on is 'b': it must be a list of node ids"),
        ("dag_id: d\nnodes: {a: {command: x, depends_on: [no]}}", "depends_on is [False]: it must be a list"),
        ("dag_id: d\nnodes: {no: {command: x}}", "nodes has the name False: a name is text; put it into quotes"),
        ("dag_id: d\nnodes:\n  a: {command: x}\n  a: {command: y}", "'a' comes twice in"),
        ("dag_id: [", "cannot be understood"),
        ("dag_id: !!python/name:os.system x", "cannot be understood"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(read, text, sentence):
    with pytest.raises(UsageError) as refused:
        read(text)
    assert sentence in str(refused.value)
    assert "dag.yaml" in str(refused.value)


def test_other_files_are_refused(read, tmp_path):
    with pytest.raises(UsageError, match=r"its name ends in '.json': allowed are .yaml, .yml and .toml"):
        read("{}", "dag.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_dag(tmp_path / "nowhere.yaml")
