"""A DAG in a file: YAML or TOML becomes the columns of its rows; the tables themselves judge the values."""

from __future__ import annotations

import tomllib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from schemas.dag import DagSpec, NodeSpec
from tidemill.place import UsageError

Columns = dict[str, Any]

DAG_COLUMNS = tuple(name for name in DagSpec.__struct_fields__ if name != "nodes")
NODE_COLUMNS = tuple(name for name in NodeSpec.__struct_fields__ if name != "node_id")
DAG_WORDS = (*DAG_COLUMNS, "defaults", "nodes")
NODE_WORDS = (*NODE_COLUMNS, "command")
"""`command` stands for a program that is a line for the shell."""
MAX_FILE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFile:
    dag: Columns
    nodes: dict[str, Columns]
    """By node id, what `defaults` says included."""


def read_dag(path: Path) -> DagFile:
    """Raises `UsageError` with a sentence that names the file and the place in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{path} has {len(content)} bytes: at most {MAX_FILE_BYTES} are allowed")
    try:
        return dag_of(_parsed(path.suffix, content.decode()))
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{path} cannot be understood: {' '.join(str(error).split())}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def dag_of(said: Any) -> DagFile:
    whole = _table("the file", said, DAG_WORDS)
    if "dag_id" not in whole or "nodes" not in whole:
        raise UsageError("it needs dag_id, and nodes: a table of node ids")
    defaults = _table("defaults", whole.get("defaults", {}), NODE_WORDS)
    nodes = _table("nodes", whole["nodes"])
    return DagFile(
        dag={name: value for name, value in whole.items() if name in DAG_COLUMNS},
        nodes={name: _node(name, defaults, each) for name, each in nodes.items()},
    )


def _node(name: str, defaults: Columns, said: Any) -> Columns:
    node = _table(f"node {name!r}", {} if said is None else said, NODE_WORDS)
    if "command" in node and "binary" in node:
        raise UsageError(f"node {name!r} has both binary and command; they exclude each other")
    if "command" in node or "binary" in node:
        defaults = {key: value for key, value in defaults.items() if key not in {"command", "binary", "sha256"}}
    columns = defaults | node
    needed = columns.get("depends_on", [])
    if not isinstance(needed, list) or not all(isinstance(each, str) for each in needed):
        raise UsageError(f"node {name!r}: depends_on is {needed!r}: it must be a list of node ids")
    if not columns.keys() & {"command", "binary"}:
        raise UsageError(f"node {name!r} has no program: it needs binary (a file, or s3://bucket/key) or command")
    return columns


def _table(where: str, said: Any, allowed: tuple[str, ...] = ()) -> Columns:
    if not isinstance(said, Mapping):
        raise UsageError(f"{where} is {said!r}: it must be a table of names and values")
    for name in said:
        if not isinstance(name, str):
            raise UsageError(f"{where} has the name {name!r}: a name is text; put it into quotes")
        if allowed and name not in allowed:
            raise UsageError(f"{where} has {name!r}: allowed are {', '.join(allowed)}")
    return dict(said)


def _parsed(suffix: str, text: str) -> Any:
    match suffix:
        case ".toml":
            return tomllib.loads(text)
        case ".yaml" | ".yml":
            return yaml.load(text, _Once)  # noqa: S506 - it is a CSafeLoader
        case _:
            raise UsageError(f"its name ends in {suffix!r}: allowed are .yaml, .yml and .toml")


class _Once(yaml.CSafeLoader):
    """YAML lets the second of two equal names win in silence: a node would be gone."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} comes twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
