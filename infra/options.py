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
    partitions: int = 8
    """Fixed by the first start of a data folder."""
    stream_env: Mapping[str, str] = {}
    """Additional environment variables of each stream worker."""
    executor_env: Mapping[str, str] = {}
    monitor_env: Mapping[str, str] = {}
    until_parent_exits: bool = False
    """The stack stops when the process that started it ends, for any reason."""
    servers_only: bool = False
    """Start only Postgres, Kafka, Connect and S3, without tables, topics or objects."""
    observe: bool = False
    """Start Prometheus too."""


def to_arguments(options: StackOptions) -> list[str]:
    numbers = {"--workers": options.workers, "--executors": options.executors, "--partitions": options.partitions}
    return [
        f"--data={options.data}",
        *(f"{name}={value}" for name, value in numbers.items()),
        *_pairs("--stream-env", options.stream_env),
        *_pairs("--executor-env", options.executor_env),
        *_pairs("--monitor-env", options.monitor_env),
        *(["--until-parent-exits"] if options.until_parent_exits else []),
        *(["--servers-only"] if options.servers_only else []),
        *(["--observe"] if options.observe else []),
    ]


def from_arguments(arguments: Sequence[str]) -> StackOptions:
    parser = argparse.ArgumentParser(prog="python -m infra.stack")
    parser.add_argument("--data", type=Path, default=Path(".tidemill"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--executors", type=int, default=1)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--stream-env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--executor-env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--monitor-env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--until-parent-exits", action="store_true")
    parser.add_argument("--servers-only", action="store_true")
    parser.add_argument("--observe", action="store_true")
    values = vars(parser.parse_args(arguments))
    environments = {name: dict(map(_pair, values[name])) for name in ("stream_env", "executor_env", "monitor_env")}
    return StackOptions(**{**values, **environments})


def _pairs(option: str, values: Mapping[str, str]) -> Iterator[str]:
    return (f"{option}={name}={value}" for name, value in values.items())


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
