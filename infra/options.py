"""The options of a stack, and how they are written as a command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec


class StackOptions(msgspec.Struct, frozen=True, kw_only=True):
    data: Path
    workers: int = 1
    executors: int = 1
    sinks: int = 1
    partitions: int = 8
    """Fixed by the first start of a data folder."""
    brokers: int = 1
    """1 or 3; fixed by the first start of a data folder."""
    stream_env: Mapping[str, str] = {}
    """Additional environment variables of each stream worker."""
    executor_env: Mapping[str, str] = {}
    monitor_env: Mapping[str, str] = {}
    part_env: Mapping[str, str] = {}
    """Variables of single parts, as `PART:VARIABLE`."""
    reached: Mapping[str, int] = {}
    """Server -> the port under which clients and other servers reach it, if it is not its own: a proxy's. The servers
    are `postgres`, `connect`, `s3`, and each broker and controller."""
    until_parent_exits: bool = False
    """The stack stops when the process that started it ends, for any reason."""
    servers_only: bool = False
    """Start only Postgres, Kafka, Connect and S3, without tables, topics or objects."""
    observe: bool = False
    """Start Prometheus too."""


NUMBERS = {"workers": 1, "executors": 1, "sinks": 1, "partitions": 8, "brokers": 1}
"""The options that are numbers, and their defaults."""
PAIRS = ("stream_env", "executor_env", "monitor_env", "part_env", "reached")


def to_arguments(options: StackOptions) -> list[str]:
    numbers = {f"--{name}": getattr(options, name) for name in NUMBERS}
    return [
        f"--data={options.data}",
        *(f"{name}={value}" for name, value in numbers.items()),
        *_pairs("--stream-env", options.stream_env),
        *_pairs("--executor-env", options.executor_env),
        *_pairs("--monitor-env", options.monitor_env),
        *_pairs("--part-env", options.part_env),
        *_pairs("--reached", {name: str(port) for name, port in options.reached.items()}),
        *(["--until-parent-exits"] if options.until_parent_exits else []),
        *(["--servers-only"] if options.servers_only else []),
        *(["--observe"] if options.observe else []),
    ]


def from_arguments(arguments: Sequence[str]) -> StackOptions:
    parser = argparse.ArgumentParser(prog="python -m infra.stack")
    parser.add_argument("--data", type=Path, default=Path(".tidemill"))
    for name, default in NUMBERS.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in PAIRS:
        parser.add_argument(f"--{name.replace('_', '-')}", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--until-parent-exits", action="store_true")
    parser.add_argument("--servers-only", action="store_true")
    parser.add_argument("--observe", action="store_true")
    values = vars(parser.parse_args(arguments))
    pairs: dict[str, dict[str, str]] = {name: dict(map(_pair, values[name])) for name in PAIRS}
    reached = {name: int(port) for name, port in pairs["reached"].items()}
    return StackOptions(**{**values, **pairs, "reached": reached})


def _pairs(option: str, values: Mapping[str, str]) -> Iterator[str]:
    return (f"{option}={name}={value}" for name, value in values.items())


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
