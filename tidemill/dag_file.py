"""Reads a DAG from a YAML or TOML file into the columns of its rows; the tables check the values."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

import orjson
import yaml

from schemas.dag import DagSpec, NodeSpec
from tidemill.confined import SIZES, in_bytes
from tidemill.target import UsageError

Columns = dict[str, Any]

DAG_COLUMNS = tuple(name for name in DagSpec.__struct_fields__ if name != "nodes")
NODE_COLUMNS = tuple(name for name in NodeSpec.__struct_fields__ if name != "node_id")
DAG_WORDS = (*DAG_COLUMNS, "defaults", "nodes")
NODE_WORDS = (*NODE_COLUMNS, "command")
"""`command` is a shell command line, in place of `executable`."""
TEXT = frozenset(
    {
        "dag_id",
        "tenant",
        "schedule",
        "timezone",
        "paused_note",
        "trigger_rule",
        "timeout_class",
        "sha256",
        "executable",
        "command",
        "sandbox",
        "network",
    }
)
"""Names whose values are text, even if YAML would read a number or a date."""
MANY = frozenset({"args", "env", "payload", "depends_on", "non_retryable_exit_codes", "skip_exit_codes", "unveil"})
"""Names whose values may be lists or tables."""
MAX_DEPTH = 200
"""The tables have the same limit."""
SMALLEST, LARGEST = -(2**63), 2**63 - 1
MAX_FILE_BYTES = 16 * 1024 * 1024
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFile:
    dag: Columns
    nodes: dict[str, Columns]
    """By node id, with the values of `defaults`."""


def read_dag(path: Path) -> DagFile:
    """Raises `UsageError` with a sentence that names the file and the location in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{path} has {len(content)} bytes; at most {MAX_FILE_BYTES} are allowed")
    try:
        return dag_of(_parsed(path.suffix, content.decode()))
    except RecursionError as error:
        raise UsageError(f"{path} is nested more than {MAX_DEPTH} levels deep") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{path} cannot be parsed: {' '.join(str(error).split())}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def dag_of(said: Any) -> DagFile:
    whole = _table("the file", said, DAG_WORDS)
    if "dag_id" not in whole or "nodes" not in whole:
        raise UsageError("dag_id or nodes is missing; nodes is a table of node ids")
    defaults = _table("defaults", whole.get("defaults", {}), NODE_WORDS)
    nodes = _table("nodes", whole["nodes"])
    dag = {name: value for name, value in whole.items() if name in DAG_COLUMNS}
    if dag["dag_id"] is None:
        raise UsageError("dag_id is null: it must be text")
    _check_values("", dag)
    return DagFile(
        dag=dag,
        nodes={name: _node(name, defaults, each) for name, each in nodes.items()},
    )


def _node(name: str, defaults: Columns, said: Any) -> Columns:
    node = _table(f"node {name!r}", {} if said is None else said, NODE_WORDS)
    if "command" in node and "executable" in node:
        raise UsageError(f"node {name!r} has both executable and command; they exclude each other")
    if "command" in node or "executable" in node:
        defaults = {key: value for key, value in defaults.items() if key not in {"command", "executable", "sha256"}}
    columns = {key: _in_bytes(name, key, value) for key, value in (defaults | node).items()}
    _check_values(f"node {name!r}: ", columns)
    needed = columns.get("depends_on", [])
    if not isinstance(needed, list) or not all(isinstance(each, str) for each in needed):
        raise UsageError(f"node {name!r}: depends_on is {needed!r}: it must be a list of node ids")
    if not columns.keys() & {"command", "executable"}:
        raise UsageError(f"node {name!r} has no program: it needs executable (a file, or s3://bucket/key) or command")
    return columns


def _in_bytes(node: str, name: str, value: Any) -> Any:
    try:
        return in_bytes(name, value) if name in SIZES and isinstance(value, str) else value
    except UsageError as error:
        raise UsageError(f"node {node!r}: {error}") from error


def _check_values(where: str, columns: Columns) -> None:
    """Check what JSON and the columns can hold; the tables check the rest."""
    for name, value in columns.items():
        if name in TEXT and not isinstance(value, str | None):
            raise UsageError(f"{where}{name} is {value!r}: it must be text; put it into quotes")
        if name not in MANY and isinstance(value, dict | list | set):
            raise UsageError(f"{where}{name} is {value!r}: it must be one value")
        _check_json(where + name, value)


def _check_json(where: str, value: Any, depth: int = 1) -> None:
    match value:
        case None | bool() | str() | date():
            pass
        case int() | float():
            if not (SMALLEST <= value <= LARGEST if isinstance(value, int) else math.isfinite(value)):
                raise UsageError(f"{where} is {value}: a number must be finite, and an integer have at most 64 bits")
        case dict() | list() if depth > MAX_DEPTH:
            raise UsageError(f"{where} is nested more than {MAX_DEPTH} levels deep")
        case dict():
            for name, each in _table(where, value).items():
                _check_json(f"{where}.{name}" if depth == 1 else where, each, depth + 1)
        case list():
            for each in value:
                _check_json(where, each, depth + 1)
        case _:
            raise UsageError(
                f"{where} has {value!r}, of the type {type(value).__name__}: allowed are JSON's types and instants"
            )


def _table(where: str, said: Any, allowed: tuple[str, ...] = ()) -> Columns:
    if not isinstance(said, Mapping):
        raise UsageError(f"{where} is {said!r}: it must be a table of names and values")
    for name in said:
        if not isinstance(name, str):
            raise UsageError(f"{where} has the name {name!r}: a name must be text; put it into quotes")
        if allowed and name not in allowed:
            raise UsageError(f"{where} has {name!r}: allowed are {', '.join(allowed)}")
    return dict(said)


def _parsed(suffix: str, text: str) -> Any:
    match suffix:
        case ".toml":
            return tomllib.loads(text, parse_float=Number)
        case ".yaml" | ".yml":
            return yaml.load(text, _Once)  # noqa: S506 - it is a CSafeLoader
        case _:
            raise UsageError(f"its name ends in {suffix!r}: allowed are .yaml, .yml and .toml")


class Number(float):
    """A number that keeps its spelling in the file, if JSON allows that spelling."""

    __slots__ = ("text",)

    def __new__(cls, text: str) -> Self:
        return super().__new__(cls, text.replace("_", ""))

    def __init__(self, text: str) -> None:
        self.text = text if _JSON_NUMBER.fullmatch(text) else repr(float(self))


def json_of(value: Any) -> str:
    """A value of the file, as JSON."""
    return orjson.dumps(value, default=_written).decode()


def _written(value: Any) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} has no form as JSON")


class _Once(yaml.CSafeLoader):
    """Refuses duplicate names: plain YAML drops the first one without an error, and a node would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a name is a list or a table", problem_mark=key.start_mark)
            if key.tag != "tag:yaml.org,2002:merge" and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} comes twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_decimal(self, node: yaml.ScalarNode) -> float:
        value = super().construct_yaml_float(node)
        return Number(node.value) if _JSON_NUMBER.fullmatch(node.value) else value


_Once.add_constructor("tag:yaml.org,2002:float", _Once.construct_decimal)
