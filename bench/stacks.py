"""Starts local stacks for the figures; figures that need the same shape share one stack."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from infra import stack
from infra.stack import StackOptions
from tests.support.stack_client import StackClient

STOP_SECONDS = 60.0


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    workers: int = 1
    executors: int = 1
    executor_env: Mapping[str, str] = {}


class Stacks:
    """Runs at most one stack at a time; the stack stops when this process ends, for any reason."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._shape: Shape | None = None
        self._client: StackClient | None = None

    def get(self, shape: Shape) -> StackClient:
        if self._client is None or shape != self._shape:
            self.close()
            self._say(f"starting a stack with {shape.workers} workers and {shape.executors} executors")
            self._client, self._shape = self._start(shape), shape
        return self._client

    def close(self) -> None:
        if self._client is None:
            return
        client, self._client = self._client, None
        client.close()
        stack.stop(client.data, STOP_SECONDS)
        shutil.rmtree(client.data, ignore_errors=True)

    def _start(self, shape: Shape) -> StackClient:
        data = Path(tempfile.mkdtemp(prefix="tidemill-bench-"))
        data.chmod(0o755)  # so that Postgres' user can enter it
        options = StackOptions(
            data=data,
            workers=shape.workers,
            executors=shape.executors,
            executor_env=shape.executor_env,
            until_parent_exits=True,
        )
        try:
            stack.start_detached(options)
        except BaseException:
            shutil.rmtree(data, ignore_errors=True)
            raise
        return StackClient(data)


@contextlib.contextmanager
def jobs(client: StackClient, rows: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """Insert rows, all with the same columns, into `jobs`, and delete them when the block ends."""
    names = ", ".join(f'"{name}"' for name in rows[0])
    marks = ", ".join(f"%({name})s" for name in rows[0])
    with client.database.transaction(), client.database.cursor() as cursor:
        cursor.executemany(f"insert into jobs ({names}) values ({marks})", rows)
    try:
        yield
    finally:
        client.database.execute("delete from jobs where job_id = any (%s)", [[row["job_id"] for row in rows]])
