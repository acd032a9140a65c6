"""For programs that Tidemill starts. This file has no dependencies, and works as a copy beside a program too.

    from tidemill.job import this_run

    print(this_run.id, this_run.attempt, this_run.payload)
    this_run.result = {"rows": 1042}

docs/jobs.md says what a process gets, docs/fencing.md what the fence promises.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

CHECKPOINT_FILE = "checkpoint.json"
FENCE = "select tidemill.fence(convert_from(decode('{run_id}', 'hex'), 'UTF8'), {token})"
"""Each driver writes parameters in its own way, and this has none: hexadecimal digits need no quoting."""


class NotARunError(RuntimeError):
    """The program was not started by Tidemill."""


class Run:
    """The run of this process. Each value is read when it is first used, so a module that imports it can be tested.

    A test makes one of its own: `Run({"TIDEMILL_RUN_ID": "a#1", …}, read=lambda: '{"day": 1}')`.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, read: Callable[[], str] = sys.stdin.read) -> None:
        self._environ = environ
        self._read = read
        self._input: Any = None
        self._is_read = False

    @property
    def id(self) -> str:
        """The same for all attempts."""
        return self._value("RUN_ID")

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        return int(self._value("ATTEMPT"))

    @property
    def token(self) -> int:
        """The fencing token: a later attempt has a greater one."""
        return int(self._value("FENCING_TOKEN"))

    @property
    def nominal_time(self) -> datetime:
        """The time that the schedule gives, in UTC, however late it is now."""
        text = self._value("NOMINAL_TIME")
        return datetime.fromisoformat(text.replace("Z", "+00:00"))  # noqa: FURB162 - Python 3.10 cannot read Z

    @property
    def timeout(self) -> timedelta:
        """The limit of this attempt."""
        return timedelta(seconds=float(self._value("TIMEOUT_SECONDS")))

    @property
    def payload(self) -> Any:
        """The payload as JSON gives it; None without one."""
        return self._input_as_read()["payload"]

    @property
    def results(self) -> dict[str, Any]:
        """The results of the nodes that this one depends on, by node id; None for a node that wrote none."""
        found: dict[str, Any] = self._input_as_read()["results"]
        return found

    @property
    def result(self) -> Any:
        """The result that this attempt has set; None before."""
        path = self._path("RESULT")
        return json.loads(path.read_text()) if path.exists() else None

    @result.setter
    def result(self, value: Any) -> None:
        """Set the result of the run: any JSON value. It counts if the process ends with exit code 0."""
        self._path("RESULT").write_text(json.dumps(value))

    @property
    def checkpoint_dir(self) -> Path:
        """The directory in which the next attempt finds what this one has left there."""
        return self._path("CHECKPOINT")

    @property
    def checkpoint(self) -> Any:
        """The JSON value that this or an earlier attempt has set; None before."""
        path = self.checkpoint_dir / CHECKPOINT_FILE
        return json.loads(path.read_text()) if path.exists() else None

    @checkpoint.setter
    def checkpoint(self, value: Any) -> None:
        """Set any JSON value. A process that is killed meanwhile leaves the value before."""
        path = self.checkpoint_dir / CHECKPOINT_FILE
        new = path.with_suffix(".new")
        new.write_text(json.dumps(value))
        new.replace(path)

    def fence(self, connection: Any) -> None:
        """Pass the fence in the transaction of a DB-API connection, before the work that must happen once.

        Raises the driver's error, with SQLSTATE TM001, if a newer attempt has passed: then this one must end.
        """
        cursor = connection.cursor()
        try:
            cursor.execute(self._fence())
        finally:
            cursor.close()

    async def fence_async(self, connection: Any) -> None:
        """The same for an asynchronous connection of psycopg or asyncpg."""
        await connection.execute(self._fence())

    def _fence(self) -> str:
        return FENCE.format(run_id=self.id.encode().hex(), token=self.token)

    def _input_as_read(self) -> dict[str, Any]:
        if not self._is_read:
            text = self._read()
            said = json.loads(text) if text.strip() else None
            has_results = self._value("INPUT") == "results"
            self._input = said if has_results else {"payload": said, "results": {}}
            self._is_read = True
        found: dict[str, Any] = self._input
        return found

    def _path(self, name: str) -> Path:
        return Path(self._value(name))

    def _value(self, name: str) -> str:
        try:
            return self._environ[f"TIDEMILL_{name}"]
        except KeyError:
            raise NotARunError(
                f"TIDEMILL_{name} is not set: Tidemill has not started this program; a test may set it"
            ) from None


this_run = Run()
"""The run of this process."""
